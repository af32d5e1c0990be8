"""Dead letters of an app, for its scripts and for people alike; who may see and decide is others' to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

from psycopg import Connection
from psycopg import errors as pg
from psycopg.sql import SQL, Composed

from picloud.errors import Conflict
from picloud.model.app import AppId
from picloud.model.dead_letter import Attempt, DeadLetter, LetterFilter, LetterState, Position
from picloud.model.trigger import TriggerKind
from picloud.storage.database import Database
from picloud.storage.kv import Content
from picloud.storage.queries import load

_SQL = load("dead_letters.sql")
_PAGE = SQL(_SQL["page"]).format(matching=SQL(_SQL["matching"]))
_CHOOSE = SQL(_SQL["choose"]).format(matching=SQL(_SQL["matching"]))

Fetch: TypeAlias = Callable[[LiteralString | Composed, Mapping[str, Any]], list[tuple[Any, ...]]]
"""Runs a statement on an app, whose id it adds, and returns the rows."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision over many letters led to."""

    events: Mapping[UUID, UUID | None]
    """Letters that were open, oldest first, each with the event its trigger gets; None when it was discarded."""
    more: bool
    """Whether there are others that were meant."""


class DeadLetters:
    """The dead letters of one app."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def page(
        self, wanted: LetterFilter, *, limit: int, after: Position | None = None, input_bytes_max: int | None = None
    ) -> tuple[list[DeadLetter], Position | None]:
        """Return letters, newest first, and where to go on when there are more.

        They come without attempts, and without inputs unless `input_bytes_max` says how much of those a page may have.
        """
        page = {"limit": limit + 1, "after_at": after and after.failed_at, "after_id": after and after.id}
        inputs = {"with_input": input_bytes_max is not None, "bytes_max": input_bytes_max, "whole": False}
        rows = self._fetch(_PAGE, {**_filter(wanted), **page, **inputs})
        letters = [_letter(*row[:-1]) for row in rows[:limit]]
        more = bool(rows) and rows[0][-1] > len(letters)
        return letters, letters[-1].position if more else None

    def get(self, identity: UUID) -> DeadLetter | None:
        """Return one letter, whole, whatever was decided over it."""
        wanted = LetterFilter(state=None, ids=(identity,))
        page = {"limit": 1, "after_at": None, "after_id": None, "with_input": True, "bytes_max": 0, "whole": True}
        for row in self._fetch(_PAGE, {**_filter(wanted), **page}):
            return _letter(*row[:-1])
        return None

    def redrive(self, identity: UUID, *, by: str, edited: Content | None = None) -> UUID | None:
        """Let its trigger take the letter again, as that is now, perhaps with another input.

        Returns the event the trigger gets; None when no open letter has this id.
        """
        [(_, event)] = self._fetch(_SQL["redrive"], _redrive([identity], by, edited))
        return event if isinstance(event, UUID) else None

    def discard(self, identity: UUID, *, by: str) -> bool:
        """Leave the letter as it is; return whether an open one has this id."""
        return bool(self._fetch(_SQL["discard"], {"ids": [identity], "by": by}))


class DeadLetterRepository:
    """The dead letters of all apps; each call is a transaction of its own.

    Decisions raise `Conflict` when runs decide over the same letters in another order at the same time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, app_id: AppId) -> DeadLetters:
        """Return those of one app."""

        def fetch(statement: LiteralString | Composed, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            with self._transaction() as connection:
                return connection.execute(statement, {"app_id": app_id, **values}).fetchall()

        return DeadLetters(fetch)

    def begin_with(self, app_id: AppId, lowest: UUID, highest: UUID) -> list[UUID]:
        """Return ids from the lowest to the highest; two when there are more than one."""
        values = {"app_id": app_id, "lowest": lowest, "highest": highest}
        with self._database.connection() as connection:
            return [identity for (identity,) in connection.execute(_SQL["begin_with"], values)]

    def redrive_many(self, app_id: AppId, wanted: LetterFilter, *, limit: int, by: str) -> Decided:
        """Let triggers take open letters again, oldest first; all of them or, when it raises, none."""
        return self._decide(app_id, wanted, limit, _SQL["redrive"], by)

    def discard_many(self, app_id: AppId, wanted: LetterFilter, *, limit: int, by: str) -> Decided:
        """Leave open letters as they are; otherwise as `redrive_many`."""
        return self._decide(app_id, wanted, limit, _SQL["discard"], by)

    def _decide(self, app_id: AppId, wanted: LetterFilter, limit: int, statement: LiteralString, by: str) -> Decided:
        values = {"app_id": app_id, **_filter(wanted), "state": LetterState.OPEN, "limit": limit + 1}
        with self._transaction() as connection:
            connection.execute(_SQL["lock_app"], values)
            chosen = [identity for (identity,) in connection.execute(_CHOOSE, values)]
            ids = chosen[:limit]
            rows = connection.execute(statement, {"app_id": app_id, **_redrive(ids, by, None)}).fetchall()
        events = {row[0]: row[1] if len(row) > 1 else None for row in rows}
        return Decided({identity: events[identity] for identity in ids}, more=len(chosen) > limit)

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Any]]:
        try:
            with self._database.connection() as connection:
                yield connection
        except pg.DeadlockDetected as error:
            raise Conflict("Runs decide over the same dead letters at this moment: try again.") from error


def _filter(wanted: LetterFilter) -> dict[str, Any]:
    return {**asdict(wanted), "ids": None if wanted.ids is None else list(wanted.ids)}


def _redrive(ids: Sequence[UUID], by: str, edited: Content | None) -> dict[str, Any]:
    return {
        "ids": list(ids),
        "by": by,
        "edited": None if edited is None else edited.content,
        "edited_is_json": None if edited is None else edited.is_json,
    }


def _letter(
    identity: UUID, event_id: UUID, trigger: str, kind: str, name: str, operation: str | None, key: bytes | None,
    version: int | None, script: str, code: str, message: str, attempts: int, sent_at: datetime, failed_at: datetime,
    state: str, decided_at: datetime | None, decided_by: str | None, redriven_as: UUID | None, redrives: UUID | None,
    is_json: bool, payload: bytes | None, before: bytes | None, failures: Sequence[object],
) -> DeadLetter:  # fmt: skip
    return DeadLetter(
        identity, event_id, trigger, TriggerKind(kind), name, operation, key, version, script, code, message, attempts,
        sent_at, failed_at, LetterState(state), decided_at, decided_by, redriven_as, redrives, is_json, payload, before,
        tuple(map(Attempt.of, failures)),
    )  # fmt: skip
