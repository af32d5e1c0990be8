"""Messages that scripts send. Times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from picloud.storage.data import DataSession
from picloud.storage.kv import Content
from picloud.storage.queries import load

_SQL = load("events.sql")

Kind = Literal["queue", "topic"]


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
