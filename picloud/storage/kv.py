"""Key-value entries of one app. Times are seconds since 1970, by the caller's clock; keys and contents are bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from psycopg import errors as pg

from picloud.errors import InvalidInput
from picloud.storage.data import DataSession
from picloud.storage.database import Database
from picloud.storage.queries import load

SWEEP: Final = 1000
"""Expired entries deleted in one transaction."""

_SQL = load("kv.sql")


class Content(NamedTuple):
    """What an entry holds."""

    is_json: bool
    content: bytes


class Entry(NamedTuple):
    """One entry as it is listed."""

    key: bytes
    is_json: bool
    content: bytes
    version: int


def get(session: DataSession, key: bytes, *, now_s: float) -> tuple[Content, int] | None:
    """Return content and version, None when there is no entry."""
    for is_json, value, version in session.fetch(_SQL["get"], {"key": key, "now": now_s}):
        return Content(is_json, value), version
    return None


def exists(session: DataSession, key: bytes, *, now_s: float) -> bool:
    """Tell whether there is an entry."""
    return bool(session.fetch(_SQL["exists"], {"key": key, "now": now_s}))


def get_many(session: DataSession, keys: Sequence[bytes], *, now_s: float, bytes_max: int) -> dict[bytes, Content]:
    """Return the entries there are; raise `InvalidInput` when they have more than `bytes_max` in all."""
    rows = session.fetch(_SQL["get_many"], {"keys": list(keys), "now": now_s, "bytes_max": bytes_max})
    if any(value is None for _, _, value in rows):
        raise InvalidInput(f"these entries have more than {bytes_max} bytes in all: ask for fewer at a time")
    return {key: Content(is_json, value) for key, is_json, value in rows}


def page(
    session: DataSession, prefix: bytes, after: bytes, *, limit: int, now_s: float, bytes_max: int
) -> tuple[list[Entry], bool]:
    """Return entries in the order of their keys' bytes and whether there are more.

    A page has at most `limit` entries, and but for its first no more than `bytes_max` in all.
    """
    values = {"first": prefix, "end": _end(prefix), "after": after, "limit": limit + 1}
    rows = session.fetch(_SQL["list"], values | {"now": now_s, "bytes_max": bytes_max})
    entries = [Entry(*row[:4]) for row in rows[:limit]]
    return entries, bool(rows) and rows[0][4] > len(entries)


def put(
    session: DataSession, key: bytes, content: Content,
    *, expires_s: float | None, now_s: float, only_if_absent: bool = False,
) -> int | None:  # fmt: skip
    """Set an entry, only one that is not there when that is asked for; return its version, None when it was there."""
    values = {"key": key, "is_json": content.is_json, "value": content.content, "expires": expires_s, "now": now_s}
    return _first(session.fetch(_SQL["set"], values | {"only_if_absent": only_if_absent}))


def swap(
    session: DataSession, key: bytes, content: Content, *, if_version: int, expires_s: float | None, now_s: float
) -> int | None:
    """Set an entry that has this version; return its new one, None when it has another or is not there."""
    values = {"key": key, "is_json": content.is_json, "value": content.content, "expires": expires_s, "now": now_s}
    return _first(session.fetch(_SQL["swap"], values | {"if_version": if_version}))


def put_many(session: DataSession, entries: Mapping[bytes, Content], *, expires_s: float | None) -> None:
    """Set all these entries at once."""
    values = {
        "keys": list(entries),
        "are_json": [content.is_json for content in entries.values()],
        "contents": [content.content for content in entries.values()],
    }
    session.fetch(_SQL["set_many"], values | {"expires": expires_s})


def incr(session: DataSession, key: bytes, by: int, *, expires_s: float | None, now_s: float) -> int:
    """Add to an integer, 0 when there is none, and return the sum.

    `expires_s` is for an entry that is made. Raises `InvalidInput` for another value, or a sum beyond 64 bits.
    """
    values = {"key": key, "by": by, "expires": expires_s, "now": now_s}
    try:
        total = _first(session.fetch(_SQL["incr"], values, guarded=True))
    except pg.NumericValueOutOfRange:
        raise InvalidInput("the sum has more than 64 bits") from None
    if total is None:
        raise InvalidInput("the entry does not hold an integer")
    return total


def delete(session: DataSession, key: bytes, *, if_version: int | None, now_s: float) -> bool:
    """Delete an entry, when it has this version if one is given; return whether there was one to delete."""
    rows = session.fetch(_SQL["delete"], {"key": key, "if_version": if_version, "now": now_s})
    return bool(rows and rows[0][0])


def commit(
    session: DataSession, *, checks: Mapping[bytes, int | None], sets: Mapping[bytes, Content],
    deletes: Sequence[bytes], expires_s: float | None, now_s: float,
) -> bool:  # fmt: skip
    """Delete and set when all checks hold, at once, and return whether they did.

    A check wants an entry to have a version, or with None not to be there.
    """
    keys = sorted({*checks, *sets, *deletes})
    with session.transaction():
        found = dict(session.fetch(_SQL["lock"], {"keys": keys, "now": now_s}))
        holds = all(found[key] == version for key, version in checks.items())
        if holds:
            session.fetch(_SQL["delete_many"], {"keys": list(deletes)})
            put_many(session, sets, expires_s=expires_s)
        session.fetch(_SQL["unlock"], {"keys": keys})
    return holds


def delete_expired(database: Database) -> int:
    """Delete what has expired in all apps, return how many entries; what a run works on stays for the next time."""
    total = 0
    while True:
        with database.connection() as connection:
            deleted = connection.execute(_SQL["delete_expired"], {"limit": SWEEP}).rowcount
        total += deleted
        if deleted < SWEEP:
            return total


def _first(rows: list[tuple[int, ...]]) -> int | None:
    return rows[0][0] if rows else None


def _end(prefix: bytes) -> bytes | None:
    """Return the first key after all that begin with the prefix, None when there is no end."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
