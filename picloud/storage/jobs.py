"""Connections to the jobs of workers, as procrastinate is to have them."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from picloud.storage.database import check_alive


def job_pool(**options: Any) -> AsyncConnectionPool:
    """Return a pool with these options of psycopg's, whose connections need fewer round trips than they would."""
    return AsyncConnectionPool(**options | {"check": _check_alive, "configure": _configure})


async def _check_alive(connection: AsyncConnection) -> None:
    check_alive(connection)


async def _configure(connection: AsyncConnection) -> None:
    """Let each statement be a transaction, which does not wait for the disk.

    Procrastinate never has two statements in one. What it writes is which worker has which job: when a server forgets
    that as it dies, the job comes again.
    """
    await connection.set_autocommit(True)
    await connection.execute("SET synchronous_commit = off")
