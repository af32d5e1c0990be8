"""The composition root: from settings to ready services, opened and closed in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from picloud.admin.dead_letters import DeadLetterAdministration
from picloud.auth.instance import ensure_instance_token
from picloud.engine.client import ExecutorClient, LocalExecutor
from picloud.engine.counters import CacheCounters
from picloud.engine.dispatcher import Dispatcher, Published, Snapshots
from picloud.engine.executor import Executor, Observe
from picloud.engine.history import RunHistory
from picloud.engine.interactive import Interactive, Screen
from picloud.engine.old_releases import OldReleases
from picloud.engine.turns import Turns
from picloud.errors import Conflict
from picloud.lua.limits import Limits, RunLimits, StateLimits
from picloud.model.app import App
from picloud.publishing.gate import Gate
from picloud.publishing.publisher import Publisher
from picloud.settings import Settings
from picloud.storage.apps import AppRepository
from picloud.storage.data import DataSession, open_runs_database
from picloud.storage.database import Database
from picloud.storage.dead_letters import DeadLetterRepository
from picloud.storage.deliveries import DeliveryRepository
from picloud.storage.live import LiveRepository
from picloud.storage.prepare import prepared
from picloud.storage.releases import ReleaseRepository
from picloud.storage.runs import RunRepository
from picloud.storage.schedules import ScheduleRepository
from picloud.storage.tokens import TokenRepository
from picloud.triggers.deliverer import Deliverer


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything PiCloud can do in this process."""

    settings: Settings
    database: Database
    runs: Database
    """For runs: what of it they see is their app's."""
    apps: AppRepository
    live: LiveRepository
    releases: ReleaseRepository
    schedules: ScheduleRepository
    tokens: TokenRepository
    snapshots: Snapshots
    dispatcher: Dispatcher
    local: LocalExecutor
    """Runs endpoints here, whatever the dispatcher does."""
    old_releases: OldReleases
    publisher: Publisher
    dead_letters: DeadLetterAdministration
    history: RunHistory
    run_records: RunRepository
    deliverer: Deliverer
    """Runs triggers here."""
    caches: Mapping[str, CacheCounters]
    """By the names `/metrics` has for them."""

    def interactive(
        self, app_name: str, write: Callable[[str], None], observe: Observe | None = None, screen: Screen | None = None,
        *, release: int | None = None,
    ) -> Interactive:  # fmt: skip
        """Start an author's session on an app, which need not exist yet.

        `write` gets what scripts print, `observe` the report of every run, `screen` what cells display; None: `write`.
        With `release` the session is on that release in place of what is live; raises `NotFound` when there is none.
        """
        current: Callable[[str], Published] = self.snapshots.current
        if release is not None:
            published = self.old_releases.at(self.apps.get(app_name), release)
            current = lambda _app_name: published  # noqa: E731

        def data(app: App, remaining_s: Callable[[], float], discard: bool, causes: int) -> DataSession:
            if not app.is_stored and not discard:
                app = self._stored(app.name)
                write(f"The app {app.name} exists now, since a script used its data.\n")
            return DataSession(self.runs, app, remaining_s, discard, causes)

        executor = Executor(limits_of(self.settings), data)
        return Interactive(current, executor, app_name, write, observe, screen)

    def _stored(self, app_name: str) -> App:
        with suppress(Conflict):  # somebody else made it at this moment
            self.apps.create(app_name)
        return self.apps.get(app_name)


def limits_of(settings: Settings) -> Limits:
    """Return the limits of states and runs."""
    return Limits(
        state=StateLimits(memory_bytes=settings.run_memory_mb * 2**20, chunks=settings.module_cache_size),
        run=RunLimits(
            timeout_s=settings.run_timeout_s,
            cpu_s=settings.run_cpu_s,
            grace_s=settings.run_grace_s,
            calls=settings.run_calls_max,
            log_lines=settings.run_log_lines_max,
            log_bytes=settings.run_log_kb * 2**10,
            response_bytes=settings.response_max_mb * 2**20,
            import_depth=settings.module_import_depth_max,
        ),
    )


@contextmanager
def open_platform(settings: Settings) -> Iterator[Platform]:
    """Yield the ready services; starts the embedded server when no URL is set, and migrates.

    Raises `PlatformError` when the database is not there or cannot be migrated. Use from any thread, not across a fork.
    """
    with prepared(settings, watch=True) as conninfo:
        database = Database(conninfo, pool_size=settings.database_pool_size, timeout_s=settings.database_timeout_s)
        database.open()
        runs = open_runs_database(
            conninfo,
            # one run holds one to its end
            pool_size=max(settings.database_pool_size, settings.threads, settings.worker_threads),
            timeout_s=settings.database_timeout_s,
        )
        try:
            token = ensure_instance_token(settings.home, TokenRepository(database))
            with _remote(settings, token) as remote, closing(RunHistory(RunRepository(database))) as history:
                yield _assemble(settings, database, runs, remote, history)
        finally:
            runs.close()
            database.close()


@contextmanager
def _remote(settings: Settings, token: str) -> Iterator[ExecutorClient | None]:
    """Yield the client of the node that runs endpoints, None when it is this one."""
    if settings.executor_url is None:
        yield None
        return
    from picloud.engine.remote import RemoteExecutor  # its HTTP client would cost every other start 50 ms

    with closing(
        RemoteExecutor(
            str(settings.executor_url),
            token,
            Turns(settings.threads),
            timeout_s=settings.run_timeout_s,
            grace_s=settings.run_grace_s,
            response_bytes=settings.response_max_mb * 2**20,
        )
    ) as remote:
        yield remote


def _assemble(
    settings: Settings, database: Database, runs: Database, remote: ExecutorClient | None, history: RunHistory
) -> Platform:
    apps, live, releases = AppRepository(database), LiveRepository(database), ReleaseRepository(database)
    limits, data = limits_of(settings), partial(DataSession, runs)
    executor = Executor(limits, data)
    snapshots = Snapshots(apps, live, capacity=settings.script_cache_size)
    turns = Turns(settings.threads)
    local = LocalExecutor(snapshots.at, executor, turns, history)
    return Platform(
        settings=settings,
        database=database,
        runs=runs,
        apps=apps,
        live=live,
        releases=releases,
        schedules=ScheduleRepository(database),
        tokens=TokenRepository(database),
        snapshots=snapshots,
        dispatcher=Dispatcher(snapshots.current, remote or local),
        local=local,
        old_releases=OldReleases(releases, LocalExecutor(snapshots.at, Executor(limits, data), turns, history)),
        publisher=Publisher(database, apps, releases, Gate(executor, turns, settings.gate_timeout_s)),
        dead_letters=DeadLetterAdministration(DeadLetterRepository(database)),
        history=history,
        run_records=RunRepository(database),
        deliverer=Deliverer(DeliveryRepository(database), snapshots, executor, history),
        caches={"snapshots": snapshots.counters, "chunks": executor.chunks},
    )
