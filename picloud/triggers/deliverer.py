"""Makes one delivery: takes the event, runs the trigger's script, and settles what comes of it.

Only the script's own errors and limits spend attempts. Whatever the platform does, a crash, a lost database, a publish,
leaves the delivery as it was, and the job comes again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from picloud.engine.dispatcher import Snapshots
from picloud.engine.executor import RETRY_AS_USUAL, Executor
from picloud.engine.history import RunHistory, Watched
from picloud.engine.interruption import Interruption
from picloud.engine.log import to_logging
from picloud.errors import NotFound, RunInterrupted, ScriptError, StaleRevision
from picloud.model.app import App
from picloud.model.event import Message, Verdicts
from picloud.model.script import LinkedScript
from picloud.modules.source import Snapshot, routed_script
from picloud.storage.deliveries import Delivery, DeliveryRepository, Failure, Key
from picloud.triggers.cancellations import Cancellations

_log = logging.getLogger(__name__)


class Deliverer:
    """Makes deliveries, from any thread."""

    def __init__(
        self, deliveries: DeliveryRepository, snapshots: Snapshots, executor: Executor, history: RunHistory
    ) -> None:
        self._deliveries = deliveries
        self._snapshots = snapshots
        self._executor = executor
        self._history = history
        self._cancellations = Cancellations(deliveries)

    def deliver(self, key: Key, job_id: int, worker_id: int | None = None) -> None:
        """Make the delivery, and end the job or let it come again; raises `PlatformError` when it cannot do so now.

        `worker_id` says who has the job; None: nobody.
        """
        taken = self._deliveries.take(key, job_id, worker_id)
        if not taken:
            return
        try:
            with self._cancellations.reaching(taken[0]) as interruption:
                failed = self._run(taken, interruption)
        except RunInterrupted:
            if self._deliveries.end_cancelled(key, taken[0].lease):
                return
            raise
        gone = {failure.key for failure in failed}
        done = [delivery.key for delivery in taken if delivery.key not in gone]
        if not self._deliveries.finish(done, failed, job_id, taken[0].lease):
            _log.warning(
                "A run of %s/%s does not count: its event was taken over meanwhile", taken[0].app.name, key.trigger,
                extra={"action": "lease_lost", "app": taken[0].app.name, "trigger": key.trigger, "job": job_id},
            )  # fmt: skip

    def interrupt(self) -> None:
        """End the runs that go on, from any thread; their deliveries are as they were, and `deliver` raises."""
        self._executor.interrupt()

    def _run(self, taken: Sequence[Delivery], interruption: Interruption | None) -> list[Failure]:
        """Run the script; return the failures, none for what it is done with."""
        first, verdicts = taken[0], Verdicts()
        watched = Watched()
        error: ScriptError | None = None
        snapshot = self._snapshot(first.app)
        try:
            script = routed_script(snapshot, first.script)
        except NotFound:
            return [_gone(delivery) for delivery in taken]
        try:
            self._run_script(snapshot, script, taken, verdicts, watched, interruption)
        except RunInterrupted:
            raise
        except ScriptError as failure:
            error = failure.with_traceback(None)  # whose frames hold the events, and this one the error
        failed = [
            (place, delivery)
            for place, delivery in enumerate(taken)
            if place in verdicts.retried or (error is not None and place not in verdicts.acked)
        ]
        details = {"version": script.script.version, **watched.details(error)} if failed else {}
        return [_failure(delivery, error, details, verdicts.retried.get(place)) for place, delivery in failed]

    def _snapshot(self, app: App) -> Snapshot:
        try:
            snapshot = self._snapshots.at(app.name, app.id, app.revision)
        except StaleRevision:  # published again since the delivery was taken
            snapshot = self._snapshots.current(app.name).snapshot
        if snapshot.app.id != app.id:
            raise NotFound(f"The app {app.name!r} is another one now.")
        return snapshot

    def _run_script(
        self, snapshot: Snapshot, script: LinkedScript, taken: Sequence[Delivery], verdicts: Verdicts, watched: Watched,
        interruption: Interruption | None,
    ) -> None:  # fmt: skip
        """Run the script and note it in the history, also when a fault of the platform ends it."""
        first = taken[0]
        messages = [Message(delivery.event, delivery.attempts + 1) for delivery in taken]
        emit = to_logging(
            {"action": "script_log", "app": first.app.name, "script": first.script, "event": str(first.event.id)}
        )
        note = partial(self._history.trigger, snapshot.app, script, first.key.trigger, messages, watched)
        try:
            self._executor.trigger(
                snapshot.app,
                script,
                snapshot,
                messages,
                verdicts,
                emit=watched.lines.before(emit),
                timeout_s=first.timeout_s,
                observe=watched.observe,
                interruption=interruption,
            )
        except Exception as error:
            note(error, redrives=first.redrives)
            raise
        note(None, redrives=first.redrives)


def _failure(delivery: Delivery, error: ScriptError | None, details: dict[str, Any], pause_s: float | None) -> Failure:
    now = datetime.now(UTC)
    failures = delivery.attempts + 1
    retry_at = None
    if failures <= delivery.retry.retries:
        if pause_s is None or pause_s == RETRY_AS_USUAL:
            pause_s = delivery.retry.pause_s(failures, random.random())  # noqa: S311  (spreads retries, guards nothing)
        retry_at = now + timedelta(seconds=pause_s)
    if error is None:
        return Failure(delivery.key, now, "retry_asked", "The script asked for another attempt.", details, retry_at)
    _log.warning(
        "Attempt %d of %s/%s failed: %s", failures, delivery.app.name, delivery.key.trigger, error.code,
        extra={"action": "delivery_failed", "app": delivery.app.name, "trigger": delivery.key.trigger},
    )  # fmt: skip
    return Failure(delivery.key, now, error.code, error.message, details, retry_at)


def _gone(delivery: Delivery) -> Failure:
    message = f"The app has no script {delivery.script!r} any more: publish one and redrive, or discard."
    return Failure(delivery.key, datetime.now(UTC), NotFound.code, message, {}, None)
