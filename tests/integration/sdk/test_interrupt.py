"""An interrupt ends a run that waits in the database, and nothing but that run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from picloud.errors import RunInterrupted
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform
from picloud.testing.processes import wait_until
from tests.integration.sdk.conftest import Lua

WAIT_S = 30
LOCK = "SELECT 1 FROM kv_entries WHERE key = %s FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def waiting(platform: Platform) -> Callable[[], bool]:
    """Tells whether a statement waits for a lock."""
    return lambda: platform.database.fetch_one(WAITING, {}) != (0,)


@contextmanager
def held(platform: Platform, key: str) -> Iterator[None]:
    """Hold the row of a key, as another node's transaction would."""
    with platform.database.connection() as connection:
        connection.execute(LOCK, (key.encode(),))
        yield


@contextmanager
def running(call: Callable[[], object]) -> Iterator[Future[object]]:
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(call)


@pytest.mark.parametrize(
    "source",
    [
        "kv.set('k', 2)",
        "pcall(kv.set, 'k', 2) kv.set('never', 1)",
        "while true do pcall(kv.set, 'k', 2) end",
        "transaction(function() kv.set('other', 1) kv.set('k', 2) end)",
        "transaction(function() pcall(transaction, function() kv.set('k', 2) end) end)",
        "coroutine.wrap(function() kv.incr('k') end)()",
        "string.gsub('x', 'x', function() kv.delete('k') end)",
        "local t <close> = setmetatable({}, { __close = function() kv.set('never', 1) end }) kv.set('k', 2)",
    ],
)
def test_a_statement_that_waits_for_a_lock_is_interrupted(
    lua: Lua, platform: Platform, waiting: Callable[[], bool], source: str
) -> None:
    lua("kv.set('k', 1) kept = { 'still here' }")
    with held(platform, "k"), running(lambda: lua(source)) as run:
        wait_until(waiting)
        lua.session.interrupt()
        with pytest.raises(RunInterrupted):
            run.result(WAIT_S)
        assert lua("return kept[1]") == "still here"
        assert lua("kv.set('free', 1) return kv.get('free')") == 1
    assert lua("return { kv.get('k'), kv.exists('never'), kv.exists('other') }") == [1, False, False]


def test_a_request_of_a_test_is_interrupted_with_it(lua: Lua, platform: Platform, waiting: Callable[[], bool]) -> None:
    lua("kv.set('k', 1)")
    lua.session.define(Script("e", ScriptKind.ENDPOINT, "kv.set('k', 2) return 1"), (Route("GET", "/", "e"),))
    test = TestSource("t", "pcall(call, 'GET', '/') while true do end")
    with held(platform, "k"), running(lambda: lua.session.test(test)) as run:
        wait_until(waiting)
        lua.session.interrupt()
        with pytest.raises(RunInterrupted):
            run.result(WAIT_S)
    assert lua("return kv.get('k')") == 1


def test_an_interrupt_of_one_session_leaves_the_others_alone(
    lua: Lua, open_app: Callable[[str], Lua], platform: Platform
) -> None:
    lua("kv.set('k', 1)")
    second = open_app("shop")
    with ThreadPoolExecutor(2) as threads:
        with held(platform, "k"):
            stopped = threads.submit(lua, "kv.set('k', 2)")
            other = threads.submit(second, "kv.incr('k') return 'done'")
            wait_until(lambda: platform.database.fetch_one(WAITING, {}) == (2,))
            lua.session.interrupt()
            with pytest.raises(RunInterrupted):
                stopped.result(WAIT_S)
            assert not other.done()
        assert other.result(WAIT_S) == "done"


def test_an_interrupt_at_any_moment_meets_its_own_run_only(lua: Lua, platform: Platform) -> None:
    """Runs of many small statements, interrupted at random moments, one right behind the other."""
    rounds, ended, stop = 60, 0, threading.Event()

    def bystander() -> int:
        session, count = Lua(platform.interactive("shop", lambda _text: None)), 0
        while not stop.is_set():
            session("kv.incr('bystander')")
            count += 1
        return count

    lua("kv.set('bystander', 0) kept = 0")
    moments = random.Random(4)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(bystander)
        try:
            for _ in range(rounds):
                timer = threading.Timer(moments.uniform(0, 0.01), lua.session.interrupt)
                timer.start()
                try:
                    lua("for i = 1, 20 do kv.incr('mine') transaction(function() kv.incr('mine') end) end")
                except RunInterrupted:
                    ended += 1
                timer.join()
                assert lua("kept = kept + 1 kv.incr('after') return kept")
        finally:
            stop.set()
        assert other.result(WAIT_S) > 0
    assert ended > 0
    assert lua("return { kept, (kv.get('after')) }") == [rounds, rounds]
