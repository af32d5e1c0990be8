"""The guard of one embedded server: a small process that outlives everybody who holds a lease.

`python -m picloud.storage.guard HOME` returns at once and leaves the guard running. It does what no lease holder can do
when all of them are killed: stop the server. And it starts the server again when that dies while somebody needs it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from picloud.errors import EmbeddedServerError
from picloud.storage.leases import HeldLock, try_lock
from picloud.storage.server import EmbeddedServer

LOOK_EVERY_S = 1.0
_BACKOFF_MAX_S = 60.0

_log = logging.getLogger(__name__)


def guard(server: EmbeddedServer, mine: HeldLock) -> None:
    """Watch over the server until nobody has a lease; then stop it and return. `mine` is the guard's own lock."""
    pause_s = LOOK_EVERY_S
    while server.home.is_dir():  # a home that was deleted needs no guard
        time.sleep(pause_s)
        try:
            with server.exclusive():
                if not server.leases.alive():
                    server.cluster.stop()
                    mine.drop(unlink=False)  # inside the lock: whoever acquires next sees that there is no guard
                    return
                server.cluster.ensure_running()
            pause_s = LOOK_EVERY_S
        except (EmbeddedServerError, OSError) as error:
            _log.warning("The embedded database is down: %s", error, extra={"action": "guard_postgres"})
            pause_s = min(pause_s * 2, _BACKOFF_MAX_S)


def _main(home: Path) -> None:
    """Leave a guard behind and return once it holds its lock, so that nobody starts a second one."""
    waiting, ready = os.pipe()
    if os.fork() != 0:
        os.close(ready)
        os.read(waiting, 1)
        return
    os.close(waiting)
    server = EmbeddedServer(home)
    mine = try_lock(server.guard_lock)
    os.close(ready)
    if mine is not None:
        guard(server, mine)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
