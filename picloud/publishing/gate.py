"""The gate of a publish: runs the tests of the app as it would be, within a time limit for all of them together."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from picloud.engine.executor import Executor
from picloud.engine.testing import TestResult, run_test
from picloud.engine.turns import Turns
from picloud.errors import FailedTest, ScriptError, TestsFailed
from picloud.model.app import App
from picloud.model.release import Manifest
from picloud.modules.source import Snapshot

SHOWN_MAX: Final = 50
"""Failures listed in the error's sentence; its `failures` has all."""
MESSAGE_MAX: Final = 1000
"""Characters of a failure's message, which a script chooses."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found."""

    results: tuple[TestResult, ...]
    """Of the tests that ran."""
    failures: tuple[FailedTest, ...]
    """The tests that did not pass, first those that ran."""

    def refusal(self, reached: Mapping[str, tuple[str, ...]], places: Mapping[str, str]) -> TestsFailed:
        """Return the error of a publish that is refused.

        `reached` has the changed modules that each test requires, `places` the cell each test came from, by its entry.
        """
        ran = sum(not result.passed for result in self.results)
        not_run = len(self.failures) - ran
        lines = [f"{len(self.failures)} of {len(self.results) + not_run} tests failed; nothing was published."]
        lines += [_line(failure, reached, places) for failure in self.failures[: min(ran, SHOWN_MAX)]]
        if ran > SHOWN_MAX:
            lines.append(f"... and {ran - SHOWN_MAX} more")
        if not_run:
            first = self.failures[ran]
            lines.append(f"{not_run} tests, the first of them {first.test}, {first.message}")
        return TestsFailed("\n".join(lines), self.failures)


class Gate:
    """Runs all tests of a manifest; what each does to the app's data is undone."""

    def __init__(self, executor: Executor, turns: Turns, timeout_s: float) -> None:
        """Take what runs scripts, the turns of apps, and how long all tests of one publish may take."""
        self._executor = executor
        self._turns = turns
        self._timeout_s = timeout_s

    def test(self, app: App, snapshot: Snapshot, manifest: Manifest) -> Verdict:
        """Run the tests in their order; those the time limit leaves no time for count as failed.

        Raises `AppBusy` when the app has as many runs going on as it may.
        """
        with self._turns.turn(app.id):
            return self._test(app, snapshot, manifest)

    def _test(self, app: App, snapshot: Snapshot, manifest: Manifest) -> Verdict:
        deadline = time.monotonic() + self._timeout_s
        results: list[TestResult] = []
        for test in manifest.tests:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            results.append(run_test(self._executor, app, snapshot, manifest.routes, test, timeout_s=left_s))
        failed = [failed_test(result.name, result.error) for result in results if result.error is not None]
        late = f"did not run: all tests together may take {self._timeout_s:g} s (PICLOUD_GATE_TIMEOUT_S)."
        failed += [FailedTest(test.name, late) for test in manifest.tests[len(results) :]]
        return Verdict(tuple(results), tuple(failed))


def failed_test(name: str, error: ScriptError) -> FailedTest:
    """Return what a test's error says: its message without where it happened, and where, as the test's line."""
    message = error.message.removeprefix(f"{error.script}:{error.line}: ").replace("\0", "\\0")  # PostgreSQL has none
    if len(message) > MESSAGE_MAX:
        message = f"{message[:MESSAGE_MAX]}..."
    if error.script == name:
        return FailedTest(name, message, error.line)
    frames = (re.match(rf"{re.escape(name)}:([0-9]+): ", frame) for frame in error.traceback)
    line = next((int(found[1]) for found in frames if found), None)
    return FailedTest(name, message, line, f"{error.script}:{error.line}" if error.script else None)


def _line(failure: FailedTest, reached: Mapping[str, tuple[str, ...]], places: Mapping[str, str]) -> str:
    entry = f"test {failure.test}"
    place = f" ({places[entry]})" if entry in places else ""
    line = f", line {failure.line}" if failure.line else ""
    at = f" (at {failure.at})" if failure.at else ""
    modules = reached.get(failure.test)
    why = f"; it reaches {', '.join(modules)}, which changed" if modules else ""
    return f"{entry}{place}{line}{at}: {failure.message}{why}"
