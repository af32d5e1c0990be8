"""No app takes all threads of a worker: whoever calls another app still finds one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from picloud.errors import AppBusy
from picloud.model.app import AppId

PATIENCE_S: Final = 0.25
"""A request waits for a turn as long as the app's newest run is younger than this. Short runs make way in time; when
all of an app's runs are long, waiting would only take one more thread from the others."""


@dataclass(slots=True)
class _Runs:
    count: int = 0
    newest_at: float = 0.0


class Turns:
    """Counts the runs of each app in this process. Thread-safe."""

    def __init__(self, threads: int) -> None:
        self.runs_max = max(1, threads * 3 // 4)
        """Runs of one app at once: three quarters of the threads that answer requests."""
        self._apps: dict[AppId, _Runs] = {}
        self._waiting = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, app_id: AppId) -> Iterator[None]:
        """Hold one of the app's turns; raise `AppBusy` when none comes free soon."""
        self._take(app_id)
        try:
            yield
        finally:
            self._give_back(app_id)

    def _take(self, app_id: AppId) -> None:
        with self._changed:
            runs = self._apps.get(app_id) or self._apps.setdefault(app_id, _Runs())
            while runs.count >= self.runs_max:
                self._wait(runs.newest_at + PATIENCE_S - time.monotonic())
                runs = self._apps.setdefault(app_id, _Runs())
            runs.count += 1
            runs.newest_at = time.monotonic()

    def _wait(self, left_s: float) -> None:
        if left_s <= 0:
            raise AppBusy
        self._waiting += 1
        try:
            self._changed.wait(left_s)
        finally:
            self._waiting -= 1

    def _give_back(self, app_id: AppId) -> None:
        with self._changed:
            runs = self._apps[app_id]
            runs.count -= 1
            if runs.count == 0:
                del self._apps[app_id]
            if self._waiting:
                self._changed.notify_all()
