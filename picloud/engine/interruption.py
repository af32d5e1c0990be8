"""A way to end one run from another thread, given to the executor with the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from picloud.lua.state import LuaState
from picloud.sdk.run import Run


class Interruption:
    """Ends the one run it is given with; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reached: tuple[LuaState, Run] | None = None
        self._has_told_run = False

    @contextmanager
    def reaching(self, state: LuaState, run: Run) -> Iterator[None]:
        """Be about this run until the end of the block; afterwards its state may serve another one."""
        with self._lock:
            self._reached = state, run
        try:
            yield
        finally:
            with self._lock:
                self._reached = None

    def interrupt(self) -> None:
        """End the run with `RunInterrupted`.

        Call it again until the run has ended: Lua that is just about to start does not hear of it.
        """
        with self._lock:
            if self._reached is None:
                return
            state, run = self._reached
            state.interrupt()  # first, so that the run does not go on to another statement
            if not self._has_told_run:
                self._has_told_run = True
                run.interrupt()
