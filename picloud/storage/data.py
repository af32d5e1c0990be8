"""The data of one app as one run sees it: one connection, taken at first use, and its transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final, LiteralString
from uuid import uuid4

import psycopg
from psycopg import errors as pg

from picloud.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound, TimeLimitExceeded
from picloud.model.app import App
from picloud.storage.database import Database, connect
from picloud.storage.queries import load

RUNTIME_ROLE: Final = "picloud_runtime"
"""Owns nothing, and sees the rows of the app its session is set to (`0004_data.sql`)."""
DEPTH_MAX: Final = 16
"""Transactions within transactions."""

_SQL = load("data.sql")
_NO_ROLE = (pg.InsufficientPrivilege, pg.InvalidParameterValue, pg.UndefinedObject)
_log = logging.getLogger(__name__)


class RunConnection(psycopg.Connection[Any]):
    """A connection of runs, which knows the app it is set to."""

    app_id: object = None


def open_runs_database(conninfo: str, *, pool_size: int, timeout_s: float, statement_timeout_s: float) -> Database:
    """Return a pool for runs: its connections work as the runtime role, and no statement outlives a run."""

    def configure(connection: psycopg.Connection[Any]) -> None:
        try:
            connection.execute(_SQL["become_runtime"])
        except _NO_ROLE:
            _log.warning(
                "The database has no role %s for this user: runs work as its owner", RUNTIME_ROLE,
                extra={"action": "no_runtime_role"},
            )  # fmt: skip
        connection.execute(_SQL["set_statement_timeout"], {"timeout": f"{max(1, round(statement_timeout_s * 1000))}"})

    database = Database(
        conninfo, pool_size=pool_size, timeout_s=timeout_s, configure=configure, connection_class=RunConnection
    )
    database.open()
    return database


def has_row_security(conninfo: str) -> bool:
    """Tell whether runs work under the runtime role, behind policies that show them one app."""
    with connect(conninfo) as connection:
        try:
            connection.execute(_SQL["become_runtime"])
        except _NO_ROLE:
            return False
        return connection.execute(_SQL["count_open_tables"]).fetchone() == (0,)


class DataSession:
    """One run's way to its app's data. For one thread."""

    def __init__(self, database: Database, app: App, *, discard: bool = False) -> None:
        """Take the pool of runs; with `discard` all happens in one transaction, which is rolled back at the end."""
        self._database = database
        self._app = app
        self._discard = discard
        self._stack = ExitStack()
        self._connection: psycopg.Connection[Any] | None = None
        self._depth = 0
        self._failed = False

    def fetch(
        self, statement: LiteralString, values: Mapping[str, Any], *, guarded: bool = False
    ) -> list[tuple[Any, ...]]:
        """Run one statement, which also gets `app_id`; return its rows, if it has any.

        Outside of `begin` it is a transaction of its own. `guarded` keeps its error from ending the transaction around
        it. Raises `DatabaseUnavailable`; `Conflict` for a deadlock; `NotFound` when the app is gone;
        `TimeLimitExceeded`; other errors of a statement as psycopg's.
        """
        connection = self._connect()
        if self._failed:
            raise Conflict("this transaction has failed already: leave it with an error and try again")
        guard = guarded and self._depth > 0
        if guard:
            self.begin()
        try:
            cursor = connection.execute(statement, {"app_id": self._app.id, **values})
            rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            self._failed = self._depth > 0
            if guard:
                self.rollback()
            raise self._translated(error) from error
        if guard:
            self.commit()
        return rows

    def begin(self) -> None:
        """Start a transaction, or one within the current one; raise `InvalidInput` when there are too many."""
        if self._depth >= DEPTH_MAX:
            raise InvalidInput(f"more than {DEPTH_MAX} transactions within each other")
        connection = self._connect()
        self._control(connection, "BEGIN" if self._depth == 0 else f"SAVEPOINT level_{self._depth}")
        self._depth += 1

    def commit(self) -> None:
        """End the innermost transaction, keeping what it did."""
        if self._failed:
            self.rollback()
            raise Conflict("the transaction has failed: nothing of it was kept")
        self._depth -= 1
        self._control(self._connect(), "COMMIT" if self._depth == 0 else f"RELEASE SAVEPOINT level_{self._depth}")

    def rollback(self) -> None:
        """End the innermost transaction, undoing what it did."""
        self._depth -= 1
        self._failed = False
        self._control(self._connect(), "ROLLBACK" if self._depth == 0 else f"ROLLBACK TO SAVEPOINT level_{self._depth}")

    def close(self) -> None:
        """Give the connection back; what is not committed is undone."""
        try:
            if self._connection is not None and self._depth and not self._connection.broken:
                self._control(self._connection, "ROLLBACK")
        except DatabaseUnavailable:
            _log.debug("The connection was lost before its transaction was rolled back")
        finally:
            self._depth, self._connection = 0, None
            self._stack.close()

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is not None:
            return self._connection
        connection = self._stack.enter_context(self._database.lend())
        assert isinstance(connection, RunConnection)  # noqa: S101  (the pool makes them so)
        self._connection = connection
        if connection.app_id != self._app.id:
            connection.app_id = None
            self._execute(connection, _SQL["set_app"], {"app_id": str(self._app.id)})
            connection.app_id = self._app.id
        if self._discard:
            self._control(connection, "BEGIN")
            self._depth = 1
            if not self._app.is_stored:  # the tests of a first publish
                self._execute(connection, _SQL["become_owner"], {})
                name = f"t-{uuid4().hex}"
                self._execute(connection, _SQL["create_app"], {"app_id": self._app.id, "name": name})
                self._execute(connection, _SQL["become_runtime_again"], {})
        return connection

    def _control(self, connection: psycopg.Connection[Any], statement: LiteralString) -> None:
        self._execute(connection, statement, {})

    def _execute(
        self, connection: psycopg.Connection[Any], statement: LiteralString, values: Mapping[str, Any]
    ) -> None:
        try:
            connection.execute(statement, values)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: psycopg.Error) -> Exception:
        match error:
            case pg.QueryCanceled():
                return TimeLimitExceeded("A statement took longer than a run may.")
            case pg.DeadlockDetected() | pg.SerializationFailure():
                return Conflict("another run changes the same things at the same time: try again")
            case pg.ForeignKeyViolation(diag=diag) if diag.constraint_name and diag.constraint_name.endswith(
                "app_id_fkey"
            ):
                return NotFound("the app is gone")
        return self._database.unavailable(error, self._connection) or error


OpenSession = Callable[[App, bool], DataSession]
"""Opens the data of an app; the second argument says whether everything is undone at the end."""
