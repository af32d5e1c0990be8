"""All rows of one app, read at one moment or written in one transaction. The caller says which tables and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.sql import SQL, Composed, Identifier

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.app import App
from picloud.model.release import Manifest
from picloud.storage.apps import create_app, find_app
from picloud.storage.database import Database
from picloud.storage.live import read_parts, replace_live
from picloud.storage.queries import load
from picloud.storage.releases import manifest_of, stored_form

_SQL = load("transfer.sql")

Write = Callable[[Sequence[Any]], None]


class AppSnapshot:
    """An app as it was at one moment, whatever is written meanwhile."""

    def __init__(self, connection: psycopg.Connection, app: App) -> None:
        self._connection = connection
        self.app = app

    def rows(self, table: str, columns: Sequence[str], order: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the app's rows of a table one by one, as the server sends them; read them all before anything else."""
        statement = SQL(_SQL["read"]).format(columns=_list(columns), table=Identifier(table), order=_list(order))
        with self._connection.cursor() as cursor:
            yield from cursor.stream(statement, {"app_id": self.app.id})

    def live(self) -> dict[str, Any]:
        """Return what is live as a manifest is stored."""
        scripts, routes, triggers = read_parts(self._connection, self.app.id)
        return stored_form(Manifest(tuple(linked.script for linked in scripts), routes, triggers=triggers))


@contextmanager
def snapshot(database: Database, name: str) -> Iterator[AppSnapshot]:
    """Yield the app of this name as it is now; raise `NotFound` without one. Nobody who writes waits for it."""
    with database.connection() as connection:
        connection.execute(_SQL["begin_snapshot"])
        connection.execute(_SQL["in_utc"])
        app = find_app(connection, name)
        if app is None:
            raise NotFound(f"There is no app {name[:80]!r}.")
        yield AppSnapshot(connection, app)


class NewApp:
    """An app that is written row by row; nobody sees it before `new_app` ends."""

    def __init__(self, connection: psycopg.Connection, app: App) -> None:
        self._connection = connection
        self.app = app

    @contextmanager
    def writing(self, table: str, columns: Sequence[str]) -> Iterator[Write]:
        """Yield what adds a row to a table; do nothing else in the block.

        Raises `InvalidInput` when the table does not take the rows, at the latest at the end of the block.
        """
        statement = SQL(_SQL["write"]).format(columns=_list(["app_id", *columns]), table=Identifier(table))
        try:
            with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
                yield lambda values: copy.write_row([self.app.id, *values])
        except pg.UniqueViolation as error:
            raise InvalidInput(f"{table}: two rows have the same key") from error
        except (psycopg.IntegrityError, psycopg.DataError, pg.ProgramLimitExceeded) as error:
            raise InvalidInput(f"{table}: a row is not valid") from error

    def release_numbers(self) -> list[int]:
        """Return the numbers of the releases, in order."""
        rows = self._connection.execute(_SQL["release_numbers"], {"app_id": self.app.id})
        return [number for (number,) in rows]

    def manifest(self, number: int) -> dict[str, Any]:
        """Return the manifest of a release as it is stored."""
        values = {"app_id": self.app.id, "number": number}
        [(stored,)] = self._connection.execute(_SQL["manifest"], values)
        return dict(stored)

    def manifest_of(self, stored: Mapping[str, Any]) -> Manifest:
        """Return what a manifest in stored form says; raises `InvalidInput` as `storage.releases.manifest_of`."""
        return manifest_of(self._connection, self.app.id, stored)

    def go_live(self, manifest: Manifest, imports: Mapping[str, tuple[str, ...]]) -> None:
        """Make a manifest live, as `storage.live.replace_live` does."""
        replace_live(self._connection, self.app.id, manifest, imports)

    def count_sources(self) -> int:
        """Return how many texts are kept."""
        return self._number("count_sources")

    def most_indexes(self) -> int:
        """Return how many indexes the collection with most of them has."""
        return self._number("most_indexes")

    def finish(self, *, revision: int, created_at: datetime) -> None:
        """Give the app the revision and age it had elsewhere."""
        values = {"app_id": self.app.id, "revision": revision, "created_at": created_at}
        self._connection.execute(_SQL["finish_app"], values)

    def _number(self, statement: str) -> int:
        row = self._connection.execute(_SQL[statement], {"app_id": self.app.id}).fetchone()
        assert row is not None  # noqa: S101  (an aggregate has one row)
        return int(row[0])


@contextmanager
def new_app(database: Database, name: str) -> Iterator[NewApp]:
    """Yield an app that is there if the block ends without an error; raise `Conflict` when the name is taken."""
    with database.connection() as connection:
        app = create_app(connection, name)
        if app is None:
            raise Conflict(
                f"There is an app {name!r} already: import under another name with --as, or delete that one first."
            )
        connection.execute(_SQL["begin_import"])
        yield NewApp(connection, app)


def _list(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))
