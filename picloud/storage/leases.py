"""Who still uses the embedded server: one locked file per user in a folder.

The kernel drops a `flock` when the process that holds it dies, however it dies, so a lease can be neither forgotten nor
outlived. All operations on the folder happen under `exclusive`, except a death, which only ever removes a lease.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from picloud.errors import EmbeddedServerError

_POLL_S = 0.02


class HeldLock:
    """A locked file, until `drop` or the end of this process. A forked child does not hold it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._pid = os.getpid()
        _held.add(self)

    @property
    def held(self) -> bool:
        """Whether this process still holds the lock."""
        return self._descriptor is not None and self._pid == os.getpid()

    def drop(self, *, unlink: bool) -> None:
        """Give the lock up; a second call does nothing."""
        if self.held and unlink:
            self.path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_held: weakref.WeakSet[HeldLock] = weakref.WeakSet()


def _forget_locks_of_the_parent() -> None:
    # A lock lives as long as any copy of its descriptor: without this a forked child would keep its parent's lease.
    for lock in list(_held):
        lock._close()


os.register_at_fork(after_in_child=_forget_locks_of_the_parent)


def try_lock(path: Path) -> HeldLock | None:
    """Return the lock of `path` (made when missing), None when somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _locked(descriptor):
        return HeldLock(path, descriptor)
    os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path` against all other processes and threads; `EmbeddedServerError` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while (lock := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                "Another process has been starting or stopping the embedded database for too long; "
                "try again, and end that process if it hangs."
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.drop(unlink=False)


class LeaseFolder:
    """The leases of one embedded server. Call under `exclusive`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> HeldLock:
        """Make a lease for this process; one process may have several."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        lock = try_lock(self._path / f"{os.getpid()}-{secrets.token_hex(4)}")
        if lock is None:  # the name is random and the caller holds the folder
            raise EmbeddedServerError
        return lock

    def alive(self) -> bool:
        """Return whether anybody holds a lease; files of dead processes are removed on the way."""
        found = False
        for path in list(self._path.glob("*")) if self._path.is_dir() else []:
            stale = try_lock(path)
            if stale is None:
                found = True
            else:
                stale.drop(unlink=True)
        return found
