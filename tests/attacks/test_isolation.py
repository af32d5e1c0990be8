"""Runs on one state stay apart: nothing leaks into the next, and Python stays out of reach."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import uuid4

import psutil
import pytest

from picloud.engine.executor import Executor
from picloud.model.app import App, AppId
from picloud.model.http import Request, Response
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

LIMITS = limits_of(Settings(run_memory_mb=8, run_timeout_s=0.3))
MODULES = {
    "m": LinkedScript(Script("m", ScriptKind.MODULE, "return { f = function() end }"), ()),
    "d": LinkedScript(Script("d", ScriptKind.MODULE, "return {}"), ()),
}


def answer(executor: Executor, app: App, source: str) -> Response:
    imports = tuple(name for name in MODULES if f"require('{name}')" in source)
    script = LinkedScript(Script("x", ScriptKind.ENDPOINT, source), imports)
    snapshot = Snapshot(app, MODULES, ())
    return executor.endpoint(app, script, snapshot, Request("GET", "/", "id"), {}, write=lambda _text: None)


def new_app() -> App:
    return App(AppId(uuid4()), "attacked", 1, datetime.now(UTC))


LEAKS = {
    "global": ("leak = 1", "return leak"),
    "library function": ("string.upper = function() return 'leak' end", "return string.upper('x') ~= 'X' or nil"),
    "library field": ("string.leak = 1 table.leak = 1 math.leak = 1", "return string.leak or table.leak or math.leak"),
    "string method": ("string.leak = function() end", "return (''):rep(1).leak"),
    "raw set": (
        "rawset(string, 'leak', 1) rawset(_G, 'leak', 1)",
        "return rawget(string, 'leak') or rawget(_G, 'leak')",
    ),
    "json null": ("pcall(rawset, json.null, 'leak', 1)", "return rawget(json.null, 'leak')"),
    "json functions": (
        "pcall(function() json.encode = nil end) pcall(function() json.leak = 1 end)",
        "return json.leak or (not json.encode or nil)",
    ),
    "namespace": ("kv = nil hex = { decode = 1 }", "return kv == nil or type(hex.decode) == 'number' or nil"),
    "response functions": ("response.leak = 1", "return response.leak"),
    "data module": ("pcall(function() require('d').leak = 1 end)", "return require('d').leak"),
    "module": ("require('m').leak = 1", "return require('m').leak"),
    "environment metatable": ("setmetatable(_G, {__index = function() return 1 end})", "return leak"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_nothing_leaks_into_the_next_run_on_the_same_state(name: str) -> None:
    executor, app = Executor(LIMITS), new_app()
    first, second = LEAKS[name]
    answer(executor, app, first)
    assert answer(executor, app, second).status == 204


def test_random_numbers_do_not_follow_an_earlier_run() -> None:
    executor, app = Executor(LIMITS), new_app()
    answer(executor, app, "math.randomseed(42)")
    first = answer(executor, app, "return math.random(1 << 60)").body
    answer(executor, app, "math.randomseed(42)")
    assert answer(executor, app, "return math.random(1 << 60)").body != first


def test_python_cannot_be_reached() -> None:
    """Nothing a script can name is a Python object."""
    executor, app = Executor(LIMITS), new_app()
    hunt = """
        local seen, found = {}, nil
        local function look(value, path)
            if type(value) == "userdata" or type(value) == "thread" and path ~= "main" then found = path end
            if type(value) ~= "table" or seen[value] then return end
            seen[value] = true
            for key, item in next, value do look(key, path .. ".key") look(item, path .. "." .. tostring(key)) end
            look(getmetatable(value), path .. ".metatable")
        end
        look(_G, "_G") look(request, "request") look(response, "response") look(getmetatable("") or nil, "string")
        look(_ENV, "_ENV") look({ pcall(error) }, "pcall") look({ pcall(require, "nothing") }, "require")
        look({ pcall(json.decode, "{") }, "json")
        return found
    """
    assert answer(executor, app, hunt).status == 204


def test_memory_comes_back() -> None:
    """A thousand runs that use most of their memory do not make the process grow by more than a few of them."""
    limits = limits_of(Settings(run_memory_mb=8))
    executor, app = Executor(limits), new_app()
    source = "local t = {} for i = 1, 5000 do t[i] = ('x'):rep(1000) .. i end return #t"
    process = psutil.Process(os.getpid())
    for _ in range(20):
        answer(executor, app, source)
    before = process.memory_info().rss
    for _ in range(300):
        answer(executor, app, source)
    assert process.memory_info().rss - before < 5 * limits.state.memory_bytes


def test_an_error_in_the_host_is_not_the_script_s_to_catch() -> None:
    """An exception nobody expected ends the run as it is; Lua never holds the Python object."""

    def broken(_text: str) -> None:
        raise ZeroDivisionError

    executor, app = Executor(LIMITS), new_app()
    script = LinkedScript(Script("x", ScriptKind.ENDPOINT, "while true do pcall(print, 'x') end"), ())
    with pytest.raises(ZeroDivisionError):
        executor.endpoint(app, script, Snapshot(app, {}, ()), Request("GET", "/", "id"), {}, write=broken)
    assert answer(executor, app, "return 'clean'").body == b"clean"
