"""The whole database in a file and back, with PostgreSQL's own programs; what belongs to the server is made anew."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from picloud.errors import Conflict, InvalidInput, PlatformError
from picloud.storage.cluster import program
from picloud.storage.database import connect
from picloud.storage.migrate import migrate
from picloud.storage.queries import load
from picloud.storage.whole_file import whole_file

_SQL = load("backup.sql")
_SAID_MAX_BYTES = 10_000
_log = logging.getLogger(__name__)


def backup(conninfo: str, path: Path) -> None:
    """Write all of the database to a file, as it is at one moment; what was at `path` stays until that is complete.

    Raises `InvalidInput` when the file cannot be written, `PlatformError` when the database cannot be read.
    """
    with whole_file(path) as file:
        if not _run("pg_dump", ["--format=custom", "--no-owner"], conninfo, file):
            raise PlatformError("The database could not be backed up; the log has the reason.")


def restore(conninfo: str, path: Path) -> list[str]:
    """Fill an empty database from a file of `backup`: all of it or nothing. Returns the migrations applied afterwards.

    The role of runs, which no backup holds, is made when this database's user may. Raises `Conflict` for a database
    that is not empty and `InvalidInput` for another file. A backup is SQL that is run: it must come from a friend.
    """
    if not path.is_file():
        raise InvalidInput(f"{path} is no file.")
    with connect(conninfo) as connection:
        if not _tells(connection, "is_empty"):
            raise Conflict("The database is not empty: restore into a new PICLOUD_HOME, or another empty database.")
        connection.execute(_SQL["make_runtime_role"])
        walled = _tells(connection, "has_runtime_role")
        roles = [] if walled else ["--no-privileges", "--no-policies"]
        arguments = ["--single-transaction", "--no-owner", *roles, str(path.absolute())]
        if not _run("pg_restore", arguments, conninfo):
            raise InvalidInput(
                f"{path} was not restored, nothing has changed: it is no file of 'picloud db backup', or it is "
                "damaged, or this PostgreSQL is too old for it; the log has the reason."
            )
        if walled:
            connection.execute(_SQL["open_tables"])  # also those of a backup from where there was no such role
    return migrate(conninfo)


def _tells(connection: psycopg.Connection, statement: str) -> bool:
    return connection.execute(_SQL[statement]).fetchone() == (True,)


def _run(name: str, arguments: Iterable[str], conninfo: str, output: IO[bytes] | None = None) -> bool:
    """Run a program on the database; return whether it succeeded. What it says goes to the log."""
    target: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(Path.home()), "LC_ALL": "C"}
    if password := target.pop("password", None):
        environment["PGPASSWORD"] = str(password)  # arguments are there for everybody to read
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(  # noqa: S603  # our own program
            [str(program(name)), f"--dbname={make_conninfo(**target)}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            # Into a file it can seek in, pg_dump writes an end that may be cut off unnoticed.
            stdout=subprocess.DEVNULL if output is None else subprocess.PIPE,
            stderr=said,
        ) as running:
            if running.stdout is not None and output is not None:
                shutil.copyfileobj(running.stdout, output)
        if running.returncode != 0:
            said.seek(0)
            reason = said.read(_SAID_MAX_BYTES).decode(errors="replace").strip()
            _log.error("%s failed: %s", name, reason, extra={"action": name})
        return running.returncode == 0
