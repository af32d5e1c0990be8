"""`time.parse` and RFC 3339: the examples of section 5.8 and the edges of the grammar of section 5.6.

The numbers in `data/rfc3339.json` are from GNU date; a leap second counts as the second after it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from picloud.errors import InvalidInput
from picloud.sdk.time import format_, parse

CASES: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "data" / "rfc3339.json").read_text(encoding="utf-8")
)
"""Each has `text`, `valid`, `about` and, when it is valid, `seconds` since 1970."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['about']}: {case['text'][:40]!a}")
def test_what_is_valid_is_read_and_nothing_else(case: dict[str, Any]) -> None:
    if case["valid"]:
        assert parse(case["text"])[0] == case["seconds"]
    else:
        with pytest.raises(InvalidInput):
            parse(case["text"])


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
