"""Messages that scripts send, and dead letters: those no trigger could take. Times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

from picloud.storage.data import DataSession
from picloud.storage.kv import Content
from picloud.storage.queries import load

_SQL = load("events.sql")

Kind = Literal["queue", "topic"]
BY_SCRIPT: Final = "script"
"""Who decided over a dead letter, when it was not a person."""


class DeadLetter(NamedTuple):
    """A message no trigger could take."""

    id: UUID
    kind: str
    name: str
    """Collection, queue or topic; the trigger of a tick."""
    is_json: bool
    payload: bytes | None
    script: str
    code: str
    message: str
    """What went wrong at the last attempt."""
    attempts: int
    sent_s: float
    failed_us: int
    """Microseconds since 1970: a page goes on exactly where the one before ended."""


def send(
    session: DataSession, kind: Kind, name: str, messages: Sequence[tuple[UUID, Content]],
    *, now_s: float, due_s: float, dedupe_key: bytes | None = None,
) -> list[UUID]:  # fmt: skip
    """Keep messages to be delivered from `due_s` on; return the ids of those that are new.

    A message with a `dedupe_key` that another waits with already is left out.
    """
    values = {
        "ids": [identity for identity, _ in messages],
        "are_json": [content.is_json for _, content in messages],
        "payloads": [content.content for _, content in messages],
        "dedupe_key": dedupe_key,
    }
    rows = session.fetch(_SQL["send"], values | {"kind": kind, "name": name, "now": now_s, "due": due_s})
    return [identity for (identity,) in rows]


def count(session: DataSession, kind: Kind, name: str) -> int:
    """Return how many messages wait."""
    return int(session.fetch(_SQL["count"], {"kind": kind, "name": name})[0][0])


def list_dead(session: DataSession, *, limit: int, before: tuple[int, UUID] | None) -> list[DeadLetter]:
    """Return dead letters, newest first, from those that failed before a time (in microseconds) and id on."""
    before_us, before_id = before or (None, None)
    values = {"limit": limit, "before_us": before_us, "before_id": before_id}
    return [DeadLetter(*row) for row in session.fetch(_SQL["list_dead"], values)]


def get_dead(session: DataSession, identity: UUID) -> DeadLetter | None:
    """Return one dead letter."""
    rows = session.fetch(_SQL["get_dead"], {"id": identity})
    return DeadLetter(*rows[0]) if rows else None


def redrive(session: DataSession, identity: UUID) -> bool:
    """Deliver a dead letter again; return whether there was one."""
    values = {"id": identity, "edited": None, "edited_is_json": None, "by": BY_SCRIPT}
    return session.fetch(_SQL["redrive"], values)[0][0] is not None


def discard(session: DataSession, identity: UUID) -> bool:
    """Delete a dead letter; return whether there was one."""
    return bool(session.fetch(_SQL["discard"], {"id": identity, "by": BY_SCRIPT}))
