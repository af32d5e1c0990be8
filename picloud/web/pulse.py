"""How a worker of the data plane tells its parent that it lives, and that a run in it cannot be stopped.

A run past its limits and grace is a single step of C that nothing interrupts: its thread is lost until it ends by
itself, and only the end of the process ends it for sure. Where that C code also holds Python's lock, the whole worker
is silent, which only the parent can notice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from enum import Enum
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final

from picloud.lua.watchdog import watchdog

BEAT_S: Final = 0.5
STEADY_BEATS: Final = 3
"""So many beats after its first, a worker listens."""

log = logging.getLogger(__name__)


class Sign(Enum):
    """What a worker says."""

    BEAT = "beat"
    STUCK = "stuck"


class Pulse:
    """The worker's end of the pipe; picklable for a worker that is being started."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def start(self) -> None:
        """Beat from now on, in a thread, and report stuck runs; call once, in the worker, when it is ready."""
        watchdog.on_stuck = self._stuck
        threading.Thread(target=self._beat, name="picloud-pulse", daemon=True).start()

    def _beat(self) -> None:
        while self._send(Sign.BEAT):
            time.sleep(BEAT_S)

    def _stuck(self, label: str) -> None:
        log.error("a run of %s cannot be stopped: this worker is to be replaced", label, extra={"action": "stuck"})
        self._send(Sign.STUCK)

    def _send(self, sign: Sign) -> bool:
        try:
            self._pipe.send((os.getpid(), sign))  # shorter than PIPE_BUF, so workers may share the pipe
        except OSError:  # the parent is gone, and this worker soon will be
            return False
        return True


class Ward:
    """The parent's end: who beats, who is silent, who is stuck."""

    def __init__(self, *, silence_max_s: float) -> None:
        self._silence_max_s = silence_max_s
        self._pipe, writer = Pipe(duplex=False)
        self.pulse = Pulse(writer)
        self._beats: dict[int, tuple[int, float]] = {}
        self._changed = threading.Condition()

    def watch(self, replace: Callable[[int, Sign], None]) -> None:
        """Call `replace` once with the process id of each worker that is stuck, or silent (`BEAT`). Never returns."""
        while True:
            if self._pipe.poll(BEAT_S):
                pid, sign = self._pipe.recv()
                if sign is Sign.STUCK:
                    replace(pid, sign)
                else:
                    self._beat(pid)
            for pid in self._silent():
                replace(pid, Sign.BEAT)

    def wait_until_steady(self, pid: int, timeout_s: float) -> bool:
        """Return whether a new worker listens, at the latest after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self._beats.get(pid, (0, 0.0))[0] >= STEADY_BEATS, timeout_s)

    def forget(self, pid: int) -> None:
        """Watch a worker no more."""
        with self._changed:
            self._beats.pop(pid, None)

    def _beat(self, pid: int) -> None:
        with self._changed:
            self._beats[pid] = (self._beats.get(pid, (0, 0.0))[0] + 1, time.monotonic())
            self._changed.notify_all()

    def _silent(self) -> list[int]:
        latest = time.monotonic() - self._silence_max_s
        with self._changed:
            return [pid for pid, (_, at) in self._beats.items() if at < latest]
