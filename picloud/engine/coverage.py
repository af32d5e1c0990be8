"""Run tests and learn which lines of the app's scripts they reach. Decision 0015."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from picloud.engine.executor import Executor, Observe
from picloud.engine.library import library
from picloud.engine.log import Write
from picloud.engine.testing import TestResult
from picloud.lua.coverage import CountingState, counter, new_name
from picloud.lua.state import LuaState, Scalar
from picloud.model.app import App, AppId
from picloud.model.script import SOURCE_MAX_BYTES, LinkedScript, Script
from picloud.modules.source import ScriptSource
from picloud.syntax.coverage import executable_lines, with_counters

_LINES: Final = SOURCE_MAX_BYTES + 1
"""More than a script can have: the numbers of each script's counters begin at a multiple of it."""


@dataclass(frozen=True, slots=True)
class ScriptCoverage:
    """What runs reached of one script."""

    script: Script
    lines: tuple[int, ...]
    """Those that can run, ascending."""
    reached: frozenset[int]
    """Those of them that ran."""
    loaded: bool
    """Whether any run needed the script at all."""

    @property
    def missing(self) -> tuple[tuple[int, int], ...]:
        """First and last line of each stretch that nothing reached; lines that cannot run do not divide it."""
        stretches: list[tuple[int, int]] = []
        is_open = False
        for line in self.lines:
            if line not in self.reached:
                stretches.append((stretches.pop()[0] if is_open else line, line))
            is_open = line not in self.reached
        return tuple(stretches)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How tests went, and what they reached."""

    results: tuple[TestResult, ...]
    scripts: tuple[ScriptCoverage, ...]
    """Every script of the app, by name."""


class CoveringExecutor(Executor):
    """Runs tests, and the endpoints they call, with a counter on every line of the app's scripts; for one thread.

    Each run has a state of its own, so that it also loads what a state keeps for its next run. All limits hold as they
    do without. An interrupt of the executor it is made from reaches its runs.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor.limits, executor._data)
        self._states, self._runs, self._lock = executor._states, executor._runs, executor._lock
        self._name = new_name()
        self._counted: dict[bytes, tuple[int, str]] = {}
        self._passed: set[int] = set()
        self._test: LinkedScript | None = None

    def test(
        self, app: App, script: LinkedScript, source: ScriptSource, call: Callable[..., tuple[Scalar, ...]],
        *, timeout_s: float | None = None, write: Write | None = None, observe: Observe | None = None,
    ) -> int:  # fmt: skip
        """Run one test as `Executor` does; lines of the test itself do not count."""
        self._test = script
        return super().test(app, script, source, call, timeout_s=timeout_s, write=write, observe=observe)

    def coverage_of(self, linked: LinkedScript) -> ScriptCoverage:
        """Return what the runs so far reached of this version of a script."""
        lines = executable_lines(linked.script.source)
        if linked.key not in self._counted:
            return ScriptCoverage(linked.script, lines, frozenset(), loaded=False)
        first, _ = self._counted[linked.key]
        return ScriptCoverage(
            linked.script, lines, frozenset(line for line in lines if first + line in self._passed), loaded=True
        )

    @contextmanager
    def _borrow(self, _app_id: AppId) -> Iterator[LuaState]:
        state = CountingState(self.limits, library(), self._name)
        with self._tracked(self._states, state):
            try:
                yield state
            finally:
                self._passed |= state.passed()

    def _text(self, linked: LinkedScript) -> str:
        if linked is self._test:
            return super()._text(linked)
        if linked.key not in self._counted:
            first = len(self._counted) * _LINES
            text = with_counters(linked.script.source, lambda line: counter(self._name, first + line))
            self._counted[linked.key] = first, text
        return self._counted[linked.key][1]
