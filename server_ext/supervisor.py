"""Keeps one child process running for as long as the Jupyter server runs.

The child leads a session of its own, so Ctrl-C in the terminal reaches Jupyter alone and shuts down once. It is tied to
the *thread* that starts it (see `tether`), which must therefore be the main one: start from Jupyter's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
STEADY_S = 10.0
"""A child that ran this long was well: its next failure counts as the first."""
BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 15.0


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row (1 or more)."""
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 16)))


class Supervisor:
    """One supervised child.

    `command` is asked for the argument vector before every start (absolute program first), so it may choose a new port;
    when it raises, that counts as a failed start. `grace_s` is what the child gets between SIGTERM and SIGKILL.
    """

    def __init__(
        self, name: str, command: Callable[[], Sequence[str]], *, log: logging.Logger, grace_s: float = 8.0
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._grace_s = grace_s
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running child's process id; None between two children."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the child and keep it running; returns at once. Call it on the event loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running())

    async def stop(self) -> None:
        """End the child: SIGTERM, then SIGKILL to its whole session after the grace. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                outcome = f"exited with {await self._run_once()}"
            except Exception as error:
                # Whatever stops a start (no port, no memory for a fork) may pass; giving up never does.
                outcome = f"did not start ({error})"
            failures = 1 if time.monotonic() - began >= STEADY_S else failures + 1
            delay = backoff_s(failures)
            self._log.warning(
                "PiCloud's %s %s; starting it again in %.2g s",
                self.name,
                outcome,
                delay,
                extra={"action": "restart_child", "child": self.name},
            )
            await asyncio.sleep(delay)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            "-E",
            str(TETHER),
            str(os.getpid()),
            *self._command(),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process = process
        self._log.debug("PiCloud's %s runs as process %d", self.name, process.pid)
        try:
            return await process.wait()
        except asyncio.CancelledError:
            await self._end(process)
            raise
        finally:
            self._process = None
            # Its own children (granian's workers) must not outlive it: they would keep the port.
            _signal_session(process.pid, signal.SIGKILL)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s)
        except TimeoutError:
            self._log.warning("PiCloud's %s did not stop within %g s and is killed", self.name, self._grace_s)
            _signal_session(process.pid, signal.SIGKILL)
            await process.wait()


def _signal_session(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
