"""PiCloud as an operator runs it: a data plane and two workers, started again when they die; and how to kill it all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from picloud.testing.processes import postmaster_pid

RESTART_PAUSE_S: Final = 0.1
STOP_S: Final = 60.0
PICLOUD: Final = (sys.executable, "-m", "picloud")


class Fault(StrEnum):
    """What is done to the system."""

    WORKER = "a worker"
    DATA_PLANE_CHILD = "a process of the data plane"
    DATA_PLANE = "the data plane"
    POSTMASTER = "PostgreSQL"
    BACKEND = "a backend of PostgreSQL"
    CONNECTION = "a connection (SIGTERM)"
    GUARD = "the guard"
    ALL = "all at once"


class Supervised:
    """Keeps a command running until `stop`, as systemd would; what a dead one leaves of its session is killed."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process = self._started()
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last."""
        return self._process.pid

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        with self._starting:
            self._stopping.set()
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        finally:
            self._process.kill()
            self._thread.join()

    def _keep_running(self) -> None:
        while True:
            self._process.wait()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._stopping.wait(RESTART_PAUSE_S)
            with self._starting:
                if self._stopping.is_set():
                    return
                self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )


class System:
    """All processes of one PICLOUD_HOME."""

    def __init__(self, home: Path, data_plane: Supervised, workers: Sequence[Supervised]) -> None:
        self.home, self.data_plane, self.workers = home, data_plane, workers

    def inflict(self, fault: Fault, chance: random.Random) -> bool:
        """Do it; return whether there was anything to do it to."""
        name = signal.SIGTERM if fault is Fault.CONNECTION else signal.SIGKILL
        victims = [pid for pid in self._victims(fault) if pid is not None]
        if victims and fault is not Fault.ALL:
            victims = [chance.choice(victims)]
        return sum(_signalled(pid, name) for pid in victims) > 0

    def stop(self) -> list[int]:
        """End all in order; return the exit statuses."""
        return [process.stop() for process in (*self.workers, self.data_plane)]

    def _victims(self, fault: Fault) -> Sequence[int | None]:
        workers = [worker.pid for worker in self.workers]
        postmaster = postmaster_pid(self.home)
        match fault:
            case Fault.WORKER:
                return workers
            case Fault.DATA_PLANE_CHILD:
                return _children(self.data_plane.pid)
            case Fault.DATA_PLANE:
                return [self.data_plane.pid]
            case Fault.POSTMASTER:
                return [postmaster]
            case Fault.BACKEND | Fault.CONNECTION:
                return _children(postmaster, lambda command: "[local]" in command)
            case Fault.GUARD:
                return [self._guard()]
            case Fault.ALL:
                return [*workers, self.data_plane.pid, postmaster, self._guard()]

    def _guard(self) -> int | None:
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if command[-3:] == ["-m", "picloud.storage.guard", str(self.home)]:
                return int(process.pid)
        return None


def environment_of(home: Path) -> dict[str, str]:
    """Return the environment of PiCloud's processes: all settings but the home are the defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PICLOUD_")}
    return kept | {"PICLOUD_HOME": str(home)}


@contextmanager
def running_system(home: Path, port: int, logs: Path) -> Iterator[System]:
    """Yield the system while it is started, and end what is left of it."""
    environment = environment_of(home)
    serve = [*PICLOUD, "serve", "--port", str(port), "--workers", "2"]
    with ExitStack() as stack:
        data_plane = Supervised(serve, environment, logs / "serve.log")
        stack.callback(data_plane.stop)
        workers = []
        for number in (1, 2):
            workers.append(Supervised([*PICLOUD, "worker"], environment, logs / f"worker-{number}.log"))
            stack.callback(workers[-1].stop)
        yield System(home, data_plane, workers)


def _children(parent: int | None, has: Callable[[str], bool] = lambda _command: True) -> list[int]:
    with suppress(psutil.Error):
        if parent is not None:
            return [child.pid for child in psutil.Process(parent).children() if has(" ".join(child.cmdline()))]
    return []


def _signalled(pid: int, name: signal.Signals) -> bool:
    try:
        os.kill(pid, name)
    except ProcessLookupError:
        return False
    return True
