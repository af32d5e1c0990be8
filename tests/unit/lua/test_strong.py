"""No table of a script is weak, and everything else of metatables works."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import lupa.lua54
import pytest

from picloud.engine.executor import Executor
from picloud.lua.strong import NAMES, make_tables_strong
from picloud.model.app import App, AppId
from picloud.model.http import Request
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

APP = App(AppId(uuid4()), "a", 1, datetime.now(UTC))
FILL = "for _ = 1, 50 do local _ = ('x'):rep(1 << 20) end "  # more than the memory limit, so the collector runs


def answer(source: str) -> bytes:
    executor = Executor(limits_of(Settings(run_memory_mb=8, run_timeout_s=20)))
    script = LinkedScript(Script("x", ScriptKind.ENDPOINT, source), ())
    return executor.endpoint(APP, script, Snapshot(APP, {}, ()), Request("GET", "/", "id"), {}).body


@pytest.mark.parametrize("mode", ["k", "v", "kv"])
def test_an_entry_nobody_else_holds_stays(mode: str) -> None:
    assert (
        answer(f"local t = setmetatable({{}}, {{ __mode = '{mode}' }}) t[{{}}] = {{}} {FILL} return next(t) ~= nil")
        == b"true"
    )


def test_a_mode_set_later_changes_nothing() -> None:
    assert (
        answer(
            f"local m = {{}} local t = setmetatable({{}}, m) t[{{}}] = 1 m.__mode = 'k' {FILL} return next(t) ~= nil"
        )
        == b"true"
    )


def test_the_other_metamethods_are_found() -> None:
    source = """
        local m = { __index = function(_, k) return k end, __len = function() return 7 end,
                    __eq = function() return true end, __newindex = function(t, k, v) rawset(t, k, v + 1) end }
        local a, b = setmetatable({}, m), setmetatable({}, m)
        a.x = 1
        return a.y .. #a .. tostring(a == b) .. a.x .. tostring(pcall(setmetatable, {}, { __gc = print }))
    """
    assert answer(source) == b"y7true2false"


def test_a_layout_that_is_not_lua_s_is_left_alone() -> None:
    runtime = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    state = int(runtime.eval(b"string.format('%p', (coroutine.running()))"), 16)
    assert not make_tables_strong(state, tuple(range(1, len(NAMES) + 1)), 0)
    assert runtime.eval(b"#setmetatable({}, { __len = function() return 3 end })") == 3


def test_coroutines_that_ended_give_their_memory_back() -> None:
    """Each has a hook, and the table Lua keeps them in must not hold them."""
    source = "for _ = 1, 100000 do coroutine.wrap(function() coroutine.yield() end)() end return 'done'"
    assert answer(source) == b"done"
