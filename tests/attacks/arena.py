"""A worker process that runs attacks, replaced when one hangs or kills it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Final

import pytest

WORKER: Final = Path(__file__).with_name("worker.py")
HANG_S: Final = 15.0
"""Wall-clock seconds after which an attack hangs, however loaded the machine is."""


class Arena:
    """Lends its worker to one attack at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def fight(self, order: dict[str, Any]) -> dict[str, Any]:
        """Fail the test when no answer comes."""
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
                [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
