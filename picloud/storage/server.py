"""What belongs to the embedded server of one PICLOUD_HOME. Does not need psycopg: the guard imports it and stays small.

PICLOUD_HOME/            mode 0700 when made here; also passable (o+x) when root runs PiCloud, see `storage.cluster`
    postgres/            the data folder; server.log is the server's log
    postgres-leases/     one locked file per lease
    postgres.lock        held while somebody starts, stops or counts
    postgres-guard.lock  held by the guard; postgres-guard.log is its log
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from picloud.errors import EmbeddedServerError
from picloud.storage.cluster import START_TIMEOUT_S, Cluster
from picloud.storage.leases import LeaseFolder, exclusive, try_lock

LOCK_TIMEOUT_S = START_TIMEOUT_S * 2


class EmbeddedServer:
    """The server of one home: its cluster, its leases and its guard. Holds no state of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cluster = Cluster(home / "postgres")
        self.leases = LeaseFolder(home / "postgres-leases")
        self.guard_lock = home / "postgres-guard.lock"

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold off every other process that starts, stops or counts."""
        return exclusive(self.home / "postgres.lock", timeout_s=LOCK_TIMEOUT_S)

    @contextmanager
    def starting_guard(self) -> Iterator[None]:
        """Start the guard of this home, unless there is one, while the block runs. Call under `exclusive`."""
        free = try_lock(self.guard_lock)
        if free is None:
            yield
            return
        free.drop(unlink=False)
        with (self.home / "postgres-guard.log").open("wb") as log:
            # It forks itself away once it holds its lock, so that it is nobody's child and outlives this process.
            starting = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "picloud.storage.guard", str(self.home)],
                cwd=Path(__file__).parents[2],  # where `picloud` is importable from
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield
        finally:
            if starting.wait() != 0:
                raise EmbeddedServerError(
                    "The guard of the embedded database did not start; see postgres-guard.log in PICLOUD_HOME."
                )
