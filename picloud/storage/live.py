"""What is live in an app: its scripts with their import graph, its routes and its triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from picloud.model.app import App, AppId
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route, RouteAuth
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.model.trigger import Trigger
from picloud.storage.apps import app_of
from picloud.storage.database import Database
from picloud.storage.queries import load
from picloud.storage.triggers import add_triggers, delete_changed_triggers, read_triggers

_SQL = load("live.sql")


@dataclass(frozen=True, slots=True)
class LiveApp:
    """Everything that is live of an app, all of one revision."""

    revision: int
    scripts: tuple[LinkedScript, ...]
    routes: tuple[Route, ...]
    triggers: tuple[Trigger, ...] = ()

    def manifest(self, tests: tuple[TestSource, ...] = ()) -> Manifest:
        """Return it as a manifest; the tests live in the release."""
        return Manifest(tuple(linked.script for linked in self.scripts), self.routes, tests, self.triggers)


class LiveRepository:
    """Reads and replaces what is live."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, app_id: AppId) -> LiveApp:
        """Return what is live; an app that is gone has revision -1 and nothing else."""
        with self._database.connection() as connection:
            return read_live(connection, app_id)

    def manifest(self, app_id: AppId) -> Manifest:
        """Return what is live as a manifest without tests."""
        return self.read(app_id).manifest()


def lock_app(connection: psycopg.Connection, name: str) -> App | None:
    """Return the app and keep others from changing it until the transaction ends; None when there is none."""
    row = connection.execute(_SQL["lock_app"], {"name": name}).fetchone()
    return app_of(*row) if row else None


def read_live(connection: psycopg.Connection, app_id: AppId) -> LiveApp:
    """Return what is live; the row lock on the app keeps revision and content of one publish together."""
    row = connection.execute(_SQL["revision"], {"app_id": app_id}).fetchone()
    return LiveApp(row[0] if row else -1, *read_parts(connection, app_id))


def read_parts(
    connection: psycopg.Connection, app_id: AppId
) -> tuple[tuple[LinkedScript, ...], tuple[Route, ...], tuple[Trigger, ...]]:
    """Return what is live, of one revision only if the caller's transaction sees one moment."""
    values = {"app_id": app_id}
    scripts = tuple(
        LinkedScript(Script(name, ScriptKind(kind), source), tuple(imports))
        for name, kind, source, imports in connection.execute(_SQL["list_scripts"], values)
    )
    routes = tuple(
        Route(method, pattern, script, RouteAuth(auth), timing)
        for method, pattern, script, auth, timing in connection.execute(_SQL["list_routes"], values)
    )
    return scripts, routes, read_triggers(connection, app_id)


def replace_live(
    connection: psycopg.Connection, app_id: AppId, manifest: Manifest, imports: Mapping[str, tuple[str, ...]]
) -> None:
    """Make the manifest live and raise the app's revision, in the caller's transaction; the app's row is locked by it.

    `imports` holds the literal requires of each script. Scripts that did not change are left as they are.
    """
    before = {linked.script.name: linked.script for linked in read_live(connection, app_id).scripts}
    wanted = {script.name: script for script in manifest.scripts}
    moment = delete_changed_triggers(connection, app_id, manifest.triggers)
    connection.execute(_SQL["delete_routes"], {"app_id": app_id})
    connection.execute(_SQL["delete_scripts"], {"app_id": app_id, "names": sorted(before.keys() - wanted.keys())})
    for script in wanted.values():
        if before.get(script.name) != script:
            put_source(connection, app_id, script.version, script.source)
            values = {"name": script.name, "kind": script.kind, "version": script.version}
            connection.execute(_SQL["put_script"], values | {"app_id": app_id, "imports": list(imports[script.name])})
    connection.execute(_SQL["link_imports"], {"app_id": app_id})
    for route in manifest.routes:
        values = {"method": route.method, "shape": route.shape, "pattern": route.pattern, "auth": route.auth}
        more = {"app_id": app_id, "script": route.script, "timing": route.timing}
        connection.execute(_SQL["put_route"], values | more)
    add_triggers(connection, app_id, manifest.triggers, moment)
    connection.execute(_SQL["raise_revision"], {"app_id": app_id})


def put_source(connection: psycopg.Connection, app_id: AppId, version: str, source: str) -> None:
    """Keep a text under its version; a text that is there already is left alone."""
    connection.execute(_SQL["put_source"], {"app_id": app_id, "version": version, "source": source})
