"""The database as the rest of PiCloud sees it: connections from a pool, and one error when there is none to be had.

Statement errors (a taken name, a broken constraint) pass through as psycopg's: the repository that runs the statement
knows what they mean.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from picloud.errors import DatabaseUnavailable, InvalidInput

_CONNECT_OPTIONS = {
    "application_name": "picloud",
    # A server that vanishes without a word is noticed within about a minute, not after the kernel's two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_LOST = ("08", "57P")
"""SQLSTATE classes: connection exception; the server stops, crashed or starts."""
_NO_SLOT = "53300"

_log = logging.getLogger(__name__)


class Database:
    """A pool of connections to one database; use from any thread, not across a fork.

    `pool_size` is the most connections kept open; `timeout_s` how long `connection` waits for one.
    """

    def __init__(
        self, conninfo: str, *, pool_size: int, timeout_s: float,
        configure: Callable[[psycopg.Connection[Any]], None] | None = None,
        connection_class: type[psycopg.Connection[Any]] = psycopg.Connection,
    ) -> None:  # fmt: skip
        """Take how to connect; `configure` is done once to each connection."""
        self.conninfo = conninfo
        self._pool = ConnectionPool(
            conninfo,
            min_size=0,
            max_size=pool_size,
            timeout=timeout_s,
            # Past this the pool forgets its growing pauses between attempts, and the next call tries at once.
            reconnect_timeout=timeout_s,
            kwargs={**_CONNECT_OPTIONS, "autocommit": True, "connect_timeout": max(2, round(timeout_s))},
            check=check_alive,
            configure=configure,
            connection_class=connection_class,
            open=False,
            name="picloud",
        )

    def open(self) -> None:
        """Make the pool usable; connects on first use."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections; a connection in use is closed when it comes back."""
        self._pool.close()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """Lend a connection: commits at the end of the block, rolls back when it raises.

        Raises `DatabaseUnavailable` when there is no connection in time or when it is lost on the way; after a loss at
        the end of the block it is unknown whether the transaction happened.
        """
        with self.lend() as connection, connection.transaction():
            yield connection

    def fetch_one(self, statement: LiteralString, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run one statement as a transaction of its own, in one round trip; return its first row, if any.

        Raises `DatabaseUnavailable` as `connection` does.
        """
        with self.lend() as connection:
            return connection.execute(statement, values).fetchone()

    @contextmanager
    def lend(self, timeout_s: float | None = None) -> Iterator[psycopg.Connection]:
        """Lend a connection, whose statements are transactions of their own; raises as `connection` does.

        `timeout_s` shortens how long it waits for one.
        """
        connection: psycopg.Connection | None = None
        wait_s = self._pool.timeout if timeout_s is None else min(timeout_s, self._pool.timeout)
        try:
            with self._pool.connection(wait_s) as connection:
                yield connection
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise self._unavailable(error) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            unavailable = self.unavailable(error, connection)
            if unavailable is None:
                raise
            raise unavailable from error

    def unavailable(self, error: psycopg.Error, connection: psycopg.Connection | None) -> DatabaseUnavailable | None:
        """Return the error that a lost connection is; None when the error says something else."""
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and _means_lost(error, connection)
        return self._unavailable(error) if lost else None

    def is_lost(self, error: BaseException | None) -> bool:
        """Tell, and log, whether an error of a connection that is not this pool's says that the database is away."""
        return isinstance(error, psycopg.Error) and self.unavailable(error, None) is not None

    @staticmethod
    def _unavailable(error: Exception) -> DatabaseUnavailable:
        _log.warning("The database does not answer: %s", error, extra={"action": "database_unavailable"})
        return DatabaseUnavailable()


def connect(conninfo: str) -> psycopg.Connection:
    """Open one connection in autocommit mode, outside any pool.

    Raises `DatabaseUnavailable` when nothing answers, `InvalidInput` when `conninfo` is not one.
    """
    try:
        return psycopg.connect(conninfo, autocommit=True, application_name="picloud", connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    except psycopg.ProgrammingError:
        # Without the cause: libpq quotes the whole URL, password included.
        raise InvalidInput(
            "PICLOUD_DATABASE_URL cannot be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from None


def _means_lost(error: psycopg.Error, connection: psycopg.Connection | None) -> bool:
    if connection is None or connection.broken or connection.closed:
        return True
    state = error.sqlstate or ""
    return state.startswith(_LOST) or state == _NO_SLOT


def check_alive(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Raise `psycopg.OperationalError` for a connection whose server went away; costs no round trip.

    A server that stops or dies closes the socket, which makes it readable. What else may be waiting there (notices,
    changed parameters) is taken in and kept by libpq.
    """
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    while waiting.poll(0):
        connection.pgconn.consume_input()
