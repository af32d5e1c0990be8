"""Supervision of real child processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from server_ext.supervisor import Supervisor

LOG = logging.getLogger("test.supervisor")
WAIT_S = 20.0
SLEEPER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(600)"
)
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def running_pid(supervisor: Supervisor) -> int:
    assert supervisor.pid is not None
    return supervisor.pid


def test_a_killed_child_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        supervisor = Supervisor("sleeper", lambda: python(SLEEPER), log=LOG)
        supervisor.start()
        await until(lambda: supervisor.pid)
        first = running_pid(supervisor)
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pid not in (None, first))
        second = running_pid(supervisor)
        await supervisor.stop()
        assert gone(first)
        assert gone(second)
        assert supervisor.pid is None

    asyncio.run(scenario())
    assert "sleeper exited with -9; starting it again" in caplog.text


def test_a_command_that_cannot_be_made_is_tried_again() -> None:
    async def scenario() -> None:
        attempts: list[int] = []

        def command() -> list[str]:
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError("no port")
            return python(SLEEPER)

        supervisor = Supervisor("child", command, log=LOG)
        supervisor.start()
        await until(lambda: len(attempts) == 2 and supervisor.pid)
        await supervisor.stop()

    asyncio.run(scenario())


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def scenario() -> None:
        supervisor = Supervisor("stubborn", lambda: python(STUBBORN, str(ready)), log=LOG, grace_s=0.2)
        supervisor.start()
        await until(ready.exists)
        pid = running_pid(supervisor)
        await supervisor.stop()
        assert gone(pid)

    asyncio.run(scenario())


def test_a_killed_childs_own_children_go_with_it(tmp_path: Path) -> None:
    """A worker that outlives granian's main process would keep the port."""
    report = tmp_path / "pid"

    async def scenario() -> None:
        supervisor = Supervisor("family", lambda: python(FAMILY, str(report)), log=LOG)
        supervisor.start()
        await until(lambda: report.exists() and report.read_text())
        grandchild = int(report.read_text())
        os.kill(running_pid(supervisor), signal.SIGKILL)
        await until(lambda: gone(grandchild))
        await supervisor.stop()

    asyncio.run(scenario())


def test_stop_is_idempotent_and_works_before_start() -> None:
    async def scenario() -> None:
        supervisor = Supervisor("sleeper", lambda: python(SLEEPER), log=LOG)
        await supervisor.stop()
        supervisor.start()
        await supervisor.stop()
        await supervisor.stop()

    asyncio.run(scenario())


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    report = tmp_path / "pid"
    parent = subprocess.Popen(
        python(
            "import asyncio, logging, sys\n"
            "from server_ext.supervisor import Supervisor\n"
            "child = 'import os, sys, time; open(sys.argv[1], \"w\").write(str(os.getpid())); time.sleep(600)'\n"
            "async def main():\n"
            "    Supervisor('c', lambda: [sys.executable, '-c', child, sys.argv[1]], log=logging.getLogger()).start()\n"
            "    await asyncio.Event().wait()\n"
            "asyncio.run(main())\n",
            str(report),
        )
    )
    try:
        wait_for(lambda: report.exists() and report.read_text())
        child = int(report.read_text())
        assert os.getsid(child) == child, "the child must not share the terminal's process group"
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: gone(child))


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


def test_the_event_loop_stays_free_while_children_start_and_stop() -> None:
    async def scenario() -> float:
        supervisors = [Supervisor(f"s{n}", lambda: python(SLEEPER), log=LOG) for n in range(3)]
        longest = 0.0
        stopped = asyncio.Event()

        async def watch() -> None:
            nonlocal longest
            while not stopped.is_set():
                before = time.monotonic()
                await asyncio.sleep(0.005)
                longest = max(longest, time.monotonic() - before)

        watcher = asyncio.create_task(watch())
        for supervisor in supervisors:
            supervisor.start()
        await until(lambda: all(s.pid for s in supervisors))
        await asyncio.gather(*(s.stop() for s in supervisors))
        stopped.set()
        await watcher
        return longest

    assert asyncio.run(scenario()) < 1.0
