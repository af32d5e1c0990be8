"""What a module offers, read from its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.syntax.outline import function_at, outline, required_modules

MODULE = """\
-- Greetings for people.
-- In several languages.
local M = { polite = true }

local function trim(s) return s end

--- Greet somebody.
-- Twice, if asked.
function M.hello(name, ...)
  return "hello " .. trim(name)
end

function M:method(a) end

-- how loud
M.volume = 3
M.later = function(x) end
M.trim = trim
return M
"""


def test_the_exports_of_a_table_come_with_signature_comment_and_source() -> None:
    found = outline(MODULE)
    assert found.comment == "Greetings for people.\nIn several languages."
    assert {name: item.parameters for name, item in found.exports.items()} == {
        "polite": None,
        "hello": "(name, ...)",
        "method": "(a)",
        "volume": None,
        "later": "(x)",
        "trim": "(s)",
    }
    hello = found.exports["hello"]
    assert hello.comment == "Greet somebody.\nTwice, if asked."
    assert hello.line == 9
    assert hello.source.startswith("function M.hello(name, ...)")
    assert hello.source.endswith("end")
    assert found.exports["volume"].comment == "how loud"
    assert found.exports["method"].comment == ""
    assert found.exports["trim"].source.startswith("local function trim")


@pytest.mark.parametrize(
    ("source", "exports"),
    [
        ("function hello(a) end\nlimit = 3\nlocal hidden = 1", {"hello": "(a)", "limit": None}),
        ("local function f(a) end\nreturn { f = f, n = 1, g = function() end }", {"f": "(a)", "n": None, "g": "()"}),
        ("return { ['quoted'] = 1, 2, plain = 3 }", {"plain": None}),
        ("function hidden() end\nreturn {}", {}),
        ("return 5", {}),
        ("return", {}),
        ("", {}),
        ("local M = {}\nfunction M.a() end\nfunction M.b(", {}),
        ("local a, b = {}, {}\nb.x = 1\nreturn b", {"x": None}),
    ],
)  # fmt: skip
def test_every_form_of_a_module_is_read(source: str, exports: dict[str, str | None]) -> None:
    found = {name: item.parameters for name, item in outline(source).exports.items()}
    assert found.items() >= exports.items() if "b(" in source else found == exports


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ('local greet = require("greeting")', {"greet": "greeting"}),
        ("greet = require 'greeting'\nlocal a, b = 1, require(\"b\")", {"greet": "greeting", "b": "b"}),
        ('local greet = require("greeting")\ngreet.', {"greet": "greeting"}),
        ("local function f() local m = require('inner') end", {"m": "inner"}),
        ("local m = require(name)\nt.m = require('m')\nrequire('x')", {}),
    ],
)
def test_variables_that_hold_modules_are_found(source: str, modules: dict[str, str]) -> None:
    assert required_modules(source) == modules


def test_a_function_is_found_by_its_line() -> None:
    source = "x = 1\n-- adds\nadd = function(a, b)\n  return function() end\nend"
    outer, inner = function_at(source, 3), function_at(source, 4)
    assert outer is not None
    assert (outer.parameters, outer.comment) == ("(a, b)", "adds")
    assert inner is not None
    assert inner.source == "function() end"
    assert function_at(source, 1) is None
    assert function_at(source, 99) is None


@given(st.text(alphabet=st.sampled_from("-localfunctin M.={}()\n\"'rqueds,:😀\0"), max_size=200))
def test_no_text_makes_it_fail(source: str) -> None:
    outline(source)
    required_modules(source)
