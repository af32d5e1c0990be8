"""The procrastinate application: where jobs are kept and which tasks there are."""

from __future__ import annotations

import logging

from procrastinate import App, PsycopgConnector

from picloud.storage.database import Database
from picloud.storage.housekeeping import delete_expired_tokens
from picloud.storage.kv import delete_expired

HOUSEKEEPING = "picloud.housekeeping"
HOURLY = "0 * * * *"

_POOL_SIZE = 4

_log = logging.getLogger(__name__)


def build_app(conninfo: str, database: Database, *, timeout_s: float) -> App:
    """Return the application over a migrated database.

    Its tasks use `database`, which must be open while they run. `timeout_s` is how long it waits for a connection.
    """
    connector = PsycopgConnector(
        conninfo=conninfo,
        min_size=1,
        max_size=_POOL_SIZE,
        timeout=timeout_s,
        reconnect_timeout=timeout_s,  # past it the next call tries at once instead of sitting out a growing pause
        kwargs={"application_name": "picloud worker"},
    )
    app = App(connector=connector)

    @app.periodic(cron=HOURLY)
    @app.task(name=HOUSEKEEPING, queueing_lock=HOUSEKEEPING)
    def housekeeping(timestamp: int) -> None:
        """Remove what is no longer needed. `timestamp` is the hour it is for."""
        tokens, entries = delete_expired_tokens(database), delete_expired(database)
        _log.info(
            "Housekeeping deleted %d expired tokens and %d expired entries of kv",
            tokens,
            entries,
            extra={"action": "housekeeping", "tokens": tokens, "kv_entries": entries, "timestamp": timestamp},
        )

    return app
