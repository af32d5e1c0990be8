"""What tests with real processes need: waiting for conditions, and homes with a server of their own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from picloud.storage.server import EmbeddedServer

_POLL_S = 0.02
_MEMORY = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a folder of its own there
_MEMORY_FREE_BYTES = 4 * 2**30


def wait_until(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Return once `condition` is true; `TimeoutError` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting after {timeout_s} s")
        time.sleep(_POLL_S)


def postmaster_pid(home: Path) -> int | None:
    """Return the process id of the embedded server of `home`, None when it does not run."""
    return EmbeddedServer(home).cluster.pid()


def _memory_folder() -> Path | None:
    """Return a folder in memory with room to spare, None where there is none; a container's often has 64 MB."""
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free >= _MEMORY_FREE_BYTES else None
    except OSError:
        return None


@contextmanager
def scratch_home(prefix: str = "picloud-test-", *, in_memory: bool = True) -> Iterator[Path]:
    """Yield a fresh PICLOUD_HOME; its server, if one still runs at the end, is stopped and all is removed.

    It is in memory where there is plenty, unless told otherwise: a database is hundreds of files, and a disk takes five
    times as long for them.
    """
    # Not under pytest's own folder: that is closed to others, and as root the server runs as another user.
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=_memory_folder() if in_memory else None))
    try:
        yield home
    finally:
        server = EmbeddedServer(home)
        with server.exclusive():
            server.cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
