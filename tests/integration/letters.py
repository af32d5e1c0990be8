"""Puts dead letters into the database as the worker does, without the run that fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from picloud.platform import Platform

OPTIONS = {
    "retry": {"retries": 3, "backoff_s": 5.0, "backoff_max_s": 60.0, "jitter": 0.1},
    "timeout_s": None,
    "batch": 1,
    "wait_s": 0.0,
}


def attempt(message: str = "no luck", **more: Any) -> dict[str, Any]:
    """Return what the worker stores of a failed attempt."""
    return {
        "at": "2026-01-01T00:00:00+00:00", "code": "script_runtime_error", "message": message, "version": "ab" * 32,
        "script": "mailer", "line": 3, "traceback": ["mailer:3: in the main chunk"],
        "log": [{"level": "info", "message": "begins"}], "used": None, **more,
    }  # fmt: skip


def bury(platform: Platform, app: str, **columns: Any) -> UUID:
    """Put a letter of a queue's message into an app; columns are as the table has them. Returns its id."""
    message = columns.get("message", "no luck")
    row = {
        "id": uuid4(), "event_id": uuid4(), "kind": "queue", "name": "mails", "is_json": True, "payload": b"{}",
        "depth": 0, "trigger": "watch", "script": "mailer", "options": OPTIONS, "code": "script_runtime_error",
        "message": message, "attempts": 3, "failures": [attempt(message)], "sent_at": datetime.now(UTC),
        "failed_at": datetime.now(UTC), **columns,
    }  # fmt: skip
    values = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in row.items()}
    values = {
        name: value.encode() if name in ("payload", "key") and isinstance(value, str) else value
        for name, value in values.items()
    }
    statement = sql.SQL("INSERT INTO dead_letters (app_id, {}) SELECT id, {} FROM apps WHERE name = {}").format(
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
        sql.Literal(app),
    )
    with platform.database.connection() as connection:
        assert connection.execute(statement, values).rowcount == 1
    identity = row["id"]
    assert isinstance(identity, UUID)
    return identity
