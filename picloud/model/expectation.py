"""A failed expectation of a test: what was expected, what came, and where the two differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from picloud.model.value import Scalar, Table, Text, Value, inline, key_text, value_of

DIFFERENCES_MAX = 20
DIFF_LINES_MAX = 1000
"""Of each of two texts: comparing takes the square of them at worst."""
_ABSENT = Scalar("nil", "nil")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two tables differ."""

    path: str
    """As Lua reaches it from the value: `a.b[3]`; empty for the value itself."""
    expected: Value
    actual: Value

    def __str__(self) -> str:
        return f"{self.path}: expected {inline(self.expected)}, got {inline(self.actual)}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One that failed."""

    matcher: str
    """The method of `expect(value)`, or `assert`."""
    held: int
    """How many before it in the test held."""
    actual: Value | None
    """None where a function should have raised an error and did not."""
    expected: Value | None
    """None when the matcher alone says what was expected."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Where two tables differ, at most `DIFFERENCES_MAX`; nothing for other values and other matchers."""
        if self.matcher != "equals" or not isinstance(self.expected, Table) or not isinstance(self.actual, Table):
            return ()
        return tuple(islice(differences(self.expected, self.actual), DIFFERENCES_MAX))

    @property
    def text_diff(self) -> tuple[str, ...]:
        """The lines of two texts, of which one has several, with `- ` expected, `+ ` got, two blanks for both."""
        if self.matcher != "equals" or not isinstance(self.expected, Text) or not isinstance(self.actual, Text):
            return ()
        return text_diff(self.expected, self.actual)


def read_expectation(text: str) -> Expectation:
    """Return the expectation whose JSON the prelude made."""
    parts = json.loads(text)
    expected = value_of(parts["expected"]) if "expected" in parts else None
    actual = value_of(parts["actual"]) if "actual" in parts else None
    return Expectation(parts["matcher"], parts["held"], actual, expected)


def differences(expected: Value, actual: Value, path: str = "") -> Iterator[Difference]:
    """Yield where two values differ as far as they are shown, in the order of the expected one."""
    if not isinstance(expected, Table) or not isinstance(actual, Table):
        if not _is_same(expected, actual):
            yield Difference(path, expected, actual)
        return
    old, new = _entries(expected), _entries(actual)
    for step in {**old, **new}:
        if step in old and step in new:
            yield from differences(old[step], new[step], path + step if path else step.removeprefix("."))
        elif not (expected if step in new else actual).more:  # what is left out may well be there
            yield Difference(
                path + step if path else step.removeprefix("."), old.get(step, _ABSENT), new.get(step, _ABSENT)
            )


def text_diff(expected: Text, actual: Text) -> tuple[str, ...]:
    """Return the lines of both texts marked as `Expectation.text_diff` has them; nothing when both have one line."""
    old, new = (text.content.split("\n")[:DIFF_LINES_MAX] for text in (expected, actual))
    if len(old) == len(new) == 1:
        return ()
    lines = list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]
    return tuple(f"{line[:1]} {line[1:]}" if line[:1] in "+- " else line for line in lines)


def _is_same(a: Value, b: Value) -> bool:
    """Tell whether two values look the same; `1` and `1.0` are, to Lua."""
    if isinstance(a, Scalar) and isinstance(b, Scalar) and a.kind == b.kind == "number":
        return _number(a.text) == _number(b.text)
    return a == b


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _entries(table: Table) -> dict[str, Value]:
    """Return the entries of a table by the step that leads to each."""
    entries = {f"[{number}]": item for number, item in enumerate(table.items, 1)}
    return entries | {_step(key): item for key, item in table.fields}


def _step(key: Value) -> str:
    text = key_text(key)
    return text if text.startswith("[") else f".{text}"
