"""What becomes rubbish with time, and its removal."""

from __future__ import annotations

from datetime import timedelta

from picloud.storage.database import Database
from picloud.storage.queries import load

EXPIRED_TOKENS_KEPT = timedelta(days=30)
"""How long an expired token stays in lists, so that its owner can see why it no longer works."""

TICKS_KEPT = timedelta(days=7)
"""How long it is kept what became of a tick."""
DECIDED_LETTERS_KEPT = timedelta(days=30)

_SQL = load("housekeeping.sql")


def delete_old_ticks(database: Database) -> int:
    """Delete what became of ticks longer ago than `TICKS_KEPT`, return how many entries."""
    with database.connection() as connection:
        return connection.execute(_SQL["delete_old_ticks"], {"kept": TICKS_KEPT}).rowcount


def delete_decided_letters(database: Database) -> int:
    """Delete the dead letters somebody decided over longer ago than `DECIDED_LETTERS_KEPT`, return how many."""
    with database.connection() as connection:
        return connection.execute(_SQL["delete_decided_letters"], {"kept": DECIDED_LETTERS_KEPT}).rowcount


def delete_expired_tokens(database: Database) -> int:
    """Delete the tokens that expired longer ago than `EXPIRED_TOKENS_KEPT`, return how many."""
    with database.connection() as connection:
        return connection.execute(_SQL["delete_expired_tokens"], {"kept": EXPIRED_TOKENS_KEPT}).rowcount
