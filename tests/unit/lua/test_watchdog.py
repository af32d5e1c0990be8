"""What the watchdog promises of a run: its clocks, its limits, its report, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from picloud.lua import state as state_module
from picloud.lua import watchdog as watchdog_module
from picloud.lua.state import LuaState, Outcome, Scalar
from picloud.lua.watchdog import Trip, watchdog
from picloud.platform import limits_of
from picloud.settings import Settings

LIMITS = limits_of(Settings(run_timeout_s=20, run_cpu_s=20, run_memory_mb=8))
ENDLESS = {
    "loop": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
}


def run(
    state: LuaState, source: str, *, on_log: Callable[[], None] | None = None, calls_max: int = 1000, **limits: Any
) -> Outcome:
    """Run a cell; `on_log` is what a line of the log does, `limits` replace those of `LIMITS`."""

    def log(*_line: bytes) -> tuple[Scalar, ...]:
        if on_log is not None:
            on_log()
        return (False,)

    return state.call(
        b"cell", "cell", source, "",
        label="cell", version=b"", limits=replace(LIMITS.run, calls=calls_max, **limits),
        operations={b"echo": lambda *_values: (), b"print": lambda _text: (False,)},
        sdk=lambda _operation, arguments: log(*arguments),
    )  # fmt: skip


def burn() -> None:
    """Use 0.3 s of this thread's CPU time."""
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        pass


def test_cpu_time_leaves_host_calls_out() -> None:
    outcome = run(LuaState(LIMITS), "log.info('x') log.info('y')", on_log=burn, cpu_s=0.2)
    assert outcome.trip is None
    assert outcome.report.cpu_ms < 200
    assert outcome.report.calls == 2
    assert outcome.report.calls_ms <= outcome.report.wall_ms


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_cpu_time_of_lua_is_limited_and_spoils_the_state(source: str) -> None:
    state = LuaState(LIMITS)
    assert run(state, source, cpu_s=0.05).trip is Trip.CPU
    assert state.spoilt


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_an_interrupt_keeps_the_state(source: str) -> None:
    state = LuaState(LIMITS)
    assert run(state, "kept = 7").values[0] == b"ok"
    assert run(state, f"log.info('now') {source}", on_log=state.interrupt).trip is Trip.INTERRUPT
    assert not state.spoilt
    assert run(state, "assert(kept == 7) for i = 1, 1e5 do end").values[0] == b"ok"


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_a_lupa_that_does_not_export_the_c_functions_still_stops(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(watchdog_module, "C_FUNCTIONS", None)
    monkeypatch.setattr(state_module, "C_FUNCTIONS", None)
    assert run(LuaState(LIMITS), source, timeout_s=0.05).trip is Trip.DEADLINE
    state = LuaState(LIMITS)
    assert run(state, f"log.info('now') {source}", on_log=state.interrupt).trip is Trip.INTERRUPT
    assert run(state, "for i = 1, 1e6 do end").values[0] == b"ok"


def test_a_run_past_its_grace_is_told_of_once_and_one_that_ends_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    known = Event()

    def tell(label: str) -> None:
        told.append(label)
        known.set()

    def wait() -> None:
        assert known.wait(30)

    monkeypatch.setattr(watchdog, "on_stuck", tell)
    assert run(LuaState(LIMITS), "while true do end", timeout_s=0.05, grace_s=20).trip is Trip.DEADLINE
    assert told == []
    stuck = run(LuaState(LIMITS), "log.info('x') while true do end", on_log=wait, timeout_s=0.05, grace_s=0.05)
    assert stuck.trip is Trip.DEADLINE
    assert told == ["cell"]


def test_calls_out_of_lua_are_limited() -> None:
    state = LuaState(LIMITS)
    outcome = run(state, "while true do pcall(print, 'x') end", calls_max=10)
    assert outcome.trip is Trip.CALLS
    assert state.spoilt


def test_memory_is_reported_beyond_what_the_state_held() -> None:
    state = LuaState(LIMITS)
    assert run(state, "text = ('x'):rep(2000000) print('x')").report.peak_bytes >= 2_000_000
    assert run(state, "return 1").report.peak_bytes < 100_000
