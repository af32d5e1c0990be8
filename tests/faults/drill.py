"""The drill: load, faults, a time to settle, and the books."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg

from picloud.storage.embedded import acquire
from picloud.testing.processes import scratch_home, wait_until
from tests.faults.app import APP, EACH_SECOND, HARDLY_EVER, cells, duties
from tests.faults.books import Books, audit, read_books
from tests.faults.load import Fate, Load
from tests.faults.system import PICLOUD, Fault, System, environment_of, running_system

WEIGHTS: Final[Mapping[Fault, int]] = {
    Fault.WORKER: 6,
    Fault.DATA_PLANE_CHILD: 6,
    Fault.DATA_PLANE: 2,
    Fault.POSTMASTER: 2,
    Fault.BACKEND: 2,
    Fault.CONNECTION: 4,
    Fault.GUARD: 1,
    Fault.ALL: 1,
}
"""How often each comes, once each has come; those that the system needs longest to settle of come first."""
START_S: Final = 60.0
SETTLE_S: Final = 300.0
POLL_S: Final = 0.2
PENDING: Final = """SELECT (SELECT count(*) FROM deliveries)
    + (SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'picloud.deliver')"""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a drill."""

    findings: Sequence[str]
    """All that is wrong."""
    books: Books
    load: Load
    faults: Mapping[Fault, int]
    settled_s: float
    """From the last fault until nothing was pending."""

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        fates = Counter(self.load.fates.values())
        yield (
            "requests: " + ", ".join(f"{fates[fate]} {fate}" for fate in Fate) + f", {len(self.books.ledger)} happened"
        )
        yield "answers: " + ", ".join(f"{count} {what}" for what, count in sorted(self.load.answers.items()))
        yield "faults: " + ", ".join(f"{count} {fault}" for fault, count in self.faults.items())
        yield f"settled {self.settled_s:.1f} s after the last fault"
        yield f"{'trigger':<10}{'done':>8}{'dead':>8}{'failed':>8}{'repeated':>10}{'longest delay':>16}"
        for row in self._triggers():
            yield "{:<10}{:>8}{:>8}{:>8}{:>10}{:>14.1f} s".format(*row)
        for name, ticks in self.books.ticks.items():
            ran = sum(tick.event is not None for tick in ticks)
            cancelled = sum(tick.is_cancelled for tick in ticks)
            yield f"ticks of {name}: {sum(tick.count for tick in ticks)}, {ran} ran, {cancelled} of them cancelled"
        yield f"wrong: {len(self.findings)}"
        yield from self.findings

    def _triggers(self) -> Iterator[tuple[str, int, int, int, int, float]]:
        done = Counter(note.trigger for note in self.books.done)
        dead = Counter(letter.trigger for letter in self.books.letters)
        begun = Counter(start.trigger for start in self.books.starts)
        failed: Counter[str] = Counter()
        for request, (fails, doomed) in self.books.ledger.items():
            for duty in duties(request, fails, doomed):
                failed[duty.trigger] += duty.failures
        delays: dict[str, float] = defaultdict(float)
        for note in self.books.done:
            delays[note.trigger] = max(delays[note.trigger], note.delay)
        for trigger in sorted(done | dead):
            repeated = begun[trigger] - done[trigger] - failed[trigger]
            yield trigger, done[trigger], dead[trigger], failed[trigger], repeated, delays[trigger]


def drill(*, seconds: float, seed: int, pause_s: float, rate: float, logs: Path) -> Report:
    """Cause `rate` requests per second for so long while faults happen, then let all settle and account for it.

    `pause_s` is the mean time between two faults. Logs of the processes go to the folder `logs`.
    """
    port = _free_port()
    with scratch_home("picloud-faults-") as home, running_system(home, port, logs) as system:
        _publish(home, logs, cells(EACH_SECOND))
        load = Load(f"http://127.0.0.1:{port}", seed, rate)
        with load.running():
            faults, missing = _inflict(system, seconds, pause_s, random.Random(seed))
        ended = time.monotonic()
        _publish(home, logs, cells(HARDLY_EVER))
        with acquire(home) as lease, psycopg.connect(lease.conninfo(), autocommit=True) as connection:
            unsettled = _settle(connection)
            settled_s = time.monotonic() - ended
            statuses = [f"a process ended with {status}" for status in system.stop() if status]
            books = read_books(connection)
            shutil.copy(home / "postgres" / "server.log", logs)
    return Report([*missing, *unsettled, *statuses, *audit(books, load.fates)], books, load, faults, settled_s)


def plan(chance: random.Random) -> Iterator[Fault]:
    """Yield what is to happen: each fault once, then as they weigh."""
    yield from WEIGHTS
    while True:
        yield from chance.choices(list(WEIGHTS), list(WEIGHTS.values()))


def _inflict(
    system: System, seconds: float, pause_s: float, chance: random.Random
) -> tuple[Mapping[Fault, int], list[str]]:
    """Inflict each fault once, and go on for so long; return how often each was, and what did not come back for it."""
    faults: Counter[Fault] = Counter()
    missing: list[str] = []
    end = time.monotonic() + seconds
    for number, fault in enumerate(plan(chance)):
        pause = chance.uniform(0.25 * pause_s, 1.75 * pause_s)
        if number >= len(WEIGHTS) and time.monotonic() + pause > end:
            break
        time.sleep(pause)
        try:
            wait_until(partial(system.inflict, fault, chance), timeout_s=START_S)
            faults[fault] += 1
        except TimeoutError:
            missing.append(f"for {START_S:g} s there was nothing of this to kill: {fault}")
    return faults, missing


def _settle(connection: psycopg.Connection[Any]) -> list[str]:
    end = time.monotonic() + SETTLE_S
    while (pending := _pending(connection)) and time.monotonic() < end:
        time.sleep(POLL_S)
    return [f"{pending} deliveries and jobs are pending {SETTLE_S:g} s after the last fault"] if pending else []


def _pending(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(PENDING).fetchone()
    assert row is not None
    return int(row[0])


def _publish(home: Path, logs: Path, sources: list[str]) -> None:
    """Make these cells all the app consists of."""
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [cell | {"source": text} for text in sources],
    }
    path = logs / "drill.ipynb"
    path.write_text(json.dumps(content))
    command = [*PICLOUD, "publish", str(path), "--app", APP]
    done = subprocess.run(command, env=environment_of(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
