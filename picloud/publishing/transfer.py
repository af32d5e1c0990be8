"""Bring an app into a file and out of it again: everything it owns, but for its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from picloud.errors import InvalidInput
from picloud.model.app import App, check_app_name
from picloud.model.release import Manifest
from picloud.publishing.app_file import FORMAT, AppFileReader, AppFileWriter
from picloud.publishing.app_rows import TABLES, AppLine, Header, Row
from picloud.publishing.publisher import validate_manifest
from picloud.sdk.docs import INDEXES_MAX
from picloud.storage.database import Database
from picloud.storage.migrate import schema_number
from picloud.storage.transfer import AppSnapshot, NewApp, new_app, snapshot
from picloud.storage.whole_file import whole_file
from picloud.version import __version__

LIVE: Final = "live"


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was exported or imported."""

    app: str
    rows: dict[str, int]
    """By table."""
    sha256: str | None = None
    """Of the lines of an exported file."""


def export_app(database: Database, name: str, path: Path) -> Transferred:
    """Write all the app owns to a file, as it is at one moment; what was at `path` stays until the file is complete.

    Raises `NotFound`, and `InvalidInput` when the file cannot be written.
    """
    with snapshot(database, check_app_name(name)) as app, whole_file(path) as file:
        writer = AppFileWriter(file)
        writer.write("header", _header(app.app))
        rows = {table: _write_rows(writer, app, table, kind) for table, kind in TABLES.items()}
        writer.write(LIVE, app.live())
        return Transferred(name, rows, writer.close())


def import_app(database: Database, path: Path, name: str | None = None) -> Transferred:
    """Make an app of a file, under its own name or another: all of it or nothing.

    Raises `InvalidInput` for a file that holds something an author or a script could not have made, and `Conflict` when
    the name is taken.
    """
    if name is not None:
        check_app_name(name)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    with file:
        try:
            return _import(database, AppFileReader(file), name)
        except InvalidInput as error:
            raise InvalidInput(f"{path} was not imported, nothing has changed: {error.message}") from error


def _import(database: Database, reader: AppFileReader, name: str | None) -> Transferred:
    header = reader.header()
    _check_schema(header)
    target = name or header.app.name
    with new_app(database, target) as app:
        rows = _Import(app, reader).run()
        app.finish(revision=header.app.revision, created_at=header.app.created_at)
    return Transferred(target, rows)


def _header(app: App) -> Header:
    line = AppLine(name=app.name, revision=app.revision, created_at=app.created_at)
    return Header(format=FORMAT, picloud=__version__, schema_number=schema_number(), app=line)


def _check_schema(header: Header) -> None:
    if header.schema_number > schema_number():
        raise InvalidInput(
            f"it was exported by PiCloud {header.picloud[:40]!r}, which is newer than this one ({__version__}): update "
            "this one first."
        )


def _write_rows(writer: AppFileWriter, app: AppSnapshot, table: str, kind: type[Row]) -> int:
    count = 0
    for count, values in enumerate(app.rows(table, kind.columns(), kind.order), 1):  # noqa: B007  (also after the loop)
        writer.write(table, kind.of_stored(*values))
    return count


class _Import:
    """One import: what the file's lines say, into a new app."""

    def __init__(self, app: NewApp, reader: AppFileReader) -> None:
        self._app = app
        self._reader = reader
        self._versions: set[str] = set()
        """Of the texts that were checked."""

    def run(self) -> dict[str, int]:
        """Write what the file holds; return how many rows each table got."""
        counts = dict.fromkeys(TABLES, 0)
        live: dict[str, Any] = {}
        for name, lines in groupby(self._reader.lines(), key=itemgetter(0)):
            if name in TABLES:
                counts[name] = self._copy(name, (row for _, row in lines))
            else:
                [(_, live)] = lines
        self._check_releases()
        self._go_live(live)
        self._check_rest()
        return counts

    def _copy(self, table: str, rows: Iterator[Row]) -> int:
        kind = TABLES[table]
        count = 0
        with self._app.writing(table, (*kind.columns(), *kind.made)) as write:
            for count, row in enumerate(rows, 1):  # noqa: B007  (also after the loop)
                write(row.stored())
        return count

    def _check_releases(self) -> None:
        numbers = self._app.release_numbers()
        if numbers != list(range(1, len(numbers) + 1)):
            raise InvalidInput("the releases are not numbered 1, 2, 3 and so on")
        for number in numbers:  # one at a time: a manifest may be large
            self._manifest(f"release {number}", self._app.manifest(number))

    def _go_live(self, stored: dict[str, Any]) -> None:
        manifest, imports = self._manifest("what is live", stored)
        self._app.go_live(manifest, imports)

    def _manifest(self, where: str, stored: dict[str, Any]) -> tuple[Manifest, dict[str, tuple[str, ...]]]:
        """Return a manifest as valid as one that is published, and what its scripts require."""
        try:
            manifest = self._app.manifest_of(stored)
            linked = validate_manifest(self._app.app.name, manifest)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error.message}") from error
        self._versions.update(entry["version"] for part in ("scripts", "tests") for entry in stored[part])
        return manifest, {name: script.imports for name, script in linked.items()}

    def _check_rest(self) -> None:
        # A text under a version that is not its own would be taken for the right one at a later publish.
        if self._app.count_sources() != len(self._versions):
            raise InvalidInput("there are texts that no release names")
        if self._app.most_indexes() > INDEXES_MAX:
            raise InvalidInput(f"a collection has more than {INDEXES_MAX} indexes")
