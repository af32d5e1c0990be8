"""Deliveries: what triggers still have to do with events, and the dead letters of those they could not take."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from picloud.model.app import App
from picloud.model.event import Event
from picloud.model.trigger import RetryPolicy, TriggerKind
from picloud.storage.apps import app_of
from picloud.storage.database import Database
from picloud.storage.queries import load

_SQL = load("deliveries.sql")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """Names one delivery."""

    app_id: UUID
    event_id: UUID
    trigger: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one trigger, taken by a job."""

    key: Key
    app: App
    script: str
    """Name of the endpoint script, which may be gone by now."""
    retry: RetryPolicy
    timeout_s: float | None
    batch: int
    attempts: int
    """That failed before this one."""
    event: Event
    redrives: UUID | None
    """The dead letter it was made of."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed, as a dead letter keeps it."""

    key: Key
    at: datetime
    code: str
    message: str
    details: Mapping[str, Any]
    """Script version, place, traceback, lines logged and what the run used."""
    retry_at: datetime | None
    """None: the attempt was the last one."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """A delivery that is due later."""

    at: datetime
    in_batch: bool


class DeliveryRepository:
    """What the worker does with deliveries; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, key: Key, job_id: int) -> list[Delivery] | NotYet:
        """Take a delivery for a job, and others of its batch; a job that takes again gets what it had.

        Nothing when the delivery is settled, was cancelled, which settles it, or another job has it.
        """
        values = {"app_id": key.app_id, "event_id": key.event_id, "trigger": key.trigger, "job_id": job_id}
        with self._database.connection() as connection:
            row = connection.execute(_SQL["own"], values).fetchone()
            if row is None:
                return []
            batch, due_at, is_due, is_cancelled = row
            if is_cancelled:
                _end_cancelled(connection, key, job_id)
                return []
            if not is_due:
                return NotYet(due_at, batch > 1)
            return [_delivery(*found) for found in connection.execute(_SQL["take"], values | {"batch": batch})]

    def finish(self, done: Sequence[Key], failures: Sequence[Failure], job_id: int, *, in_batch: bool) -> None:
        """Forget deliveries that are done, with events nobody waits for any more, and count failed attempts.

        Each delivery that failed is due again, or becomes a dead letter, but for one that was cancelled. Those of a
        batch get jobs of their own; else the job that failed is to come back. All are of one trigger.
        """
        with self._database.connection() as connection:
            if failures:
                connection.execute(_SQL["hold_app"], {"app_id": failures[0].key.app_id})
            if done:
                connection.execute(_SQL["settle"], _values(done, job_id))
            for failure in failures:
                key = failure.key
                if _end_cancelled(connection, key, job_id):
                    continue
                entry = {"at": failure.at.isoformat(), "code": failure.code, "message": failure.message}
                values = {
                    **_values([key], job_id),
                    "failure": Jsonb([_storable(entry | dict(failure.details))]),
                    "retry_at": failure.retry_at,
                    "failed_at": failure.at,
                    "code": failure.code,
                    "message": _storable(failure.message),
                    "in_batch": in_batch,
                }
                connection.execute(_SQL["count_failure"], values)
                if failure.retry_at is None:
                    connection.execute(_SQL["bury"], values)
                    connection.execute(_SQL["settle"], _values([key], job_id))

    def cancelled(self) -> set[Key]:
        """Return the deliveries whose runs are to end."""
        with self._database.lend() as connection:
            return {Key(*row) for row in connection.execute(_SQL["cancelled"])}

    def end_cancelled(self, key: Key, job_id: int) -> bool:
        """Settle a delivery of this job when it was cancelled: no attempt counts. Returns whether it was."""
        with self._database.connection() as connection:
            return _end_cancelled(connection, key, job_id)

    def delete_settled(self) -> int:
        """Delete events whose last deliveries ended at one moment, return how many."""
        with self._database.connection() as connection:
            return connection.execute(_SQL["delete_settled"]).rowcount


def _end_cancelled(connection: psycopg.Connection, key: Key, job_id: int) -> bool:
    values = {"app_id": key.app_id, "event_id": key.event_id, "trigger": key.trigger, "job_id": job_id}
    if connection.execute(_SQL["end_cancelled"], values).fetchone() is None:
        return False
    _log.info("A later tick of %s has taken the place of a run", key.trigger,
              extra={"action": "run_cancelled", "trigger": key.trigger, "event": str(key.event_id)})  # fmt: skip
    return True


def _storable(value: Any) -> Any:
    """Return what scripts failed with as the database can keep it: it has no NUL in text."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _values(keys: Sequence[Key], job_id: int) -> dict[str, Any]:
    first = keys[0]
    events = [key.event_id for key in keys]
    return {"app_id": first.app_id, "trigger": first.trigger, "event_ids": events, "job_id": job_id}


def _delivery(
    app_id: UUID, name: str, revision: int, created_at: datetime, trigger: str, script: str, options: dict[str, Any],
    attempts: int, redrives: UUID | None, event_id: UUID, kind: str, *event: Any,
) -> Delivery:  # fmt: skip
    return Delivery(
        Key(app_id, event_id, trigger),
        app_of(app_id, name, revision, created_at),
        script,
        RetryPolicy(**options["retry"]),
        options["timeout_s"],
        options["batch"],
        attempts,
        Event(event_id, TriggerKind(kind), *event),
        redrives,
    )
