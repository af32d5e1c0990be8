"""The process that runs background jobs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from procrastinate import App
from procrastinate.exceptions import ConnectorException

from picloud.lua.watchdog import watchdog
from picloud.settings import Settings
from picloud.storage.database import Database
from picloud.storage.schedules import ScheduleRepository
from picloud.triggers.deliverer import Deliverer
from picloud.triggers.scheduler import Scheduler
from picloud.triggers.tasks import HEARTBEAT_S, STALLED_S, build_app

EXIT_STUCK = 1
RESTART_PAUSE_S = 2.0
POLL_S = 1.0
"""New jobs are told of; those that become due are looked for."""
INTERRUPT_AGAIN_S = 0.5

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_ending = threading.Lock()
"""Taken for good when the process ends itself."""
_log = logging.getLogger(__name__)


def run_worker(database: Database, deliverer: Deliverer, settings: Settings) -> None:
    """Run jobs and schedules until SIGTERM or SIGINT, then finish what runs and return; a second ends it at once.

    What takes longer than other runs may is interrupted then, and comes again. Call in the main thread, with a migrated
    database that is there; waits for one that goes away later. The process ends itself when it has a run that cannot be
    stopped: whoever started it is to start another.
    """
    app = build_app(database, deliverer, settings)
    drain_s = settings.run_timeout_s + settings.run_grace_s
    watchdog.on_stuck = partial(_end, drain_s=drain_s)
    with Scheduler(ScheduleRepository(database)).running():
        asyncio.run(work(app, settings.worker_threads, drain_s=drain_s, interrupt=deliverer.interrupt))


def _end(label: str, *, drain_s: float) -> None:
    """Let the other runs end, and then the process: no thread of Python ends while it is in C.

    What the stuck run was for is taken over as from any dead worker.
    """
    if not _ending.acquire(blocking=False):  # a second signal would not wait for the other runs
        return
    _log.error("A run of %s cannot be stopped: this worker ends", label, extra={"action": "stuck"})
    end = threading.Timer(drain_s, os._exit, (EXIT_STUCK,))
    end.daemon = True
    end.start()
    os.kill(os.getpid(), signal.SIGTERM)


async def work(app: App, threads: int, *, drain_s: float, interrupt: Callable[[], None]) -> None:
    """Run the jobs of an application, so many at once, until SIGTERM or SIGINT; then let what runs end.

    After `drain_s` `interrupt` is called, again and again until all has ended.
    """
    stop = asyncio.Event()
    _on_first_signal(stop)
    # asyncio's own has fewer threads on a small machine: jobs would be taken, and wait.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "run"))
    while not stop.is_set():
        working = asyncio.create_task(_work(app, threads))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()  # procrastinate takes this as the wish to drain
        await _drained(working, drain_s, interrupt)
        if not stop.is_set():
            # procrastinate ends when one of its own loops fails, which a lost database makes them do.
            _log.warning("The worker starts again", extra={"action": "restart_worker"})
            await asyncio.wait((stopping,), timeout=RESTART_PAUSE_S)
        stopping.cancel()
    _log.info("The worker has stopped", extra={"action": "worker_stopped"})


async def _drained(working: asyncio.Task[None], drain_s: float, interrupt: Callable[[], None]) -> None:
    ended, _ = await asyncio.wait((working,), timeout=drain_s)
    if not ended:
        _log.warning("What still runs is interrupted and comes again", extra={"action": "drain_ended"})
    while not ended:
        interrupt()  # a run may have been about to begin
        ended, _ = await asyncio.wait((working,), timeout=INTERRUPT_AGAIN_S)


async def _work(app: App, threads: int) -> None:
    try:
        await app.open_async()
        _log.info("The worker is ready", extra={"action": "worker_ready"})
        await app.run_worker_async(
            install_signal_handlers=False,
            concurrency=threads,
            fetch_job_polling_interval=POLL_S,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_S,
            delete_jobs="successful",
        )
    except ConnectorException as error:
        _log.warning("The database does not answer: %s", error.__cause__, extra={"action": "database_unavailable"})
    except Exception:
        _log.exception("The worker failed", extra={"action": "worker_failed"})
    finally:
        await app.close_async()  # also after an open that failed half-way


def _on_first_signal(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        for name in _STOP_SIGNALS:
            loop.remove_signal_handler(name)
        stop.set()

    for name in _STOP_SIGNALS:
        loop.add_signal_handler(name, on_signal)
