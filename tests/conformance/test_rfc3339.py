"""`time.parse` and RFC 3339: the examples of section 5.8 and the edges of the grammar of section 5.6.

The numbers in `data/rfc3339.json` are from GNU date; a leap second counts as the second after it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import pytest

from picloud.sdk.time import format_, parse
from tests.conformance.suite import Suite, assert_as_expected, read_data, run_in_lua

LUA: Final = """
local answers = json.array{}
for i, text in ipairs(request.json) do
  local ok, seconds = pcall(time.parse, text)
  answers[i] = { ok, ok and seconds or json.null }
end
return answers
"""
CASES: Final[dict[str, dict[str, Any]]] = {
    f"{case['about']}: {case['text'][:40]}": case for case in read_data("rfc3339.json")
}
"""Each has `text`, `valid`, `about` and, when it is valid, `seconds` since 1970."""

SUITE: Final = Suite(
    "Times: RFC 3339",
    "The examples of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), section 5.8, and the edges of its grammar, "
    "section 5.6; the seconds are those GNU date gives.",
    tuple(CASES),
    {},
    {"leap seconds": "taken at the end of any month, counted as the second after"},
)


@cache
def run() -> dict[str, str]:
    answers = run_in_lua(LUA, [case["text"] for case in CASES.values()])
    expected = [[case["valid"], case.get("seconds")] for case in CASES.values()]
    return {name: str(a) for name, a, e in zip(CASES, answers, expected, strict=True) if a != e}


def test_what_is_valid_is_read_and_nothing_else() -> None:
    assert_as_expected(SUITE, run())


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("1996-12-19T16:39:57-08:00", -28800),
        ("1937-01-01T12:00:27.87+00:20", 1200),
        ("1996-12-20T00:39:57Z", 0),
        ("1996-12-20T00:39:57+00:00", 0),
        ("1996-12-20T00:39:57-00:00", None),
        ("1996-12-20T00:39:57-00:01", -60),
    ],
)
def test_the_offset_is_told_and_minus_zero_is_an_unknown_one(text: str, offset: int | None) -> None:
    assert parse(text)[1] == offset


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("1985-04-12T23:20:50.52Z", None),
        ("1996-12-19T16:39:57-08:00", -28800),
        ("1937-01-01T12:00:27.87+00:20", 1200),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
    ],
)
def test_the_examples_are_written_as_they_are_read(text: str, offset: int | None) -> None:
    assert format_(parse(text)[0], offset=offset) == text
