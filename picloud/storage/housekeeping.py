"""What becomes rubbish with time, and its removal."""

from __future__ import annotations

from datetime import timedelta

from picloud.storage.database import Database
from picloud.storage.queries import load

EXPIRED_TOKENS_KEPT = timedelta(days=30)
"""How long an expired token stays in lists, so that its owner can see why it no longer works."""

TICKS_KEPT = timedelta(days=7)
"""How long it is kept what became of a tick."""

_SQL = load("housekeeping.sql")


def delete_old_ticks(database: Database) -> int:
    """Delete what became of ticks longer ago than `TICKS_KEPT`, return how many entries."""
    with database.connection() as connection:
        return connection.execute(_SQL["delete_old_ticks"], {"kept": TICKS_KEPT}).rowcount


def delete_old_letters(database: Database, *, open_days: int | None, decided_days: int) -> int:
    """Delete the dead letters that were decided over so long ago, and open ones that failed so long ago.

    Open ones are kept for good with None. Returns how many went.
    """
    with database.connection() as connection:
        values = {"open_days": open_days, "decided_days": decided_days}
        return connection.execute(_SQL["delete_old_letters"], values).rowcount


def delete_expired_tokens(database: Database) -> int:
    """Delete the tokens that expired longer ago than `EXPIRED_TOKENS_KEPT`, return how many."""
    with database.connection() as connection:
        return connection.execute(_SQL["delete_expired_tokens"], {"kept": EXPIRED_TOKENS_KEPT}).rowcount
