"""Triggers of an app as they are live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from picloud.model.app import AppId
from picloud.model.schedule import CatchUp
from picloud.model.trigger import Overlap, RetryPolicy, Trigger, TriggerKind
from picloud.storage.queries import load
from picloud.storage.schedules import end_schedules, start_schedule

_SQL = load("triggers.sql")


def read_triggers(connection: psycopg.Connection, app_id: AppId) -> tuple[Trigger, ...]:
    """Return the app's triggers by name, in the caller's transaction."""
    rows = connection.execute(_SQL["list_triggers"], {"app_id": app_id})
    return tuple(
        trigger_from_json(
            {"name": name, "kind": kind, "source": source, "script": script, "on": operations, "options": options}
        )
        for name, kind, source, script, operations, options in rows
    )


def delete_changed_triggers(connection: psycopg.Connection, app_id: AppId, triggers: Iterable[Trigger]) -> datetime:
    """Delete the triggers that are not among these, in the caller's transaction; their scripts are there still.

    Ticks that were due are accounted for; returns the moment up to which.
    """
    wanted = set(triggers)
    changed = [trigger.name for trigger in read_triggers(connection, app_id) if trigger not in wanted]
    moment = end_schedules(connection, app_id, changed)
    connection.execute(_SQL["delete_triggers"], {"app_id": app_id, "names": changed})
    return moment


def add_triggers(connection: psycopg.Connection, app_id: AppId, triggers: Iterable[Trigger], moment: datetime) -> None:
    """Add those of these triggers that are not there, in the caller's transaction; their scripts are there already.

    Schedules start at `moment`. Events that happened before keep what their triggers were like then, but for messages
    of queues: those belong to nobody until they are taken.
    """
    there = {trigger.name for trigger in read_triggers(connection, app_id)}
    for trigger in triggers:
        if trigger.name not in there:
            connection.execute(_SQL["add_trigger"], {"app_id": app_id, **_row(trigger)})
            if trigger.kind is TriggerKind.CRON:
                start_schedule(connection, app_id, trigger, moment)
    connection.execute(_SQL["free_messages"], {"app_id": app_id})
    connection.execute(_SQL["hand_out_messages"], {"app_id": app_id})


def trigger_to_json(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger as a release keeps it."""
    return {
        "name": trigger.name,
        "kind": str(trigger.kind),
        "source": trigger.source,
        "script": trigger.script,
        "on": list(trigger.on),
        "options": _options(trigger),
    }


def trigger_from_json(stored: Mapping[str, Any]) -> Trigger:
    """Return the trigger of `trigger_to_json`; raise `KeyError`, `TypeError` or `ValueError` when it is none."""
    options = dict(stored["options"])
    retry = RetryPolicy(**options.pop("retry"))
    _check_types(stored, {**asdict(retry), **options})
    if "overlap" in options:
        options |= {"catch_up": CatchUp(options["catch_up"]), "overlap": Overlap(options["overlap"])}
    return Trigger(
        stored["name"], TriggerKind(stored["kind"]), stored["source"], stored["script"], tuple(stored["on"]), retry,
        **options,
    )  # fmt: skip


def _check_types(stored: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    schedule = [options[name] for name in ("tz", "catch_up", "overlap") if name in options]
    texts = (stored["name"], stored["source"], stored["script"], *stored["on"], *schedule)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a trigger's names are texts")
    for name, value in options.items():
        kind = int if name in ("retries", "batch") else int | float | None
        if name not in ("tz", "catch_up", "overlap") and (isinstance(value, bool) or not isinstance(value, kind)):
            raise ValueError(f"{name} is not a number")


def _options(trigger: Trigger) -> dict[str, Any]:
    options = {
        "retry": asdict(trigger.retry),
        "timeout_s": trigger.timeout_s,
        "batch": trigger.batch,
        "wait_s": trigger.wait_s,
    }
    if trigger.kind is TriggerKind.CRON:
        options |= {name: getattr(trigger, name) for name in ("tz", "catch_up", "late_max_s", "overlap")}
    return options


def _row(trigger: Trigger) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "kind": trigger.kind,
        "source": trigger.source,
        "key_like": key_like(trigger.source) if trigger.kind is TriggerKind.KV else None,
        "operations": list(trigger.on),
        "script": trigger.script,
        "options": Jsonb(_options(trigger)),
    }


def key_like(pattern: str) -> bytes:
    r"""Return a key pattern, in which `*` stands for anything, as LIKE has it.

    >>> key_like("100%:*")
    b'100\\%:%'
    """
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").encode()
