"""The embedded PostgreSQL server under PICLOUD_HOME, shared by every process of one instance.

Each process that needs the server takes a lease. The first starts the server, the last one to leave stops it. A process
that is killed leaves too: its lease dies with it, and the guard (`picloud.storage.guard`) stops a server nobody is left
for. A server that is killed is started again by the guard or by the next `acquire`, whichever comes first. A guard that
is killed is started again by whoever watches, and the server with it.
"""

from __future__ import annotations

import atexit
import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from picloud.errors import EmbeddedServerError
from picloud.storage.cluster import PORT
from picloud.storage.leases import HeldLock
from picloud.storage.server import EmbeddedServer

DATABASE = "picloud"
ANSWER_TIMEOUT_S = 10.0
"""How long a server that has started may refuse connections."""

WATCH_EVERY_S = 5.0
"""How often who watches looks for the guard."""

_POLL_S = 0.05

_log = logging.getLogger(__name__)


class Lease:
    """The right to use the server until `release` or the end of this process; usable from any thread.

    It is not inherited: a forked child must acquire its own.
    """

    def __init__(self, server: EmbeddedServer, lock: HeldLock, socket_folder: Path) -> None:
        self._server = server
        self._lock = lock
        self._socket_folder = socket_folder
        atexit.register(self.release)

    def conninfo(self, dbname: str = DATABASE) -> str:
        """Return the libpq connection string of a database on this server."""
        return _conninfo(self._socket_folder, dbname)

    def release(self) -> None:
        """Leave; the server has stopped when this returns if nobody else is there. A second call does nothing."""
        atexit.unregister(self.release)
        if not self._lock.held:
            return
        with self._server.exclusive():
            self._lock.drop(unlink=True)
            if not self._server.leases.alive():
                self._server.cluster.stop()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look after guard and server, in a thread, until the end of the block. Do not fork within.

        Whoever is killed together with the server, as what is left of a service is by systemd, may be the guard.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), name="picloud database watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_EVERY_S):
            try:
                self._keep_up()
            except (EmbeddedServerError, OSError, subprocess.SubprocessError) as error:
                _log.warning("The embedded database is down: %s", error, extra={"action": "watch_postgres"})

    def _keep_up(self) -> None:
        with self._server.exclusive():
            if self._lock.held:
                with self._server.starting_guard():
                    self._server.cluster.ensure_running()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def acquire(home: Path) -> Lease:
    """Take a lease on the server of `home`, starting the server and making database and folders when missing.

    Raises `EmbeddedServerError` with nothing held.
    """
    home = home.expanduser().resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = EmbeddedServer(home)
        with server.exclusive():
            return _acquire(server)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"The embedded database cannot be started in {home}: PICLOUD_HOME must be a folder this user may write to."
        ) from error


def _acquire(server: EmbeddedServer) -> Lease:
    lock = server.leases.take()
    try:
        with server.starting_guard():  # beside the server: each takes its time
            socket_folder = _ensure_answering(server)
    except BaseException:
        lock.drop(unlink=True)
        raise
    return Lease(server, lock, socket_folder)


def _ensure_answering(server: EmbeddedServer) -> Path:
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        socket_folder = server.cluster.ensure_running()
        try:
            _ensure_database(socket_folder)
        except psycopg.OperationalError as error:
            # A server that was killed this moment still looks alive; the next look sees that it is not.
            if time.monotonic() > deadline:
                raise EmbeddedServerError from error
            time.sleep(_POLL_S)
        except psycopg.Error as error:
            raise EmbeddedServerError from error
        else:
            return socket_folder


def _ensure_database(socket_folder: Path) -> None:
    conninfo = _conninfo(socket_folder, "postgres")
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _conninfo(socket_folder: Path, dbname: str) -> str:
    return make_conninfo(host=str(socket_folder), port=PORT, user="postgres", dbname=dbname)
