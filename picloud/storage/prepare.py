"""From settings to a database that is there, reachable and up to date; what every long-running process begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from picloud.settings import Settings
from picloud.storage.embedded import acquire
from picloud.storage.migrate import migrate


@contextmanager
def prepared(settings: Settings, *, watch: bool = False) -> Iterator[str]:
    """Yield the connection string of the migrated database; an embedded server runs at least as long.

    With `watch` a thread sees to that, whatever is killed; not for a process that forks.
    """
    if settings.database_url is not None:
        conninfo = settings.database_url.get_secret_value()
        migrate(conninfo)
        yield conninfo
        return
    with acquire(settings.home) as lease:
        migrate(lease.conninfo())
        with lease.watched() if watch else nullcontext():
            yield lease.conninfo()
