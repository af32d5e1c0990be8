"""Releases: manifests kept whole, their texts content-addressed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from picloud.errors import FailedTest, InvalidInput, NotFound
from picloud.model.app import AppId
from picloud.model.release import Forced, Manifest, Release, TestSource
from picloud.model.route import Route, RouteAuth
from picloud.model.script import Script, ScriptKind
from picloud.storage.database import Database
from picloud.storage.live import put_source
from picloud.storage.queries import load
from picloud.storage.triggers import trigger_from_json, trigger_to_json

_SQL = load("releases.sql")


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A release without its manifest."""

    number: int
    author: str
    message: str
    notebook: str | None
    created_at: datetime
    forced: Forced | None


class ReleaseRepository:
    """Reads releases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, app_id: AppId) -> list[ReleaseInfo]:
        """Return the app's releases, newest first."""
        with self._database.connection() as connection:
            rows = connection.execute(_SQL["list_releases"], {"app_id": app_id}).fetchall()
        return [_info(*row) for row in rows]

    def get(self, app_id: AppId, number: int) -> Release:
        """Return one release; raise `NotFound` when there is none of that number."""
        with self._database.connection() as connection:
            release = _read(connection, app_id, number)
        if release is None:
            raise NotFound(f"The app has no release {number}.")
        return release

    def latest(self, app_id: AppId) -> Release | None:
        """Return the newest release, None before the first publish."""
        with self._database.connection() as connection:
            return latest_release(connection, app_id)


def latest_release(connection: psycopg.Connection, app_id: AppId) -> Release | None:
    """Return the newest release in the caller's transaction, None before the first publish."""
    return _read(connection, app_id, None)


def add_release(
    connection: psycopg.Connection,
    app_id: AppId,
    manifest: Manifest,
    *,
    author: str,
    message: str,
    notebook: str | None,
    forced: Forced | None = None,
) -> Release:
    """Record a release in the caller's transaction, which holds the app's lock."""
    row = connection.execute(_SQL["next_number"], {"app_id": app_id}).fetchone()
    number = row[0] if row else 1
    for script in manifest.scripts:
        put_source(connection, app_id, script.version, script.source)
    for test in manifest.tests:
        put_source(connection, app_id, _test_version(test), test.source)
    values = {"number": number, "author": author, "message": message, "notebook": notebook, **_forced_values(forced)}
    row = connection.execute(
        _SQL["add_release"], values | {"app_id": app_id, "manifest": Jsonb(_to_json(manifest))}
    ).fetchone()
    assert row is not None  # noqa: S101  (INSERT ... RETURNING gives the row)
    return Release(number, author, message, notebook, row[0], manifest, forced)


def _read(connection: psycopg.Connection, app_id: AppId, number: int | None) -> Release | None:
    row = connection.execute(_SQL["get_release"], {"app_id": app_id, "number": number}).fetchone()
    if row is None:
        return None
    number, author, message, notebook, created_at, reason, failures, stored = row
    manifest, forced = _from_json(stored, _sources(connection, app_id, stored)), _forced(reason, failures)
    return Release(number, author, message, notebook, created_at, manifest, forced)


def _info(
    number: int, author: str, message: str, notebook: str | None, created_at: datetime, reason: str | None,
    failures: list[dict[str, Any]],
) -> ReleaseInfo:  # fmt: skip
    return ReleaseInfo(number, author, message, notebook, created_at, _forced(reason, failures))


def _forced_values(forced: Forced | None) -> dict[str, Any]:
    if forced is None:
        return {"forced_reason": None, "forced_failures": None}
    return {"forced_reason": forced.reason, "forced_failures": Jsonb([asdict(f) for f in forced.failures])}


def _forced(reason: str | None, failures: list[dict[str, Any]]) -> Forced | None:
    return None if reason is None else Forced(reason, tuple(FailedTest(**failure) for failure in failures))


def manifest_of(connection: psycopg.Connection, app_id: AppId, stored: Mapping[str, Any]) -> Manifest:
    """Return the manifest that was written elsewhere as releases store it, with the app's texts.

    Raises `InvalidInput` when it has another form, and when a text is not the one its version says.
    """
    try:
        manifest = _from_json(stored, _sources(connection, app_id, stored))
        exact = _to_json(manifest) == stored and all(isinstance(route.timing, bool) for route in manifest.routes)
    except (AttributeError, KeyError, TypeError, ValueError, psycopg.DataError, psycopg.ProgrammingError):
        exact = False
    if not exact:
        raise InvalidInput("the manifest is none, or a text is missing or not the one that belongs to its version")
    return manifest


def stored_form(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as releases store it: with versions in place of texts."""
    return _to_json(manifest)


def in_current_form(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored manifest as it would be stored today: releases never change."""
    # Before 0003_route_timing.sql there was no "timing", before 0008_triggers.sql there were no triggers.
    return {"triggers": [], **stored, "routes": [{"timing": False, **route} for route in stored["routes"]]}


def _sources(connection: psycopg.Connection, app_id: AppId, stored: Mapping[str, Any]) -> dict[str, str]:
    versions = [entry["version"] for part in ("scripts", "tests") for entry in stored[part]]
    return dict(connection.execute(_SQL["get_sources"], {"app_id": app_id, "versions": versions}).fetchall())


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "scripts": [{"name": s.name, "kind": s.kind, "version": s.version} for s in manifest.scripts],
        "routes": [
            {"method": r.method, "pattern": r.pattern, "script": r.script, "auth": r.auth, "timing": r.timing}
            for r in manifest.routes
        ],
        "tests": [{"name": t.name, "version": _test_version(t)} for t in manifest.tests],
        "triggers": [trigger_to_json(trigger) for trigger in manifest.triggers],
    }


def _from_json(stored: Mapping[str, Any], sources: Mapping[str, str]) -> Manifest:
    stored = in_current_form(stored)
    return Manifest(
        scripts=tuple(Script(s["name"], ScriptKind(s["kind"]), sources[s["version"]]) for s in stored["scripts"]),
        routes=tuple(
            Route(r["method"], r["pattern"], r["script"], RouteAuth(r["auth"]), r["timing"]) for r in stored["routes"]
        ),
        tests=tuple(TestSource(t["name"], sources[t["version"]]) for t in stored["tests"]),
        triggers=tuple(map(trigger_from_json, stored["triggers"])),
    )


def _test_version(test: TestSource) -> str:
    return hashlib.sha256(f"test\0{test.name}\0{test.source}".encode()).hexdigest()
