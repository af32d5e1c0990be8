"""Runs hostile scripts, one JSON line in, one out; a process of its own, so that a hang or abort shows from outside.

Time is the CPU time of the thread that runs the script: on a loaded machine it does not grow while others run.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from picloud.engine.coverage import CoveringExecutor
from picloud.engine.executor import Executor
from picloud.engine.testing import run_test
from picloud.engine.validator import check_source
from picloud.errors import PicloudError
from picloud.model.app import App, AppId
from picloud.model.http import Request
from picloud.model.release import TestSource
from picloud.model.run import RunReport
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

_APP = App(AppId(uuid4()), "victim", 1, datetime.now(UTC))


def _linked(name: str, kind: ScriptKind, source: str) -> LinkedScript:
    return LinkedScript(Script(name, kind, source), check_source(name, kind, source).imports)


class _Attempt:
    """One run with what it used."""

    def __init__(self, executor: Executor, modules: dict[str, str]) -> None:
        self._executor = executor
        self._modules = modules
        self._lines = 0
        self._reports: list[RunReport] = []

    def run(self, kind: str, source: str) -> dict[str, Any]:
        code, body = "ok", ""
        wall_s, cpu_s = time.monotonic(), time.thread_time()
        try:
            body = (self._test if kind == "test" else self._endpoint)(source)[:200].decode("utf-8", "replace")
        except PicloudError as error:
            code, body = error.code, error.message[:200]
        except Exception as error:  # a Python error here is a finding, which the test shows
            code, body = type(error).__name__, str(error)[:200]
        return {
            "code": code,
            "body": body,
            "wall_s": time.monotonic() - wall_s,
            "cpu_s": time.thread_time() - cpu_s,
            "peak_bytes": max((report.peak_bytes for report in self._reports), default=0),
            "lines": self._lines,
            "lines_max": self._executor.limits.run.log_lines,
        }

    def _endpoint(self, source: str) -> bytes:
        scripts = {name: _linked(name, ScriptKind.MODULE, text) for name, text in self._modules.items()}
        request = Request("GET", "/", "id", headers={"cookie": "a=b"})
        return self._executor.endpoint(
            _APP, _linked("attack", ScriptKind.ENDPOINT, source), Snapshot(_APP, scripts, ()), request, {},
            write=self._write, observe=self._reports.append,
        ).body  # fmt: skip

    def _test(self, source: str) -> bytes:
        result = run_test(
            self._executor, _APP, Snapshot(_APP, {}, ()), (), TestSource("attack", source),
            write=self._write, observe=self._reports.append,
        )  # fmt: skip
        if result.error is not None:
            raise result.error
        return b"passed"

    def _write(self, _text: str) -> None:
        self._lines += 1


def main() -> None:
    """Answer orders until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        executor = Executor(limits_of(Settings(**order["settings"])))
        attacked = CoveringExecutor(executor) if order["coverage"] else executor
        attack = _Attempt(attacked, order["modules"]).run(order["kind"], order["source"])
        probe = _Attempt(executor, order["modules"]).run("endpoint", order["probe"])
        sys.stdout.write(json.dumps({"attack": attack, "probe": probe}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
