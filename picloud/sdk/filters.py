"""Filters and sort orders as scripts write them, read into values: pure, and bounded in what they take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

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
    Path,
    parse_path,
    shown,
)

FILTER_MAX_BYTES: Final = 128 * 1024
"""Of a filter as JSON."""
CONDITIONS_MAX: Final = 50
DEPTH_MAX: Final = 8
"""Of `and`, `or` and `not` within each other."""
IN_MAX: Final = 1000
TERM_MAX_BYTES: Final = 256
"""Of all texts to look for in a filter: the server may need their length times that of a document's text, and cannot be
stopped within one document."""
ORDERS_MAX: Final = 4

_COMBINATORS: Final = ("and", "or", "not")
_OPERATORS: Final = ", ".join(sorted([*Operator, "ne"]))


def parse_filter(text: str | None) -> Filter:
    """Read a filter from its JSON; None is no filter. Raises `InvalidInput`."""
    if text is None:
        return EVERYTHING
    if len(text.encode()) > FILTER_MAX_BYTES:
        raise InvalidInput(f"the filter has more than {FILTER_MAX_BYTES} bytes as JSON")
    found = _filter(json.loads(text), "the filter", 0, count(1))
    if sum(_term_bytes(found)) > TERM_MAX_BYTES:
        raise InvalidInput(f"the texts to look for with 'contains' have more than {TERM_MAX_BYTES} bytes in all")
    return found


def parse_orders(texts: Sequence[str]) -> tuple[Order, ...]:
    """Read paths to sort by, those with a `-` in front for descending; raise `InvalidInput`."""
    if len(texts) > ORDERS_MAX:
        raise InvalidInput(f"sort has at most {ORDERS_MAX} paths")
    return tuple(Order(parse_path(text.removeprefix("-")), text.startswith("-")) for text in texts)


def _filter(value: Any, where: str, depth: int, numbers: Iterator[int]) -> Filter:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} must be a table of paths and what is there, got {_kind(value)}")
    if depth > DEPTH_MAX:
        raise InvalidInput(f"the filter has 'and', 'or' and 'not' more than {DEPTH_MAX} levels deep")
    parts = [part for key in value for part in _entry(key, value[key], depth, numbers)]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _entry(key: str, value: Any, depth: int, numbers: Iterator[int]) -> Iterator[Filter]:
    match key:
        case "not":
            yield Not(_filter(value, "'not'", depth + 1, numbers))
        case "and" | "or":
            if value != {} and not isinstance(value, list):
                raise InvalidInput(f"'{key}' must be a list of filters, got {_kind(value)}")
            if len(value) > CONDITIONS_MAX:
                raise InvalidInput(f"'{key}' has more than {CONDITIONS_MAX} parts")
            parts = tuple(_filter(part, f"each part of '{key}'", depth + 1, numbers) for part in value)
            yield AllOf(parts) if key == "and" else AnyOf(parts)
        case _:
            yield from _conditions(key, value, numbers)


def _conditions(text: str, value: Any, numbers: Iterator[int]) -> Iterator[Filter]:
    """Yield the conditions on one path."""
    path = parse_path(text)
    if isinstance(value, list):
        raise InvalidInput(f"{shown(text)} is compared with a list: write {{ eq = ... }} for a list like it, "
                           "{ [\"in\"] = ... } for one of its values")  # fmt: skip
    if value == {}:
        raise InvalidInput(f"{shown(text)} is compared with an empty table: write {{ eq = {{}} }} if that is meant")
    for operator, operand in (value if isinstance(value, dict) else {"eq": value}).items():
        if next(numbers) > CONDITIONS_MAX:
            raise InvalidInput(f"the filter has more than {CONDITIONS_MAX} conditions")
        yield _condition(text, path, operator, operand)


def _condition(text: str, path: Path, name: str, operand: Any) -> Filter:
    if name == "ne":
        return Not(Condition(path, Operator.EQ, operand))
    if name not in _CHECKS:
        raise InvalidInput(
            f"{shown(text)}: there is no operator {shown(name)}; the operators are {_OPERATORS}. "
            "To compare with a table write { eq = ... }; to reach into one, a path with dots"
        )
    operator = Operator(name)
    if operator is Operator.IN and operand == {}:  # Lua's empty table
        operand = []
    expected, holds = _CHECKS[operator]
    if not holds(operand):
        raise InvalidInput(f"{shown(text)}: '{name}' takes {expected}, got {_kind(operand)}")
    return Condition(path, operator, operand)


def _term_bytes(part: Filter) -> Iterator[int]:
    """Yield the length of each text to look for."""
    match part:
        case Condition(operator=Operator.CONTAINS, operand=str() as term):
            yield len(term.encode())
        case AllOf(parts) | AnyOf(parts):
            for inner in parts:
                yield from _term_bytes(inner)
        case Not(inner):
            yield from _term_bytes(inner)


def _is_ordered(operand: Any) -> bool:
    return isinstance(operand, int | float | str) and not isinstance(operand, bool)


def _is_term(operand: Any) -> bool:
    return isinstance(operand, str) and len(operand.encode()) <= TERM_MAX_BYTES


_CHECKS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    Operator.EQ: ("any value", lambda _operand: True),
    **dict.fromkeys(
        (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE), ("a number or a string", _is_ordered)
    ),
    Operator.IN: (f"a list of at most {IN_MAX} values", lambda o: isinstance(o, list) and len(o) <= IN_MAX),
    Operator.PREFIX: ("a string", lambda operand: isinstance(operand, str)),
    Operator.CONTAINS: (
        f"any value, a string of at most {TERM_MAX_BYTES} bytes", lambda o: not isinstance(o, str) or _is_term(o)
    ),
    Operator.EXISTS: ("true or false", lambda operand: isinstance(operand, bool)),
}  # fmt: skip


def _kind(value: Any) -> str:
    match value:
        case None:
            return "json.null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return f"a string of {len(value.encode())} bytes"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "a table"
