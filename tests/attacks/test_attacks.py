"""Hostile scripts: each ends as its first line says, near its limit, and the next run finds nothing of it.

A script's head: `-- expect: CODE [within SECONDS] [memory MiB] [as test]`, CODE an error code, or `ok` with the
answer's text after it. Without `within`, a run that is stopped by time may take a second more than its limit.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE / "scripts").rglob("*.lua"))
PROBE = (HERE / "probe.lua").read_text()
TIMEOUT_S = 0.3
LATE_S = 1.0
HANG_S = 15.0

_HEAD = re.compile(
    r"-- expect: (?P<codes>[\w|]+)(?: (?P<body>\"[^\"]*\"))?"
    r"(?: within (?P<within>[\d.]+))?(?: memory (?P<memory>\d+))?(?: as (?P<kind>test))?\n"
)


@dataclass(frozen=True)
class Attack:
    """One script with what must become of it."""

    source: str
    codes: tuple[str, ...]
    body: str | None
    within_s: float
    memory_mb: int
    kind: str


def read_attack(path: Path) -> Attack:
    source = path.read_text()
    head = _HEAD.match(source)
    assert head is not None, f"{path.name} does not say what to expect"
    return Attack(
        source=source,
        codes=tuple(head["codes"].split("|")),
        body=json.loads(head["body"]) if head["body"] else None,
        within_s=float(head["within"] or TIMEOUT_S + LATE_S),
        memory_mb=int(head["memory"] or 8),
        kind=head["kind"] or "endpoint",
    )


class Arena:
    """A worker process, replaced when an attack hangs or kills it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def fight(self, order: dict[str, Any]) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        try:
            line = self._answers.get(timeout=HANG_S)
        except queue.Empty:
            self.close()
            pytest.fail(f"the run still hung after {HANG_S:g} s")
        if not line:
            code = process.wait()
            self.close()
            pytest.fail(f"the process died with {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._answers = queue.Queue()
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert self._process.stdout is not None
            threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process


def _read(stream: IO[str], answers: queue.Queue[str]) -> None:
    try:
        for line in stream:
            answers.put(line)
    except ValueError:  # closed while reading
        return
    answers.put("")


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


def test_there_are_attacks() -> None:
    assert len(SCRIPTS) >= 40


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "path", SCRIPTS, ids=lambda path: path.relative_to(HERE / "scripts").with_suffix("").as_posix()
)
def test_attack(arena: Arena, path: Path) -> None:
    attack = read_attack(path)
    answer = arena.fight(
        {
            "source": attack.source,
            "probe": PROBE,
            "kind": attack.kind,
            "timeout_s": TIMEOUT_S,
            "memory_mb": attack.memory_mb,
        }
    )
    result = answer["attack"]
    assert result["code"] in attack.codes, result
    if attack.body is not None:
        assert result["body"] == attack.body
    assert result["seconds"] < attack.within_s, result
    assert (answer["probe"]["code"], answer["probe"]["body"]) == ("ok", "clean")
