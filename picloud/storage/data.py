"""The data of one app as one run sees it: one connection, taken at first use, and its transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Final, LiteralString, cast
from uuid import uuid4

import psycopg
from psycopg import errors as pg
from psycopg.sql import Composed

from picloud.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PicloudError,
    PlatformError,
    RunInterrupted,
    TimeLimitExceeded,
)
from picloud.model.app import App
from picloud.storage.database import Database, connect
from picloud.storage.queries import load

RUNTIME_ROLE: Final = "picloud_runtime"
"""Owns nothing, and sees the rows of the app its session is set to (`0004_data.sql`)."""
DEPTH_MAX: Final = 16
"""Transactions within transactions."""
TIMEOUT_SLACK: Final = 1.25
"""A statement may take this much longer than its run has left: to set the limit anew costs a round trip."""
TIMEOUT_MIN_S: Final = 0.01
TIMEOUT_SHORT_S: Final = 1.0
CANCEL_TIMEOUT_S: Final = 5.0
"""How long the server may take to accept a cancellation."""
CANCEL_AGAIN_S: Final = 0.05
"""A cancellation that comes before its statement has reached the server finds nothing to cancel: it is sent again."""

_SQL = load("data.sql")
_NO_ROLE = (pg.InsufficientPrivilege, pg.InvalidParameterValue, pg.UndefinedObject)
_log = logging.getLogger(__name__)


class RunConnection(psycopg.Connection[Any]):
    """A connection of runs, which knows what it is set to: app, depth of triggers, how long a statement may take."""

    app_id: object = None
    causes: int = 0
    timeout_s: float = 0.0


def open_runs_database(conninfo: str, *, pool_size: int, timeout_s: float) -> Database:
    """Return a pool for runs: its connections work as the runtime role."""

    def configure(connection: psycopg.Connection[Any]) -> None:
        connection.execute(_SQL["see_what_others_committed"])  # statements rely on it, whatever the server's default
        try:
            connection.execute(_SQL["become_runtime"])
        except _NO_ROLE:
            _log.warning(
                "The database has no role %s for this user: runs work as its owner", RUNTIME_ROLE,
                extra={"action": "no_runtime_role"},
            )  # fmt: skip

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
    """One run's way to its app's data. For one thread, but for `interrupt`."""

    def __init__(
        self, database: Database, app: App, remaining_s: Callable[[], float], discard: bool = False, causes: int = 0
    ) -> None:
        """Take the pool of runs and what tells how long the run may still take, which no statement outlives by much.

        With `discard` all happens in one transaction, which is rolled back at the end. `causes` says how many triggers
        led to the run.
        """
        self._database = database
        self._app = app
        self._remaining_s = remaining_s
        self._discard = discard
        self._causes = causes
        self._stack = ExitStack()
        self._connection: RunConnection | None = None
        self._depth = 0
        self._failed = False
        self._ending = threading.Lock()
        """Held while a cancellation is sent: the connection is not given back meanwhile, and none is sent later."""
        self._ended = self._interrupted = False

    def fetch(
        self, statement: LiteralString | Composed, values: Mapping[str, Any], *, guarded: bool = False
    ) -> list[tuple[Any, ...]]:
        """Run one statement, which also gets `app_id`; return its rows, if it has any.

        Outside of `begin` it is a transaction of its own. `guarded` keeps its error from ending the transaction around
        it, and lets psycopg's own through, for whoever expects it. Raises `DatabaseUnavailable`; `Conflict` for a
        deadlock; `NotFound` when the app is gone; `TimeLimitExceeded`; `PlatformError` for all else.
        """
        self._check()
        connection = self._connect()
        with self.transaction() if guarded and self._depth else nullcontext():
            try:
                cursor = connection.execute(statement, {"app_id": self._app.id, **values})
                return cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                self._failed = self._depth > 0
                raise self._translated(error, error if guarded else PlatformError()) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep what happens in the block as a whole, or nothing of it when it raises."""
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def begin(self) -> None:
        """Start a transaction, or one within the current one; raise `InvalidInput` when there are too many."""
        self._check()
        if self._depth >= DEPTH_MAX:
            raise InvalidInput(f"more than {DEPTH_MAX} transactions within each other")
        connection = self._connect()
        self._execute(connection, "BEGIN" if self._depth == 0 else f"SAVEPOINT level_{self._depth}", {})
        self._depth += 1

    def commit(self) -> None:
        """End the innermost transaction, keeping what it did."""
        if self._failed:
            self.rollback()
            raise Conflict("the transaction has failed: nothing of it was kept")
        self._depth -= 1
        self._end("COMMIT" if self._depth == 0 else f"RELEASE SAVEPOINT level_{self._depth}")

    def rollback(self) -> None:
        """End the innermost transaction, undoing what it did."""
        self._depth -= 1
        self._failed = False
        if self._depth == 0:
            self._end("ROLLBACK")
        else:
            self._end(f"ROLLBACK TO SAVEPOINT level_{self._depth}")
            self._end(f"RELEASE SAVEPOINT level_{self._depth}")
        self._forget_limit()

    @property
    def depth(self) -> int:
        """How many transactions are open within each other."""
        return self._depth

    def undo_to(self, depth: int) -> None:
        """Roll back what was begun since so many transactions were open, by a run that ended within."""
        lowest = max(depth, int(self._discard))
        while self._connection is not None and self._depth > lowest and not self._connection.broken:
            self.rollback()

    def interrupt(self) -> None:
        """End the statement that waits now, from any thread; for a run that is being stopped and makes no further one.

        The connection is not used again, so that a cancellation which is still on its way meets no other run.
        """
        threading.Thread(target=self._cancel_until_ended, name="picloud-cancel", daemon=True).start()

    def _cancel_until_ended(self) -> None:
        while self._cancel():
            time.sleep(CANCEL_AGAIN_S)

    def _cancel(self) -> bool:
        """Cancel what the server does for this run; return whether the run may still start something."""
        with self._ending:
            if self._ended:
                return False
            self._interrupted = True
            if self._connection is not None:
                try:
                    self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
                except psycopg.Error as error:  # the next attempt may get through
                    _log.debug("A cancellation was not accepted: %s", error)
            return True

    def close(self) -> None:
        """Give the connection back; what is not committed is undone."""
        with self._ending:
            self._ended = True
        if self._interrupted and self._connection is not None:
            self._connection.close()
        try:
            if self._connection is not None and not self._connection.closed:
                if self._depth:
                    self._end("ROLLBACK")
                    self._forget_limit()
                self._loosen()
        except PicloudError as error:  # the run has ended its own way already: what it ended with is told
            _log.debug("A connection was not made ready for the next run: %s", error)
            if self._connection is not None:
                self._connection.close()
        finally:
            self._depth, self._connection = 0, None
            self._stack.close()

    def _connect(self) -> psycopg.Connection[Any]:
        """Return the connection, set to the app and to the time the run has left."""
        connection = self._connection
        if connection is not None:
            self._limit(connection)
            return connection
        with ExitStack() as stack:  # a connection that was not made ready is not used
            lent = stack.enter_context(self._database.lend(timeout_s=max(TIMEOUT_MIN_S, self._remaining_s())))
            connection = cast("RunConnection", lent)  # the pool makes them so
            self._make_ready(connection)
            self._stack = stack.pop_all()
        self._connection, self._depth = connection, int(self._discard)
        return connection

    def _make_ready(self, connection: RunConnection) -> None:
        self._limit(connection)
        if (connection.app_id, connection.causes) != (self._app.id, self._causes):
            connection.app_id = None
            values = {"app_id": str(self._app.id), "causes": str(self._causes)}
            self._execute(connection, _SQL["set_app"], values)
            connection.app_id, connection.causes = self._app.id, self._causes
        if self._discard:
            self._execute(connection, "BEGIN", {})
            if not self._app.is_stored:  # the tests of a first publish
                self._execute(connection, _SQL["become_owner"], {})
                name = f"t-{uuid4().hex}"
                self._execute(connection, _SQL["create_app"], {"app_id": self._app.id, "name": name})
                self._execute(connection, _SQL["become_runtime_again"], {})

    def _check(self) -> None:
        if self._failed:
            raise Conflict("this transaction has failed already: leave it with an error and try again")

    def _limit(self, connection: RunConnection) -> None:
        left_s = max(TIMEOUT_MIN_S, self._remaining_s())
        if left_s <= connection.timeout_s <= left_s * TIMEOUT_SLACK:
            return
        connection.timeout_s = 0.0
        limit_s = left_s * TIMEOUT_SLACK**0.5  # in the middle, so that it holds for a while in both directions
        self._execute(connection, _SQL["set_statement_timeout"], {"timeout": f"{round(limit_s * 1000)}"})
        connection.timeout_s = limit_s

    def _loosen(self) -> None:
        """Take a short limit off, so that the next run's first statement does not fall under it."""
        connection = self._connection
        if connection is not None and 0 < connection.timeout_s < TIMEOUT_SHORT_S:
            connection.timeout_s = 0.0
            self._execute(connection, _SQL["set_statement_timeout"], {"timeout": "0"})

    def _forget_limit(self) -> None:
        """Set it anew before the next statement: a transaction that is rolled back takes its settings along."""
        if self._connection is not None:
            self._connection.timeout_s = 0.0

    def _end(self, statement: LiteralString) -> None:
        """End a transaction, which may have failed: no other statement would be taken then."""
        assert self._connection is not None  # noqa: S101  (it has begun)
        self._execute(self._connection, statement, {})

    def _execute(
        self, connection: psycopg.Connection[Any], statement: LiteralString, values: Mapping[str, Any]
    ) -> None:
        try:
            connection.execute(statement, values)
        except psycopg.Error as error:
            raise self._translated(error, PlatformError()) from error

    def _translated(self, error: psycopg.Error, unexpected: Exception) -> Exception:
        match error:
            case pg.QueryCanceled():
                late = TimeLimitExceeded("A statement took longer than a run may.")
                return RunInterrupted() if self._interrupted else late
            case pg.DeadlockDetected() | pg.SerializationFailure():
                return Conflict("another run changes the same things at the same time: try again")
            case pg.ForeignKeyViolation(diag=diag) if diag.constraint_name and diag.constraint_name.endswith(
                "app_id_fkey"
            ):
                return NotFound("the app is gone")
        unavailable = self._database.unavailable(error, self._connection)
        if unavailable is None and isinstance(unexpected, PlatformError):
            _log.error("A statement of a run failed", exc_info=error, extra={"action": "statement_failed"})
        return unavailable or unexpected


OpenSession = Callable[[App, Callable[[], float], bool, int], DataSession]
"""Opens the data of an app.

Gets what tells the seconds the run has left, whether all is undone at the end, and how many triggers led to the run."""
