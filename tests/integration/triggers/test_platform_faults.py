"""Whose fault it is when the database is away as a run's time is over."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest

from picloud.engine.executor import Executor
from picloud.errors import DatabaseUnavailable, PicloudError, TimeLimitExceeded
from picloud.model.app import App, AppId
from picloud.model.event import Event, Message, Verdicts
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.model.trigger import TriggerKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings
from picloud.storage.data import DataSession, open_runs_database

APP = App(AppId(uuid4()), "shop", 1, datetime.now(UTC))
TIMEOUT_S = 0.4


@pytest.mark.parametrize(
    ("source", "database_timeout_s", "error"),
    [
        ("kv.get('x')", 5.0, DatabaseUnavailable),
        ("while true do pcall(kv.get, 'x') end", 5.0, DatabaseUnavailable),
        ("pcall(kv.get, 'x') while true do end", 5.0, DatabaseUnavailable),
        ("pcall(kv.get, 'x') while true do end", 0.02, TimeLimitExceeded),
        ("while true do end", 5.0, TimeLimitExceeded),
    ],
)
def test_a_run_whose_time_the_database_took_is_no_fault_of_the_script(
    source: str, database_timeout_s: float, error: type[PicloudError]
) -> None:
    database = open_runs_database("host=/nowhere", pool_size=1, timeout_s=database_timeout_s)
    executor = Executor(limits_of(Settings()), partial(DataSession, database))
    event = Event(uuid4(), TriggerKind.TOPIC, "t", None, None, True, b"1", None, None, time.time(), 0)
    script = LinkedScript(Script("x", ScriptKind.ENDPOINT, source), ())
    try:
        with pytest.raises(error):
            executor.trigger(
                APP, script, Snapshot(APP, {}, ()), [Message(event, 1)], Verdicts(),
                emit=lambda *_: None, timeout_s=TIMEOUT_S,
            )  # fmt: skip
    finally:
        database.close()
