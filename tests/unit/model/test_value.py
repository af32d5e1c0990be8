"""Lua values as people see them: the text Lua could read again, whatever is in the strings."""

from __future__ import annotations

import lupa.lua54
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound
from picloud.model.value import Table, Text, inline, plain
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


SESSION = Interactive(nothing_published, Executor(limits_of(Settings())), "shop", print)


def shown(source: str) -> str:
    [echo] = SESSION.run(source)
    return inline(echo.value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("9223372036854775807", "9223372036854775807"),
        ("1.0", "1.0"),
        ("1e100", "1e+100"),
        ("0.1", "0.1"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("-0.0", "-0.0"),
        ("math.huge", "inf"),
        ("0/0", "nan"),
        ("json.null", "json.null"),
        ("print", "function (built in)"),
        ("kv.get", "function (built in)"),
        ("{ f = function() end }", "{ f = function (cell:1) }"),
        ("coroutine.create(print)", "coroutine"),
        ("{}", "{}"),
        ("json.array{}", "{}"),
        ("{ 1, nil, 3 }", "{ [1] = 1, [3] = 3 }"),
        ("{ 1, 2, x = 3, [10] = 4, ['a b'] = 5 }", '{ 1, 2, [10] = 4, ["a b"] = 5, x = 3 }'),
        ("setmetatable({ x = 1 }, { __name = 'Point' })", "Point { x = 1 }"),
        ("kv", "{"),
    ],
)
def test_values(source: str, text: str) -> None:
    assert shown(source) == text or (text == "{" and shown(source).startswith("{ commit = function (built in)"))


def test_a_cycle_ends() -> None:
    assert shown("local t = { a = {} } t.a.t = t return t") == "{ a = { t = (contains itself) } }"


def test_what_is_shared_but_no_cycle_is_shown_twice() -> None:
    assert shown("local s = { 1 } return { s, s }") == "{ { 1 }, { 1 } }"


def test_depth_ends() -> None:
    assert "{...}" in shown("local t = {} for _ = 1, 100 do t = { t } end return t")


def test_a_large_table_tells_how_much_is_left_out() -> None:
    [echo] = SESSION.run("local t = {} for i = 1, 100000 do t[i] = i end return t")
    assert isinstance(echo.value, Table)
    assert len(echo.value.items) + echo.value.more == 100_000
    assert f"... {echo.value.more} more" in plain(echo.value)


def test_a_long_string_is_cut_between_letters() -> None:
    [echo] = SESSION.run("{ ('ü'):rep(100000) }")
    assert isinstance(echo.value, Table)
    [text] = echo.value.items
    assert isinstance(text, Text)
    assert set(text.content) == {"ü"}
    assert text.rest == "... (200000 bytes)"


LUA = lupa.lua54.LuaRuntime(encoding=None)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_string_is_that_string_to_lua(content: str) -> None:
    quoted = Text(content, len(content.encode())).quoted
    assert "\n" not in quoted
    assert LUA.eval(quoted.encode()) == content.encode()


@given(st.binary(max_size=200))
def test_any_bytes_come_back_from_their_text(data: bytes) -> None:
    assert LUA.eval(shown(f"hex.decode('{data.hex()}')").encode()) == data
