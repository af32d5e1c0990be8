"""What a module may hold at its top level, and what a script may require."""

from __future__ import annotations

import pytest

from picloud.engine.validator import check_script
from picloud.errors import InvalidScript
from picloud.model.script import Script, ScriptKind


def module(source: str) -> Script:
    return Script("m", ScriptKind.MODULE, source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "return {}",
        "-- only a comment",
        "local M = {}\nfunction M.f() end\nfunction M:g() end\nM.x = 1\nreturn M",
        "function f() end\nLIMIT = 60 * 60\nNAMES = { 'a', b = { 1, 2 } }",
        "local x <const> = -1\nreturn { x = x, y = not x }",
        'local g = require("g")\nreturn { hello = g.hello }',
        "local a, b = 1, 'x'\nreturn function() while true do end end",
        'require "g"',
        "local function f() return f end\nreturn { f = f }",
    ],
)
def test_functions_constants_and_requires_are_a_module(source: str) -> None:
    check_script(module(source))


@pytest.mark.parametrize(
    "source",
    [
        "print(1)",
        "for i = 1, 2 do end",
        "while true do end",
        "if x then end",
        "do end",
        "goto a ::a::",
        "local x = f()",
        "return f()",
        "return ('x'):rep(3)",
        "local t = setmetatable({}, {})",
        "x = y()",
        "string.upper = nil",
        "_ENV = {}",
        "local _ENV = {}",
        "_G = 1",
        'local g = require("g") g.x = 1',
        "local x <close> = nil",
        "repeat until true",
        "function string.upper() end",
        'local g = require("g")\nfunction g.x() end',
        "return { x = f() }",
        "return -f()",
        "local a = {} local b = a b.x = 1",
        "M.x = 1",
        "return function() end, f()",
    ],
)
def test_whatever_would_run_is_refused(source: str) -> None:
    with pytest.raises(InvalidScript) as caught:
        check_script(module(source))
    assert all(finding.line >= 1 for finding in caught.value.diagnostics)


def test_all_findings_come_at_once_in_source_order() -> None:
    with pytest.raises(InvalidScript) as caught:
        check_script(module("print(1)\nlocal x = 1\nwhile true do end\nlocal y = require(x)\n"))
    lines = [finding.line for finding in caught.value.diagnostics]
    assert lines == sorted(lines) and {1, 3, 4} <= set(lines)


def test_imports_and_exports_are_found() -> None:
    found = check_script(
        module('local a = require("a")\nlocal M = {}\nfunction M.f() return require "b" end\nreturn M')
    )
    assert found.imports == ("a", "b")
    assert found.exports == ("f",)


@pytest.mark.parametrize(
    "source",
    [
        "require(x)",
        "require('a' .. 'b')",
        "local r = require",
        "f(require)",
        "require('a', 'b')",
        "require()",
        "require{}",
        "require('no name')",
        "require('\\97')",
        "local require = 1",
    ],
)
def test_require_takes_one_literal_name(source: str) -> None:
    with pytest.raises(InvalidScript):
        check_script(Script("e", ScriptKind.ENDPOINT, source))


@pytest.mark.parametrize(
    "source", ["t.require(x)", "t:require(x)", "t = { require = 1 }", "-- require(x)", "s = 'require(x)'"]
)
def test_other_things_called_require_are_nobody_s_business(source: str) -> None:
    check_script(Script("e", ScriptKind.ENDPOINT, source))


@pytest.mark.parametrize("source", ["x = = 1", "return", "x = 'a\0b'", "\ud800", "x" * 2_000_000])
def test_hostile_texts_give_findings_not_crashes(source: str) -> None:
    if source == "return":
        check_script(module(source))
        return
    with pytest.raises(InvalidScript):
        check_script(module(source))
