"""Papermill's parameters: what Lua reads is what was given."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import InvalidInput, NotFound
from picloud.platform import limits_of
from picloud.settings import Settings
from picloud_kernel.parameters import LuaTranslator, literal


class Lua:
    """A session without a database, of whose cells only what they print is looked at."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.session = Interactive(self._nothing, Executor(limits_of(Settings())), "papermill", self.printed.append)

    @staticmethod
    def _nothing(_app: str) -> Published:
        raise NotFound("nothing is published")

    def run(self, *cells: str) -> str:
        self.printed.clear()
        for cell in cells:
            self.session.run(cell)
        return "".join(self.printed).removesuffix("\n")


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


def given_to(lua: Lua, value: object) -> Any:
    """The value after its way through a parameters cell, a second cell and JSON."""
    return json.loads(lua.run(LuaTranslator.codify({"value": value}), "print(json.encode({ value = value }))")).get(
        "value"
    )


INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_every_value_of_json_arrives_as_it_is(lua: Lua, value: object) -> None:
    assert given_to(lua, value) == value


@pytest.mark.parametrize(
    "value",
    [
        'both "quotes" and \'these\'', "lines\nand\r\nmore", "\0", "\x001", "\\n", "]]", "--[[", "%%python", "${x}",
        "ä🦉\u2028\u202e\x7f\x85", "", " ", "a" * 50_000,
        [], {}, [[]], [None], [None, 1, None], {"": 1}, {"end": 1, "a b": 2, "1": 3, "ä": 4, "\0": 5},
        True, False, None, 0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1e308, 5e-324, -0.0, 1e16,
        {"deep": [{"er": [[[{"still": None}]]]}]},
    ],
)  # fmt: skip
def test_values_with_a_catch_arrive_as_they_are(lua: Lua, value: object) -> None:
    assert given_to(lua, value) == value


@pytest.mark.parametrize(
    ("value", "check"),
    [
        (math.nan, "value ~= value"),
        (math.inf, "value == math.huge"),
        (-math.inf, "value == -math.huge"),
        (-0.0, "1 / value == -math.huge"),
        (-(2**63), "value == math.mininteger and math.type(value) == 'integer'"),
        (2**64, "value == 2.0^64"),
        (1.0, "math.type(value) == 'float'"),
        (1, "math.type(value) == 'integer'"),
        ("\ud800", "value == '\\xed\\xa0\\x80'"),
        (b"\x00\xff1", "value == '\\0\\xff1'"),
        ({1: "a", 2.5: "b"}, "value[1] == 'a' and value[2.5] == 'b'"),
        ({False: 1}, "value[false] == 1"),
        ((1, 2), "#value == 2"),
        (None, "value == nil"),
        ([None], "value[1] == json.null"),
    ],
)
def test_what_json_does_not_have_arrives_too(lua: Lua, value: object, check: str) -> None:
    assert lua.run(LuaTranslator.codify({"value": value}), f"print({check})") == "true"


@pytest.mark.parametrize("value", [2**63 + 1, -(2**64) - 1, [10**5000], {None: 1}, {math.nan: 1}])
def test_what_lua_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        literal(value)


@pytest.mark.parametrize("name", ["end", "my-name", "1st", "", "a.b", "ä", "x = 1 os.exit() y", True])
def test_a_name_that_no_variable_has_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot name a parameter"):
        LuaTranslator.codify({name: 1})


def test_the_cell_reads_well() -> None:
    cell = LuaTranslator.codify(
        {"name": "ada", "sizes": [1, 2.5], "more": {"on": True, "not": None}}, "Parameters\nof today"
    )
    assert cell == (
        '-- Parameters\n-- of today\nname = "ada"\nsizes = { 1, 2.5 }\nmore = { on = true, ["not"] = json.null }\n'
    )
    assert LuaTranslator.codify({}) == "-- Parameters\n"


def test_the_parameters_of_a_notebook_are_listed_with_their_comments() -> None:
    cell = {"source": '-- who is greeted\nname = "ada"\n\nsizes = { 1, 2 }\nfunction f() end\nlocal hidden = 1'}
    assert [tuple(parameter) for parameter in LuaTranslator.inspect(cell)] == [
        ("name", "None", '"ada"', "who is greeted"),
        ("sizes", "None", "{ 1, 2 }", ""),
    ]
    assert LuaTranslator.inspect({"source": "x = = ("}) is not None
