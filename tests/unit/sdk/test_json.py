"""`json` in scripts: strict both ways, and what it says when it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.sdk.json import json_
from tests.unit.sdk.conftest import Lua

UNENCODABLE = [
    ("{ a = { 1, { b = print } } }", "the value at a[2].b is a function, which JSON cannot hold"),
    ("print", "the value is a function"),
    ("0/0", "JSON has no such number"),
    ("{ x = math.huge }", "the value at x is inf"),
    ('{ ["\\xff"] = 1 }', "is not UTF-8 text"),
    ('{ a = "\\xed\\xa0\\x80" }', "the value at a is not UTF-8 text"),
    ("{ 1, nil, 3 }", "has holes"),
    ("{ 1, x = 2 }", "mixes keys"),
    ("{ [1.5] = 1 }", "mixes keys"),
    ("{ [true] = 1 }", "mixes keys"),
    ("json.array{ x = 1 }", "is an array with the key x"),
    ("{ " + "{ k = " * 60 + "print" + " }" * 60 + " }", "the value at [1].k.k"),
]
UNREADABLE = [
    ("\ufeff1", "at byte 1: a byte order mark"),
    ("[1e999]", "at byte 2: a number beyond the range of floats"),
    ("-1e999", "at byte 1: a number beyond the range of floats"),
    ('{"a":1,}', "at byte 8: expected a string as key"),
    ('"\\ud800"', "at byte 2: half of a surrogate pair"),
    ('"\\ud800\\ud800"', "half of a surrogate pair"),
    ("[" * 101, "nested more than 100 levels"),
    ("1\0", "something follows the value"),
    ('"a\0"', "control character in a string"),
]


def test_it_describes_what_the_prelude_has(lua: Lua) -> None:
    names = "(function() local n = {} for k in pairs(json) do n[#n + 1] = k end table.sort(n) return n end)()"
    assert lua.call(names) == sorted([*json_.functions, *json_.constants])


@pytest.mark.parametrize(("value", "message"), UNENCODABLE)
def test_what_json_cannot_hold_is_refused_with_its_place(lua: Lua, value: str, message: str) -> None:
    for function in ("encode", "pretty"):
        error = lua.error(f"json.{function}({value})")
        assert error.startswith("invalid_value ")
        assert message in error


@pytest.mark.parametrize(("text", "message"), UNREADABLE)
def test_what_is_not_json_is_refused_with_its_place(lua: Lua, text: str, message: str) -> None:
    error = lua.error("json.decode(a)", text)
    assert error.startswith("invalid_json not valid JSON at byte ")
    assert message in error


def test_a_table_in_itself_is_refused(lua: Lua) -> None:
    assert "nested more than 100" in lua.error("(function() local t = {} t.t = t return json.encode(t) end)()")


def test_a_hundred_levels_are_written_and_read(lua: Lua) -> None:
    deep = "[" * 100 + "]" * 100
    assert lua.call("json.decode(a)", deep) == json.loads(deep)
    assert "100 levels" in lua.error("json.encode({ json.decode(a) })", deep)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_of_64_bits_stay(lua: Lua, number: int) -> None:
    assert lua.call("json.decode(a)", str(number)) == number
    assert lua.call("math.type(json.decode(a))", str(number)) == "integer"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_last_bit(lua: Lua, number: float) -> None:
    assert lua.call("json.decode(a)", repr(number)) == number


@given(st.text())
def test_any_text_comes_back(lua: Lua, text: str) -> None:
    assert lua.call("a", text) == text
    assert lua.call("json.decode(a)", json.dumps(text)) == text


def test_of_several_members_of_one_name_the_last_counts(lua: Lua) -> None:
    assert lua.call("json.decode(a)", '{"a":1,"b":2,"a":null,"\\u0061":3}') == {"a": 3, "b": 2}


def test_a_long_key_above_many_items_is_not_copied_for_each(lua: Lua) -> None:
    made = '(function() local t = {} for i = 1, 100000 do t[i] = i end return { [("k"):rep(2^20)] = t } end)()'
    assert lua.call(f"#json.encode({made})") == 2**20 + 588901


def test_a_mebibyte_of_anything_is_read_or_refused(lua: Lua) -> None:
    for text in ('"' + "\\u0041" * 2**17 + '"', "[" + "1," * 2**19 + "1]", "1" * 2**20, " " * 2**20 + "1"):
        assert lua.error("json.decode(a)", text) == "none" or "beyond the range" in lua.error("json.decode(a)", text)
    for text in ("[" * 2**20, '"' * 2**20, "{" * 2**20, "\\" * 2**20, '"' + "\\" * 2**20, "-" * 2**20, " " * 2**20):
        assert lua.error("json.decode(a)", text).startswith("invalid_json")
