"""Apps."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import psycopg

from picloud.errors import Conflict, NotFound
from picloud.model.app import APP_NAME, App, AppId
from picloud.storage.database import Database
from picloud.storage.queries import load

_SQL = load("apps.sql")


class AppRepository:
    """Stores apps; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str) -> App:
        """Add an app; raise `Conflict` when the name is taken."""
        with self._database.connection() as connection:
            app = create_app(connection, name)
        if app is None:
            raise Conflict(f"There is an app {name!r} already.")
        return app

    def get(self, name: str) -> App:
        """Return the app of this name, else raise `NotFound`."""
        row = self._database.fetch_one(_SQL["get_app"], {"name": name}) if APP_NAME.fullmatch(name) else None
        if row is None:
            raise NotFound(f"There is no app {name[:80]!r}.")
        return app_of(*row)

    def list(self) -> list[App]:
        """Return all apps by name."""
        with self._database.connection() as connection:
            return [app_of(*row) for row in connection.execute(_SQL["list_apps"])]

    def delete(self, name: str) -> None:
        """Delete the app with everything it owns; raise `NotFound` when it is not there."""
        with self._database.connection() as connection:
            if connection.execute(_SQL["delete_app"], {"name": name}).fetchone() is None:
                raise NotFound(f"There is no app {name[:80]!r}.")


def create_app(connection: psycopg.Connection, name: str) -> App | None:
    """Add an app in the caller's transaction, which locks it; None when the name is taken."""
    row = connection.execute(_SQL["create_app"], {"name": name}).fetchone()
    return app_of(*row) if row else None


def find_app(connection: psycopg.Connection, name: str) -> App | None:
    """Return the app of this name in the caller's transaction, None when there is none."""
    row = connection.execute(_SQL["get_app"], {"name": name}).fetchone()
    return app_of(*row) if row else None


def hold_app(connection: psycopg.Connection, app_id: UUID) -> None:
    """Keep the app from being published or deleted until the caller's transaction ends; waits for who is at it."""
    connection.execute(_SQL["hold_app"], {"app_id": app_id})


def app_of(app_id: UUID, name: str, revision: int, created_at: datetime) -> App:
    """Make an app of a row."""
    return App(AppId(app_id), name, revision, created_at)
