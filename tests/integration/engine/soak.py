"""Random scripts of four apps in eight threads on one executor; every answer must be the run's own."""

from __future__ import annotations

import gc
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

from picloud.engine.executor import IDLE_STATES_MAX, Executor
from picloud.errors import MemoryLimitExceeded, ScriptError, ScriptRuntimeError, TimeLimitExceeded
from picloud.lua.state import LuaState
from picloud.model.app import App, AppId
from picloud.model.http import Request
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

THREADS = 8
APPS = 4
FRESH = "if leaked ~= nil or string.leaked ~= nil then return 'leaked ' .. tostring(leaked or string.leaked) end "
ANSWER = "leaked = request.id string.leaked = request.id return request.app .. ' ' .. request.id"
SCRIPTS = {
    "answers": (FRESH + ANSWER, None),
    "requires": (FRESH + "if require('who').name() ~= request.app then return 'foreign module' end " + ANSWER, None),
    "prints": (FRESH + "for i = 1, 20 do print(request.id, i) end " + ANSWER, None),
    "coroutines": (FRESH + "for i = 1, 50 do coroutine.wrap(function() coroutine.yield(i) end)() end " + ANSWER, None),
    "collects": (FRESH + "local t = {} for i = 1, 2000 do t[i] = ('x'):rep(500) .. i end " + ANSWER, None),
    "fails": (FRESH + "leaked = request.id error('on purpose')", ScriptRuntimeError),
    "loops": (FRESH + "leaked = request.id while true do pcall(string.rep, 'x', 100) end", TimeLimitExceeded),
    "hoards": (FRESH + "local s = 'x' while true do s = s .. s end", MemoryLimitExceeded),
}


def soak(seconds: float) -> int:
    """Run for so long; return how many runs there were. Raises `AssertionError` for an answer that is not its own."""
    before = _states()
    executor = Executor(limits_of(Settings(run_memory_mb=4, run_timeout_s=5)))
    apps = [App(AppId(uuid4()), f"app-{number}", 1, datetime.now(UTC)) for number in range(APPS)]
    snapshots = {app.id: _snapshot(app) for app in apps}
    end = time.monotonic() + seconds

    def work(seed: int) -> int:
        chance, runs = random.Random(seed), 0
        while time.monotonic() < end:
            app = chance.choice(apps)
            _one(executor, app, snapshots[app.id], chance)
            runs += 1
        return runs

    with ThreadPoolExecutor(THREADS) as pool:
        runs = sum(pool.map(work, range(THREADS)))
    alive = _states() - before
    assert alive <= IDLE_STATES_MAX, f"{alive} states are alive"
    return runs


def _states() -> int:
    gc.collect()
    return sum(isinstance(thing, LuaState) for thing in gc.get_objects())


def _snapshot(app: App) -> Snapshot:
    source = f"return {{ name = function() return '{app.name}' end }}"
    return Snapshot(app, {"who": LinkedScript(Script("who", ScriptKind.MODULE, source), ())}, ())


def _one(executor: Executor, app: App, snapshot: Snapshot, chance: random.Random) -> None:
    name = chance.choice(sorted(SCRIPTS))
    source, expected = SCRIPTS[name]
    script = LinkedScript(Script(name, ScriptKind.ENDPOINT, source), ("who",))
    run_id = uuid4().hex
    timeout_s = chance.uniform(0.001, 0.05)
    try:
        body = executor.endpoint(
            app, script, snapshot, Request("GET", "/", run_id), {}, timeout_s=timeout_s, write=lambda _text: None
        ).body.decode()
    except ScriptError as error:
        assert isinstance(error, (expected or TimeLimitExceeded, TimeLimitExceeded)), repr(error)
        assert "on purpose" in error.message or not isinstance(error, ScriptRuntimeError), repr(error)
    else:
        assert expected is None, f"{name} answered {body}"
        assert body == f"{app.name} {run_id}"
