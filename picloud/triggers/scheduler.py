"""The scheduler: looks after the ticks of cron triggers. Any number may run, on any nodes; each tick is run once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from picloud.errors import DatabaseUnavailable
from picloud.storage.schedules import ScheduleKey, ScheduleRepository

LOOK_S: Final = 1.0
"""How often it looks for schedules that were published meanwhile, and tries again what failed."""
PAUSE_MIN_S: Final = 0.005

_log = logging.getLogger(__name__)


class Scheduler:
    """Makes events of ticks."""

    def __init__(self, schedules: ScheduleRepository) -> None:
        self._schedules = schedules

    def step(self, now: datetime | None = None) -> bool:
        """Account for all ticks up to now, the database's unless given, but those that another scheduler is at.

        Returns False when a schedule failed; raises `DatabaseUnavailable`.
        """
        failed = False
        keys = self._schedules.due(now)
        while keys:
            advanced = [self._advance(key, now) for key in keys]
            failed = failed or None in advanced
            keys = self._schedules.due(now) if any(advanced) else []
        return not failed

    def _advance(self, key: ScheduleKey, now: datetime | None) -> bool | None:
        """Do one account of a schedule; return whether there was anything to do, None when it failed."""
        try:
            return self._schedules.advance(key, now)
        except DatabaseUnavailable:
            raise
        except Exception:  # others are not to wait for it
            _log.exception(
                "The schedule of the trigger %s failed", key.trigger,
                extra={"action": "schedule_failed", "app_id": str(key.app_id), "trigger": key.trigger},
            )  # fmt: skip
            return None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do it at every tick, in a thread of its own, until the end of the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,), name="picloud scheduler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        pause_s = 0.0
        while not stop.wait(pause_s):
            pause_s = self._round()

    def _round(self) -> float:
        """Do a step; return the seconds to the next."""
        try:
            if not self.step():
                return LOOK_S
            next_s = self._schedules.next_s()
        except DatabaseUnavailable:  # which has said so in the log
            return LOOK_S
        except Exception:
            _log.exception("The scheduler failed and goes on", extra={"action": "scheduler_failed"})
            return LOOK_S
        return LOOK_S if next_s is None else min(LOOK_S, max(PAUSE_MIN_S, next_s))
