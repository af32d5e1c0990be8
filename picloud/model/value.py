"""A Lua value as people see it: what a cell gives, what a test expected and what it got.

Made inside Lua by `picloud/lua/prelude/show.lua`, which bounds it: long texts are cut, large tables have `more`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\x00"}


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    content: str
    """Its beginning; of binary data with escapes in place of bytes."""
    size: int
    """Bytes of the whole string."""
    is_binary: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it; binary data is shown whole or not, its escapes tell nothing of its length."""
        return not self.is_binary and len(self.content.encode()) < self.size

    @property
    def quoted(self) -> str:
        """As a Lua literal, followed by its size when it is cut."""
        body = self.content if self.is_binary else "".join(map(_escaped, self.content))
        return f'"{body}"{self.rest}'

    @property
    def rest(self) -> str:
        """What to say of what is not shown; empty when all is."""
        return f"... ({self.size} bytes)" if self.is_cut else ""


@dataclass(frozen=True, slots=True)
class Scalar:
    """What is neither a string nor a table."""

    kind: str
    """Lua's name of the type; `null` for json.null, `cycle` for a table within itself."""
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    items: tuple[Value, ...]
    """Its list part."""
    fields: tuple[tuple[Value, Value], ...]
    """Other keys and their values, in the order of the keys."""
    more: int = 0
    """How many entries are left out."""
    label: str = ""
    """`__name` of its metatable."""

    def as_record(self) -> dict[str, Value] | None:
        """Return it as names and values, None when it is something else."""
        if self.items or self.more or self.label:
            return None
        names = [key.content for key, _ in self.fields if isinstance(key, Text)]
        if len(names) < len(self.fields):
            return None
        return dict(zip(names, (value for _, value in self.fields), strict=True))


Value = Text | Scalar | Table


def read_value(text: str) -> Value:
    """Return the value whose JSON `show.lua` made."""
    return value_of(json.loads(text))


def value_of(node: Any) -> Value:
    """Return the value that a part of such JSON is."""
    match node:
        case ["s", content, size]:
            return Text(content, size)
        case ["b", content, size]:
            return Text(content, size, is_binary=True)
        case ["v", kind, content]:
            return Scalar(kind, content)
        case ["t", items, fields, more, label]:
            pairs = tuple((value_of(key), value_of(value)) for key, value in fields)
            return Table(tuple(map(value_of, items)), pairs, more, label)
    raise AssertionError(node)


def key_text(key: Value) -> str:
    """Return a table's key as a constructor has it: `name`, `["a name"]` or `[1.5]`."""
    if isinstance(key, Text):
        return key.content if NAME.fullmatch(key.content) and not key.rest else f"[{key.quoted}]"
    return f"[{inline(key)}]"


def inline(value: Value) -> str:
    """Return the value in one line."""
    if isinstance(value, Text):
        return value.quoted
    if isinstance(value, Scalar):
        return value.text
    parts = [inline(item) for item in value.items]
    parts += [f"{key_text(key)} = {inline(item)}" for key, item in value.fields]
    parts += [more_text(value)] * bool(value.more)
    return f"{_label(value)}{{ {', '.join(parts)} }}" if parts else f"{_label(value)}{{}}"


def plain(value: Value, *, indent: str = "") -> str:
    """Return the value as text: a string as it is, a table as an indented tree."""
    if isinstance(value, Text):
        return f"{value.content}{value.rest}"
    return "\n".join(_lines(value, indent, ""))


def more_text(table: Table) -> str:
    """Say how much of a table is left out."""
    return f"... {table.more} more"


def _lines(value: Value, indent: str, lead: str, end: str = "") -> list[str]:
    if not isinstance(value, Table) or not (value.items or value.fields or value.more):
        return [f"{indent}{lead}{inline(value)}{end}"]
    inner = indent + "  "
    lines = [f"{indent}{lead}{_label(value)}{{"]
    for item in value.items:
        lines += _lines(item, inner, "", ",")
    for key, item in value.fields:
        lines += _lines(item, inner, f"{key_text(key)} = ", ",")
    if value.more:
        lines.append(f"{inner}{more_text(value)}")
    return [*lines, f"{indent}}}{end}"]


def _label(table: Table) -> str:
    return f"{table.label} " if table.label else ""


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
