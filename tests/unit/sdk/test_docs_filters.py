"""What scripts may ask of `docs`: paths, filters and orders are read as they are meant, or refused with what to do."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.model.documents import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    Not,
    Operator,
    Order,
    parse_path,
    path_text,
)
from picloud.sdk.filters import CONDITIONS_MAX, DEPTH_MAX, IN_MAX, parse_filter, parse_orders
from picloud.sdk.merge_patch import merge_patch
from picloud.storage.searchable import original_text, searchable, searchable_text


def parsed(value: Any) -> Filter:
    return parse_filter(json.dumps(value))


def eq(path: str, value: Any) -> Condition:
    return Condition(tuple(path.split(".")), Operator.EQ, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, EVERYTHING),
        ({"a": 1}, eq("a", 1)),
        ({"a": None}, eq("a", None)),
        ({"a": False}, eq("a", False)),
        ({"a.b": "x"}, eq("a.b", "x")),
        ({"a": {"eq": {"b": 1}}}, eq("a", {"b": 1})),
        ({"a": {"eq": [1]}}, eq("a", [1])),
        ({"a": {"ne": 1}}, Not(eq("a", 1))),
        ({"a": 1, "b": 2}, AllOf((eq("a", 1), eq("b", 2)))),
        (
            {"a": {"gte": 1, "lt": 2}},
            AllOf((Condition(("a",), Operator.GTE, 1), Condition(("a",), Operator.LT, 2))),
        ),
        ({"a": {"in": {}}}, Condition(("a",), Operator.IN, [])),
        ({"a": {"in": [1, "x", None]}}, Condition(("a",), Operator.IN, [1, "x", None])),
        ({"a": {"exists": False}}, Condition(("a",), Operator.EXISTS, False)),
        ({"a": {"contains": {"b": 1}}}, Condition(("a",), Operator.CONTAINS, {"b": 1})),
        ({"or": [{"a": 1}, {"b": 2}]}, AnyOf((eq("a", 1), eq("b", 2)))),
        ({"and": [{"a": 1}]}, AllOf((eq("a", 1),))),
        ({"and": {}}, AllOf(())),
        ({"or": {}}, AnyOf(())),
        ({"not": {"a": 1}}, Not(eq("a", 1))),
        ({"not": {"or": [{"a.b": 1}, {"c": 2}]}, "d": 3}, AllOf((Not(AnyOf((eq("a.b", 1), eq("c", 2)))), eq("d", 3)))),
        ({"\\and": 1}, eq("and", 1)),
        ({"and.x": 1}, eq("and.x", 1)),
        ({"": 1}, eq("", 1)),
    ],
)
def test_filters_are_read_as_they_are_meant(value: Any, expected: Filter) -> None:
    assert parsed(value) == expected


def deep(levels: int) -> Any:
    value: Any = {"a": 1}
    for _ in range(levels):
        value = {"not": value}
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "must be a table of paths"),
        ([], "must be a table of paths"),
        ("x", "must be a table of paths"),
        ({"a": [1, 2]}, "compared with a list: write { eq = ... }"),
        ({"a": {}}, "empty table: write { eq = {} }"),
        ({"a": {"city": "Bern"}}, "there is no operator 'city'; the operators are contains, eq, exists, gt, gte, in, "
                                  "lt, lte, ne, prefix. To compare with a table write { eq = ... }"),
        ({"a": {"EQ": 1}}, "there is no operator 'EQ'"),
        ({"a": {"$gt": 1}}, "there is no operator '$gt'"),
        ({"a": {"eq": 1, "x": 2}}, "there is no operator 'x'"),
        ({"a": {"and": [{"eq": 1}]}}, "there is no operator 'and'"),
        ({"a": {"gt": None}}, "'gt' takes a number or a string, got json.null"),
        ({"a": {"gte": True}}, "'gte' takes a number or a string, got a boolean"),
        ({"a": {"lt": [1]}}, "'lt' takes a number or a string, got a list of 1"),
        ({"a": {"in": "x"}}, "'in' takes a list of at most 1000 values"),
        ({"a": {"in": {"x": 1}}}, "'in' takes a list"),
        ({"a": {"in": [1] * (IN_MAX + 1)}}, "'in' takes a list of at most 1000 values, got a list of 1001"),
        ({"a": {"prefix": 1}}, "'prefix' takes a string"),
        ({"a": {"contains": "ü" * 129}}, "of at most 256 bytes, got a string of 258 bytes"),
        ({"a": {"exists": 1}}, "'exists' takes true or false, got a number"),
        ({"and": {"a": 1}}, "'and' must be a list of filters"),
        ({"or": "x"}, "'or' must be a list of filters"),
        ({"or": [1]}, "each part of 'or' must be a table"),
        ({"not": [{"a": 1}]}, "'not' must be a table"),
        ({"a\\": 1}, "ends with a backslash"),
        ({".".join("a" * 17): 1}, "at most 16 keys"),
        ({"x" * 257: 1}, "at most 256 bytes"),
        ({str(i): i for i in range(CONDITIONS_MAX + 1)}, "more than 50 conditions"),
        ({"or": [{"a": {"gt": i}} for i in range(CONDITIONS_MAX + 1)]}, "more than 50 parts"),
        (deep(DEPTH_MAX + 1), "more than 8 levels deep"),
        ({"a": {"in": ["x" * 1000] * 140}}, "more than 131072 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_what_to_do(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(value)
    assert message in refused.value.message
    assert len(refused.value.message) < 400


def test_the_most_is_taken() -> None:
    parsed(deep(DEPTH_MAX))
    parsed({str(i): i for i in range(CONDITIONS_MAX)})
    parsed({"a": {"in": [1] * IN_MAX}})
    parsed({"a": {"contains": "ü" * 128}, "b": {"eq": "x" * 5000}, "c": {"prefix": "x" * 5000}})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([*Operator, "ne", "and", "or", "not", "a", "a.b", "\\"])


@given(st.recursive(json_values, lambda i: st.lists(i, max_size=3) | st.dictionaries(names, i, max_size=3)))
def test_any_value_is_a_filter_or_refused(value: Any) -> None:
    try:
        parsed(value)
    except InvalidInput as error:
        assert len(error.message) < 600


# paths -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5).filter(lambda keys: len(path_text(tuple(keys))) < 60))
def test_every_key_can_be_written_in_a_path(keys: list[str]) -> None:
    assert parse_path(path_text(tuple(keys))) == tuple(keys)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a\\.b", ("a.b",)),
        ("a\\\\.b", ("a\\", "b")),
        ("\\a", ("a",)),
        (".", ("", "")),
        ("a'; DROP TABLE documents; --", ("a'; DROP TABLE documents; --",)),
        ("{}%s%(p0)s", ("{}%s%(p0)s",)),
    ],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


def test_orders() -> None:
    assert parse_orders(["a.b", "-c", "\\-d"]) == (
        Order(("a", "b"), False),
        Order(("c",), True),
        Order(("-d",), False),
    )
    with pytest.raises(InvalidInput, match="at most 4 paths"):
        parse_orders(["a"] * 5)


# what is searched ------------------------------------------------------------------------------------------------

low = st.text(st.sampled_from("\0\1\2\3\4\5\6a"), max_size=6)


@given(low | st.text(max_size=8), low | st.text(max_size=8))
def test_the_translation_keeps_order_parts_and_text(a: str, b: str) -> None:
    x, y = searchable_text(a), searchable_text(b)
    assert original_text(x) == a
    assert "\0" not in x
    assert (a.encode() < b.encode()) == (x.encode() < y.encode())
    assert (a in b) == (x in y)
    assert b.startswith(a) == y.startswith(x)


@given(json_values)
def test_what_is_searched_is_the_same_json_with_every_string_translated(value: Any) -> None:
    def translated(item: Any) -> Any:
        match item:
            case str():
                return searchable_text(item)
            case list():
                return [translated(inner) for inner in item]
            case dict():
                return {searchable_text(key): translated(inner) for key, inner in item.items()}
            case _:
                return item

    for ascii_only in (True, False):
        text = searchable(json.dumps(value, ensure_ascii=ascii_only))
        assert json.loads(text) == translated(value)
        assert "\\u0000" not in text


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_equal_numbers_are_written_alike(number: float) -> None:
    text = searchable(json.dumps(number))
    assert float(text) == float(number)
    if number == int(number) and abs(number) < 2**64:
        assert text == str(int(number))


@given(*[st.integers(-(2**63), 2**63 - 1) | st.floats(-(2.0**70), 2.0**70) | st.integers(-4, 4).map(float)] * 2)
def test_numbers_keep_their_order(a: float, b: float) -> None:
    x, y = Decimal(searchable(json.dumps(a))), Decimal(searchable(json.dumps(b)))
    assert (a < b, a == b) == (x < y, x == y)


# RFC 7396 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert json.loads(merge_patch(json.dumps(target), json.dumps(patch))) == result


@given(json_values)
def test_an_empty_patch_changes_nothing(value: Any) -> None:
    text = merge_patch(json.dumps({"v": value}), "{}")
    again = json.loads(text)["v"]
    assert again == value
    assert repr(again) == repr(value)  # integers, floats and -0.0 as well


def test_a_patch_keeps_what_floats_are() -> None:
    kept = json.loads(merge_patch('{"a":1e+15,"b":-0.0,"c":9223372036854775807,"d":2.0}', "{}"))
    assert [type(kept[key]) for key in "abcd"] == [float, float, int, float]
    assert math.copysign(1, kept["b"]) == -1
