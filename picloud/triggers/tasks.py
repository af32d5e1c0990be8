"""The procrastinate application: where jobs are kept and which tasks there are.

Jobs of deliveries are made by the database, in the transaction of the event (`0013_leases.sql`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from picloud.errors import PicloudError
from picloud.settings import Settings
from picloud.storage.database import Database
from picloud.storage.deliveries import DeliveryRepository, Key
from picloud.storage.housekeeping import delete_expired_tokens, delete_old_letters, delete_old_ticks
from picloud.storage.jobs import job_pool
from picloud.storage.kv import delete_expired
from picloud.storage.queries import load
from picloud.storage.runs import RunRepository
from picloud.triggers.deliverer import Deliverer

HOUSEKEEPING = "picloud.housekeeping"
HOURLY = "0 * * * *"
TRIM_HISTORY = "picloud.trim_history"
EVERY_MINUTE = "* * * * *"
DELIVER = "picloud.deliver"
STALLED = "picloud.take_over"
EVERY_10_S = "* * * * * */10"
"""As croniter has it, the seconds come last."""
REVIVE = "picloud.revive"
HEARTBEAT_S = 5.0
STALLED_S = 20.0
"""Without a heartbeat for so long a worker counts as dead, and its jobs are taken over."""
FAULT_PAUSE_S, FAULT_PAUSE_MAX_S = 0.5, 30.0
"""Pauses after a fault of the platform: twice as long each time."""
AGAIN_S: Final = (0.5, 1.0)
"""Pauses before what the database did not hear is said again."""

POOL_SIZE = 4
_SQL = load("jobs.sql")

_log = logging.getLogger(__name__)
T = TypeVar("T")


class _Connector(PsycopgConnector):
    """Says again what the database did not hear, since procrastinate does not when it notes how a job ended.

    Nobody takes a job over from a worker that lives: it would count as running for as long as its worker does. Not for
    fetching jobs: that ends the worker's turn with the database, and what it had fetched is taken over.
    """

    def __init__(self, database: Database, **options: Any) -> None:
        super().__init__(conninfo=database.conninfo, **options)
        self._database = database

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a statement."""
        await self._insist(partial(super().execute_query_async, query, **arguments))

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """Run a statement; return its rows."""
        return await self._insist(partial(super().execute_query_all_async, query, **arguments))

    async def _insist(self, say: Callable[[], Awaitable[T]]) -> T:
        for pause_s in AGAIN_S:
            try:
                return await say()
            except ConnectorException as error:
                if not self._database.is_lost(error.__cause__):
                    raise
            await asyncio.sleep(pause_s)
        return await say()


class _ComeAgain(BaseRetryStrategy):
    """Jobs of deliveries never fail: after a fault of the platform they come again."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Return when to try again."""
        _log.warning(
            "Job %s %s could not be done now and comes again: %s", job.id, job.task_kwargs, exception,
            exc_info=None if isinstance(exception, PicloudError) else exception,
            extra={"action": "job_again", "job": job.id},
        )  # fmt: skip
        pause_s = min(FAULT_PAUSE_MAX_S, FAULT_PAUSE_S * 2.0 ** min(job.attempts, 16))
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=pause_s))


class _Jobs(JobManager):
    """Ends no job that another worker has by now, and leaves those of deliveries to end with their deliveries."""

    def __init__(self, connector: PsycopgConnector) -> None:
        super().__init__(connector)
        self._beating: asyncio.Task[None] | None = None

    async def register_worker(self) -> int:
        """Make this a worker, which lives until it is unregistered.

        Procrastinate's own heart stops when a worker is to end, while its last jobs go on.
        """
        row = await self.connector.execute_query_one_async(_SQL["register_worker"])
        worker: int = row["worker_id"]
        self._stop_beating()
        self._beating = asyncio.create_task(self._beat(worker))
        return worker

    async def unregister_worker(self, worker_id: int) -> None:
        """Note that a worker has ended."""
        self._stop_beating()
        await super().unregister_worker(worker_id)

    def _stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    async def _beat(self, worker: int) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with suppress(ConnectorException):  # the next one may get through
                await self.update_heartbeat(worker)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Note how a job ended."""
        if job.task_name != DELIVER:
            values = {"job_id": job.id, "worker_id": job.worker_id, "status": status.value, "delete": delete_job}
            await self.connector.execute_query_async(_SQL["end_job"], **values)

    async def retry_job(self, job: Job, retry_at: datetime | None = None, *_: object, **__: object) -> None:
        """Let a job come again, otherwise as it is."""
        values = {"job_id": job.id, "worker_id": job.worker_id, "retry_at": retry_at}
        if not await self.connector.execute_query_all_async(_SQL["retry_job"], **values):
            _log.warning(
                "Job %s has ended or was taken over meanwhile", job.id, extra={"action": "job_lost", "job": job.id}
            )


def _connector(database: Database, timeout_s: float) -> PsycopgConnector:
    """Return what connects a worker to its jobs."""
    return _Connector(
        database,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=timeout_s,
        reconnect_timeout=timeout_s,  # past it the next call tries at once instead of sitting out a growing pause
        pool_factory=job_pool,
        kwargs={"application_name": "picloud worker"},
    )


def build_app(database: Database, deliverer: Deliverer, settings: Settings) -> App:
    """Return the application over a migrated database.

    Its tasks use `database`, which must be open while they run.
    """
    connector = _connector(database, settings.database_timeout_s)
    app = App(connector=connector)
    app.job_manager = _Jobs(connector)
    deliveries = DeliveryRepository(database)

    @app.periodic(cron=HOURLY)
    @app.task(name=HOUSEKEEPING, queueing_lock=HOUSEKEEPING)
    def housekeeping(timestamp: int) -> None:
        """Remove what is no longer needed. `timestamp` is the hour it is for."""
        tokens, entries = delete_expired_tokens(database), delete_expired(database)
        deliveries.delete_settled()
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
        deliverer.deliver(Key(UUID(app_id), UUID(event_id), trigger), job, context.job.worker_id)

    @app.periodic(cron=EVERY_10_S)
    @app.task(name=STALLED, queueing_lock=STALLED, priority=1)  # not behind all that waits
    async def take_over(timestamp: int) -> None:  # noqa: ARG001  (every periodic task gets it)
        """Let jobs of dead workers run again."""
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            _log.warning("Job %s of a dead worker is taken over", job.id, extra={"action": "take_over", "job": job.id})
            await app.job_manager.retry_job(job)

    @app.periodic(cron=EVERY_MINUTE)
    @app.task(name=REVIVE, queueing_lock=REVIVE)
    def revive(timestamp: int) -> None:  # noqa: ARG001  (every periodic task gets it)
        """Let deliveries come again whose jobs are gone."""
        for job in deliveries.revive():
            _log.warning("A delivery had lost its job and has %s now", job, extra={"action": "revive", "job": job})

    return app
