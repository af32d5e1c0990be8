"""The procrastinate application: where jobs are kept and which tasks there are.

Jobs of deliveries are made by the database, in the transaction of the event (`0008_triggers.sql`).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from picloud.errors import PicloudError
from picloud.settings import Settings
from picloud.storage.database import Database
from picloud.storage.deliveries import DeliveryRepository, Key
from picloud.storage.housekeeping import delete_expired_tokens, delete_old_letters, delete_old_ticks
from picloud.storage.kv import delete_expired
from picloud.storage.runs import RunRepository
from picloud.triggers.deliverer import Deliverer

HOUSEKEEPING = "picloud.housekeeping"
HOURLY = "0 * * * *"
TRIM_HISTORY = "picloud.trim_history"
EVERY_MINUTE = "* * * * *"
DELIVER = "picloud.deliver"
STALLED = "picloud.take_over"
EVERY_10_S = "*/10 * * * * *"
HEARTBEAT_S = 5.0
STALLED_S = 20.0
"""Without a heartbeat for so long a worker counts as dead, and its jobs are taken over."""
FAULT_PAUSE_S, FAULT_PAUSE_MAX_S = 0.5, 30.0
"""Pauses after a fault of the platform: twice as long each time."""

_POOL_SIZE = 4

_log = logging.getLogger(__name__)


class _Again(Exception):  # noqa: N818  (nothing is wrong)
    """The job is to come again, and nothing is wrong."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.at = at


class _ComeAgain(BaseRetryStrategy):
    """Jobs of deliveries never fail: they come again when they say, or after a fault of the platform."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Return when to try again."""
        if isinstance(exception, _Again):
            return RetryDecision(retry_at=exception.at)
        _log.warning(
            "Job %s %s could not be done now and comes again: %s", job.id, job.task_kwargs, exception,
            exc_info=None if isinstance(exception, PicloudError) else exception,
            extra={"action": "job_again", "job": job.id},
        )  # fmt: skip
        pause_s = min(FAULT_PAUSE_MAX_S, FAULT_PAUSE_S * 2.0 ** min(job.attempts, 16))
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=pause_s))


def build_app(database: Database, deliverer: Deliverer, settings: Settings) -> App:
    """Return the application over a migrated database.

    Its tasks use `database`, which must be open while they run.
    """
    timeout_s = settings.database_timeout_s
    connector = PsycopgConnector(
        conninfo=database.conninfo,
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
        DeliveryRepository(database).delete_settled()
        delete_old_ticks(database)
        letters = delete_old_letters(
            database, open_days=settings.dead_letters_open_days, decided_days=settings.dead_letters_decided_days
        )
        RunRepository(database).delete_old(settings.runs_kept_days, settings.failed_runs_kept_days)
        _log.info(
            "Housekeeping deleted %d expired tokens, %d expired entries of kv and %d dead letters",
            tokens,
            entries,
            letters,
            extra={
                "action": "housekeeping",
                "tokens": tokens,
                "kv_entries": entries,
                "dead_letters": letters,
                "timestamp": timestamp,
            },
        )

    @app.periodic(cron=EVERY_MINUTE)
    @app.task(name=TRIM_HISTORY, queueing_lock=TRIM_HISTORY)
    def trim_history(timestamp: int) -> None:  # noqa: ARG001  (every periodic task gets it)
        """Keep the newest runs."""
        RunRepository(database).delete_surplus(settings.runs_kept)

    @app.task(name=DELIVER, queue="triggers", retry=_ComeAgain(), pass_context=True)
    def deliver(context: JobContext, app_id: str, event_id: str, trigger: str) -> None:
        """Run a trigger's script on an event."""
        job = context.job.id
        assert job is not None  # noqa: S101  (it comes from the database)
        again = deliverer.deliver(Key(UUID(app_id), UUID(event_id), trigger), job)
        if again is not None:
            raise _Again(again)

    @app.periodic(cron=EVERY_10_S)
    @app.task(name=STALLED, queueing_lock=STALLED)
    async def take_over(timestamp: int) -> None:  # noqa: ARG001  (every periodic task gets it)
        """Let jobs of dead workers run again."""
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            _log.warning("Job %s of a dead worker is taken over", job.id, extra={"action": "take_over", "job": job.id})
            try:
                await app.job_manager.retry_job(job)
            except ConnectorException as error:
                _log.warning(
                    "Job %s has ended meanwhile: %s", job.id, error, extra={"action": "take_over", "job": job.id}
                )

    return app
