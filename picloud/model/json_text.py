"""JSON as scripts can read it: the rules of their codec, for texts that come from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Final

DEPTH_MAX: Final = 100
"""Levels the codec of scripts reads."""

_INTEGERS: Final = range(-(2**63), 2**63)
_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def check_json(content: bytes) -> None:
    """Raise `ValueError`, which says why, when the content is no JSON that scripts can read.

    What the database could not search is refused with it.
    """
    text = content.decode()
    too_deep = ValueError(f"JSON of more than {DEPTH_MAX} levels")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_float)
    except RecursionError:
        raise too_deep from None
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise too_deep
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("JSON with half of a surrogate pair")


def _integer(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _INTEGERS:
        raise ValueError("JSON with an integer of more than 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise ValueError("JSON with a number that is not finite")
    return number


def _depth(text: str) -> int:
    """Return how many levels valid JSON has."""
    depth = deepest = 0
    for found in _BRACKET.finditer(text):
        depth += (found[1] is not None) - (found[2] is not None)
        deepest = max(deepest, depth)
    return deepest
