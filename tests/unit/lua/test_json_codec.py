"""The JSON codec inside Lua: any document survives, what RFC 8259 refuses is refused."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import lupa.lua54
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

SETUP = b"""
local codec = ...
return function(text)
  local ok, value = pcall(codec.decode, text)
  if not ok then return false, tostring(value.message or value) end
  return pcall(codec.encode, value)
end
"""
FAIL = b"return function(code, message) error({ code = code, message = message }, 0) end"

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

INVALID = (
    "",
    " ",
    "[",
    "]",
    "[1",
    "[1,]",
    "[,1]",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    "{a:1}",
    "{'a':1}",
    "01",
    "-",
    "-a",
    "+1",
    "1.",
    ".1",
    "1e",
    "1e+",
    "0x1",
    "nan",
    "NaN",
    "Infinity",
    "-Infinity",
    "tru",
    "nul",
    "TRUE",
    '"',
    '"a',
    '"\\x"',
    '"\\u12"',
    '"\\ud800"',
    '"\\udc00"',
    '"\\ud800\\u0041"',
    '"\x01"',
    '"\n"',
    "1 2",
    "[1]]",
    "/**/1",
    "1,",
    "\ufeff1",
    "[1 2]",
    '{"a" 1}',
    "1a",
    "1.2.3",
)


@pytest.fixture(scope="module")
def round_trip() -> Any:
    runtime = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    frozen, source = (
        resources.files("picloud.lua").joinpath("prelude", name).read_bytes() for name in ("frozen.lua", "json.lua")
    )
    _, raw, seal = runtime.compile(frozen)()
    return runtime.compile(SETUP)(runtime.compile(source)(runtime.execute(FAIL), raw, seal))


@given(documents)
def test_any_document_survives(round_trip: Any, document: object) -> None:
    ok, text = round_trip(json.dumps(document).encode())
    assert ok, text
    assert json.loads(text) == document
    assert orjson.loads(text) == document


@given(documents)
def test_integers_stay_integers_and_floats_stay_floats(round_trip: Any, document: object) -> None:
    _, text = round_trip(orjson.dumps(document))
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_not_json_is_refused(round_trip: Any, text: str) -> None:
    ok, message = round_trip(text.encode())
    assert not ok
    assert b"not valid JSON at byte" in message


def test_bytes_that_are_not_text_are_refused(round_trip: Any) -> None:
    assert not round_trip(b'"\xff"')[0]
    assert not round_trip(b'"\xed\xa0\x80"')[0]


def test_the_limits_of_depth_and_integers(round_trip: Any) -> None:
    assert round_trip(b"[" * 100 + b"]" * 100)[0]
    assert not round_trip(b"[" * 102 + b"]" * 102)[0]
    assert round_trip(b"9223372036854775807") == (True, b"9223372036854775807")
    assert json.loads(round_trip(b"9223372036854775808")[1]) == 2.0**63
    assert round_trip(b'{"a":1,"a":2}') == (True, b'{"a":2}')
    assert round_trip(b"[[],{}]") == (True, b"[[],{}]")
