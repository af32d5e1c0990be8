"""Bring a schema up to date from `migrations/NNNN_name.sql`: forward only, in order, one transaction each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from picloud.errors import DatabaseUnavailable, MigrationError
from picloud.storage import queries
from picloud.storage.database import connect

SERVER_VERSION_MIN = 14
LOCK_KEY = 0x7069636C6F7564  # "picloud"

_PACKAGE = Path(__file__).parent
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ENDS_TRANSACTION = re.compile(
    rb"^\s*(begin|commit|rollback|start\s+transaction)(\s+work|\s+transaction)?\s*;", re.I | re.M
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file."""

    name: str
    """File name."""
    text: bytes

    @property
    def checksum(self) -> str:
        """Hex SHA-256 of the text."""
        return hashlib.sha256(self.text).hexdigest()


def default_folder() -> Path:
    """Return the folder of this installation's migrations: inside the package in a wheel, beside it in a checkout."""
    packaged = _PACKAGE / "migrations"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / "migrations"


def schema_number() -> int:
    """Return the number of the last migration of this installation."""
    return len(read_migrations(default_folder()))


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """Read a folder's files in order; `MigrationError` unless they are numbered 0001, 0002 and so on."""
    found = tuple(Migration(path.name, path.read_bytes()) for path in sorted(folder.glob("*.sql")))
    if not found:
        raise MigrationError("This installation has no migration files; install PiCloud again.")
    for number, migration in enumerate(found, 1):
        name = _FILE_NAME.fullmatch(migration.name)
        if name is None or int(name[1]) != number:
            raise MigrationError(
                f"Migration {migration.name} is not number {number:04}: files are named NNNN_name.sql and numbered "
                "from 0001 without gaps or repeats."
            )
    return found


def pending(migrations: Sequence[Migration], applied: Mapping[str, str]) -> tuple[Migration, ...]:
    """Return what is still to apply, given the applied names with their checksums.

    Raises `MigrationError` when the files contradict what was applied.
    """
    known = {migration.name for migration in migrations}
    for name in sorted(applied):
        if name not in known:
            raise MigrationError(
                f"The database has migration {name}, which this installation does not: it was made by a newer PiCloud, "
                "or the file was removed. Install that version, or restore the file or a backup."
            )
    for number, migration in enumerate(migrations):
        checksum = applied.get(migration.name)
        if checksum is None and number < len(applied):
            raise MigrationError(
                f"Migration {migration.name} was never applied although later ones were: restore a backup, or the "
                "files the database was made with."
            )
        if checksum is not None and checksum != migration.checksum:
            raise MigrationError(
                f"Migration {migration.name} was changed after it was applied: restore the file and put the change "
                "into a new migration."
            )
    return tuple(migrations[len(applied) :])


def migrate(conninfo: str, *, folder: Path | None = None) -> list[str]:
    """Apply what is missing and return the names, in order; of several callers at once one does it, the others wait.

    Raises `MigrationError` (files before the one that failed stay applied, of that one nothing) and
    `DatabaseUnavailable`.
    """
    migrations = read_migrations(folder or default_folder())
    with connect(conninfo) as connection:
        try:
            return _migrate(connection, migrations)
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable from error
        except psycopg.Error as error:
            raise MigrationError(
                "The database does not allow its schema to be changed: the role in PICLOUD_DATABASE_URL must own it."
            ) from error


def _migrate(connection: psycopg.Connection, migrations: Sequence[Migration]) -> list[str]:
    if connection.info.server_version < SERVER_VERSION_MIN * 10_000:
        raise MigrationError(f"PiCloud needs PostgreSQL {SERVER_VERSION_MIN} or newer.")
    statements = queries.load("migrate.sql")
    connection.execute(statements["lock"], {"key": LOCK_KEY})  # until the connection closes
    connection.execute(statements["create_table"])
    applied: dict[str, str] = dict(connection.execute(statements["applied"]).fetchall())
    done = []
    for migration in pending(migrations, applied):
        _apply(connection, migration, statements["record"])
        done.append(migration.name)
    return done


def _apply(connection: psycopg.Connection, migration: Migration, record: LiteralString) -> None:
    if _ENDS_TRANSACTION.search(migration.text):
        raise MigrationError(f"Migration {migration.name} begins or ends a transaction; it already runs in its own.")
    try:
        with connection.transaction():
            connection.execute(migration.text)
            connection.execute(record, {"name": migration.name, "checksum": migration.checksum})
    except psycopg.Error as error:
        if connection.broken:
            raise DatabaseUnavailable from error
        raise MigrationError(
            f"Migration {migration.name} failed and nothing of it was kept; the log has the reason."
        ) from error
