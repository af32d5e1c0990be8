"""An app with triggers, and a worker that works when it is told to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

import pytest

from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger
from picloud.platform import Platform
from picloud.publishing.cells import ModuleCell, TriggerCell, parse_cell
from picloud.storage.deliveries import Key
from tests.integration.sdk.conftest import lua, open_app, platform

__all__ = ["lua", "open_app", "platform"]

SEE = "kv.set('seen:' .. kv.incr('n'), event) "
"""Script: keep the event for `World.seen`."""
BLOCKED: LiteralString = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
"""Statement: tells whether any waits for a lock."""


class World:
    """What a test sees of an app, and the jobs of all apps."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def publish(self, *cells: str, app: str = "shop") -> None:
        """Make these cells, `%%trigger` and `%%module`, all the app consists of."""
        scripts: list[Script] = []
        triggers: list[Trigger] = []
        for source in cells:
            cell = parse_cell(source)
            assert isinstance(cell, TriggerCell | ModuleCell)
            scripts.append(cell.script)
            if isinstance(cell, TriggerCell):
                triggers.append(cell.trigger)
        scripts.append(Script("other", ScriptKind.ENDPOINT, "return 1"))
        manifest = Manifest(tuple(scripts), triggers=tuple(triggers))
        self.platform.publisher.publish(app, manifest, author="test", create=True)

    def rows(self, statement: LiteralString, *values: object) -> list[Any]:
        """Return what a statement returns."""
        with self.platform.database.connection() as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str) -> int:
        with self.platform.database.connection() as connection:
            [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)

    def seen(self, app: str = "shop") -> list[Any]:
        """Return the events that scripts kept with `SEE`, in order, without what differs each time."""
        rows = self.rows(
            "SELECT value FROM kv_entries AS e JOIN apps AS a ON a.id = e.app_id "
            "WHERE a.name = %s AND encode(key, 'escape') LIKE 'seen:%%' ORDER BY substr(encode(key, 'escape'), 6)::int",
            app,
        )
        events = [json.loads(value) for (value,) in rows]
        return [{name: value for name, value in e.items() if name not in {"id", "sent_at", "version"}} for e in events]

    def runnable(self) -> tuple[int, Key] | None:
        """Return the job a worker would take next."""
        rows = self.rows(
            "SELECT id, args FROM procrastinate_jobs AS j WHERE task_name = 'picloud.deliver' "
            "AND coalesce(scheduled_at, now()) <= now() AND NOT EXISTS (SELECT FROM procrastinate_jobs AS e "
            "WHERE e.lock = j.lock AND e.id < j.id) ORDER BY id LIMIT 1"
        )
        for number, args in rows:
            return number, Key(UUID(args["app_id"]), UUID(args["event_id"]), args["trigger"])
        return None

    def work(self, runs_max: int = 300) -> int:
        """Run every job that is due, as a worker would; return how many."""
        for done in range(runs_max):
            job = self.runnable()
            if job is None:
                return done
            number, key = job
            self.platform.deliverer.deliver(key, number)
        raise AssertionError(f"still at work after {runs_max} runs")

    def hasten(self) -> None:
        """Let what waits for its time be due now."""
        self.rows("UPDATE deliveries SET due_at = now()")
        self.rows("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE task_name = 'picloud.deliver'")

    def finish(self) -> None:
        """Work until nothing is left, retries without their pauses included."""
        while self.work() or self.count("deliveries"):
            self.hasten()

    def letters(self) -> Sequence[Any]:
        """Return kind, name, trigger, code, attempts and state of all dead letters."""
        return self.rows("SELECT kind, name, trigger, code, attempts, state FROM dead_letters ORDER BY failed_at")


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)
