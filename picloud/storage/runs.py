"""The history of runs: what ran, for whom, how it ended, and on what input."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.errors import ProgramLimitExceeded
from psycopg.types.json import Jsonb

from picloud.errors import InvalidInput, NotFound
from picloud.model.app import AppId
from picloud.model.identity import id_range
from picloud.model.run import RunRecord, RunStatus
from picloud.storage.database import Database
from picloud.storage.queries import load
from picloud.storage.storable import storable

_FIELDS: Final = tuple(RunRecord.__dataclass_fields__)
"""The columns of the statements, in their order."""
_SQL = load("runs.sql")
_REFUSED: Final = (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded)
"""Errors that are about what a row holds, and come again."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None stands for any."""

    script: str | None = None
    trigger: str | None = None
    statuses: Sequence[RunStatus] | None = None
    request_id: str | None = None
    event: UUID | None = None
    redrives: UUID | None = None
    """The dead letter that was delivered again."""
    name: str | None = None
    """Of the script or of the trigger."""


ANY: Final = RunFilter()


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first."""

    runs: list[RunRecord] = field(default_factory=list)
    """Without their inputs."""
    next: int | None = None
    """Where the next page begins; None: there is none."""


class RunRepository:
    """Keeps and finds runs; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, records: Sequence[RunRecord]) -> None:
        """Add runs of one app that are not there yet, or nothing when the app is gone.

        Raises `DatabaseUnavailable` also when nothing can be written now, and then some may have been added. A run that
        the database refuses is left out, which the log says.
        """
        try:
            with self._database.connection() as connection, connection.cursor() as cursor:
                cursor.executemany(_SQL["add"], [_row(record) for record in records])
        except _REFUSED:
            if len(records) == 1:
                _log.exception(
                    "The note of run %s is refused and lost", records[0].id, extra={"action": "history_failed"}
                )
                return
            half = len(records) // 2
            self.add(records[:half])
            self.add(records[half:])
        except psycopg.OperationalError as error:  # a full disk, for one
            raise self._database.unavailable(error, None) or error from error

    def list(self, app_id: AppId, wanted: RunFilter = ANY, *, limit: int = 50, before: int | None = None) -> RunPage:
        """Return an app's runs, `limit` at most, from where a page before ended."""
        values = storable(asdict(wanted)) | {"app_id": app_id, "limit": limit + 1, "before": before}
        with self._database.lend() as connection:
            rows = connection.execute(_SQL["list"], values).fetchall()
        more = len(rows) > limit
        return RunPage([_record(*row) for _, *row in rows[:limit]], rows[limit - 1][0] if more else None)

    def get(self, app_id: AppId, identity: str) -> RunRecord:
        """Return the run with this id, or the only one whose id begins so; raise `NotFound` or `InvalidInput`."""
        first, last = id_range(identity, "run")
        values = {"app_id": app_id, "first": first, "last": last}
        with self._database.lend() as connection:
            rows = connection.execute(_SQL["find"], values).fetchall()
        if not rows:
            raise NotFound(f"The history has no run {identity[:80]!r}: it keeps the newest ones.")
        if len(rows) > 1:
            raise InvalidInput(f"Several runs begin with {identity!r}: give more digits.")
        return _record(*rows[0][1:])

    def source(self, app_id: AppId, version: str) -> str | None:
        """Return the text of a script's version, None when it was never stored."""
        row = self._database.fetch_one(_SQL["source"], {"app_id": app_id, "version": version})
        return None if row is None else row[0]

    def kept_days(self, app_id: AppId) -> int | None:
        """Return how many days the app's runs that ended well are kept; None: as the settings say."""
        row = self._database.fetch_one(_SQL["kept_days"], {"app_id": app_id})
        return None if row is None else row[0]

    def keep_days(self, app_id: AppId, days: int | None) -> None:
        """Say how many days the app's runs that ended well are kept; None: as the settings say."""
        with self._database.connection() as connection:
            connection.execute(_SQL["keep_days"], {"app_id": app_id, "days": days})

    def delete_surplus(self, kept: int) -> int:
        """Delete all but the newest of each app and status, return how many.

        In one statement each: the server would count the newest anew for each row it looks at, or read the whole table.
        """
        with self._database.lend() as connection, connection.cursor() as cursor:
            surplus = cursor.execute(_SQL["surplus"], {"kept": kept}).fetchall()
            return sum(cursor.execute(_SQL["delete_up_to"], found).rowcount for found in surplus)

    def delete_old(self, days: int, failed_days: int) -> int:
        """Delete what is older than so many days, those of an app before those given; return how many."""
        with self._database.connection() as connection:
            return connection.execute(_SQL["delete_old"], {"days": days, "failed_days": failed_days}).rowcount


def _row(record: RunRecord) -> dict[str, Any]:
    values = {name: storable(getattr(record, name)) for name in _FIELDS}
    return values | {"events": list(record.events), "details": Jsonb(values["details"])}


def _record(*row: Any) -> RunRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    return RunRecord(**values | {"events": tuple(values["events"]), "status": RunStatus(values["status"])})
