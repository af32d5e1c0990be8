"""Deliveries: what triggers still have to do with events, and the dead letters of those they could not take."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from picloud.model.app import App
from picloud.model.event import Event
from picloud.model.trigger import RetryPolicy, TriggerKind
from picloud.storage.apps import app_of, hold_app
from picloud.storage.database import Database
from picloud.storage.queries import load
from picloud.storage.storable import storable

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
    lease: UUID
    """Of this take: a later one of the same delivery has another, and this one counts no more."""
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


class DeliveryRepository:
    """What the worker does with deliveries; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, key: Key, job_id: int, worker_id: int | None = None) -> list[Delivery]:
        """Take a delivery for a job, and others of its batch; a job that takes again gets what it had.

        `worker_id` says who has the job; None: nobody. Nothing when the delivery is settled, was cancelled, which
        settles it, is not due yet, or another job or worker has it: then the job has been put off to when it is due, is
        gone, or stays with the worker that has it.
        """
        values = _names(key) | {"job_id": job_id, "worker_id": worker_id, "token": uuid4()}
        with self._database.lend() as connection:
            row = connection.execute(_SQL["take"], values).fetchone()
            if row is None:
                connection.execute(_SQL["leave"], values)
                return []
            _, is_cancelled, again, *found = row
            if is_cancelled:
                _end_cancelled(connection, key, values["token"])
                return []
            own = _delivery(values["token"], *found)
            if own.batch == 1 or own.attempts:
                # What has failed is taken alone: else one message would fail all those beside it again and again.
                return [own]
            more = connection.execute(_SQL["take_more"], values | {"again": again, "more": own.batch - 1})
            return [own, *(_delivery(own.lease, *found) for found in more)]

    def finish(self, done: Sequence[Key], failures: Sequence[Failure], job_id: int, lease: UUID) -> bool:
        """Forget deliveries that are done, with events nobody waits for any more, and count failed attempts.

        Each delivery that failed is due again, or becomes a dead letter, but for one that was cancelled; jobs end or
        come again with them. All are of one trigger. Returns False when some have been taken anew since: whoever has
        taken those decides over them.
        """
        if self._finish(done, failures, lease):
            return True
        keys = [*done, *(failure.key for failure in failures)]
        with self._database.lend() as connection:
            connection.execute(_SQL["end_job"], _batch(keys) | {"job_id": job_id})
        return False

    def _finish(self, done: Sequence[Key], failures: Sequence[Failure], lease: UUID) -> bool:
        settle = _batch(done) | {"token": lease} if done else {}
        if not failures:
            return self._database.fetch_one(_SQL["settle"], settle) == (len(done),)
        with self._database.connection() as connection:
            hold_app(connection, failures[0].key.app_id)
            kept = not done or connection.execute(_SQL["settle"], settle).fetchone() == (len(done),)
            counted = [_count_failure(connection, failure, lease) for failure in failures]
            return kept and all(counted)

    def cancelled(self) -> set[Key]:
        """Return the deliveries whose runs are to end."""
        with self._database.lend() as connection:
            return {Key(*row) for row in connection.execute(_SQL["cancelled"])}

    def end_cancelled(self, key: Key, lease: UUID) -> bool:
        """Settle a delivery under this lease when it was cancelled: no attempt counts. Returns whether it was."""
        with self._database.lend() as connection:
            return _end_cancelled(connection, key, lease)

    def delete_settled(self) -> int:
        """Delete events whose last deliveries ended at one moment, return how many."""
        row = self._database.fetch_one(_SQL["delete_settled"], {})
        return int(row[0]) if row else 0

    def revive(self) -> list[int]:
        """Give deliveries that no living job is for a job again, some at a time; return the jobs."""
        with self._database.lend() as connection:
            return [job for (job,) in connection.execute(_SQL["revive"])]


def _count_failure(connection: psycopg.Connection, failure: Failure, lease: UUID) -> bool:
    entry = {"at": failure.at.isoformat(), "code": failure.code, "message": failure.message}
    values = {
        **_names(failure.key),
        "token": lease,
        "failure": Jsonb([storable(entry | dict(failure.details))]),
        "retry_at": failure.retry_at,
        "failed_at": failure.at,
        "code": failure.code,
        "message": storable(failure.message),
    }
    if connection.execute(_SQL["count_failure"], values).fetchone() != (True,):
        return _end_cancelled(connection, failure.key, lease)
    if failure.retry_at is None:
        connection.execute(_SQL["bury"], values)
        connection.execute(_SQL["settle"], values | {"event_ids": [failure.key.event_id]})
    return True


def _end_cancelled(connection: psycopg.Connection, key: Key, lease: UUID) -> bool:
    if connection.execute(_SQL["end_cancelled"], _names(key) | {"token": lease}).fetchone() is None:
        return False
    _log.info("A later tick of %s has taken the place of a run", key.trigger,
              extra={"action": "run_cancelled", "trigger": key.trigger, "event": str(key.event_id)})  # fmt: skip
    return True


def _names(key: Key) -> dict[str, Any]:
    return {"app_id": key.app_id, "event_id": key.event_id, "trigger": key.trigger}


def _batch(keys: Sequence[Key]) -> dict[str, Any]:
    return {"app_id": keys[0].app_id, "event_ids": [key.event_id for key in keys], "trigger": keys[0].trigger}


def _delivery(
    lease: UUID, app_id: UUID, name: str, revision: int, created_at: datetime, trigger: str, script: str,
    options: dict[str, Any], attempts: int, redrives: UUID | None, event_id: UUID, kind: str, *event: Any,
) -> Delivery:  # fmt: skip
    return Delivery(
        Key(app_id, event_id, trigger),
        lease,
        app_of(app_id, name, revision, created_at),
        script,
        RetryPolicy(**options["retry"]),
        options["timeout_s"],
        options["batch"],
        attempts,
        Event(event_id, TriggerKind(kind), *event),
        redrives,
    )
