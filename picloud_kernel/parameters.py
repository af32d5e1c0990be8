"""Values as Lua text: the parameters of a notebook, as papermill puts them into a cell of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from picloud.errors import InvalidInput
from picloud.lua.names import KEYWORDS
from picloud.syntax.outline import outline

_INTEGERS = range(-(2**63), 2**63)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Parameter(NamedTuple):
    """One parameter a notebook has, with the fields papermill knows."""

    name: str
    inferred_type_name: str
    """Always `None`: Lua does not declare types."""
    default: str
    """As written."""
    help: str


class LuaTranslator:
    """What papermill asks of a translator."""

    @classmethod
    def codify(cls, parameters: Mapping[str, Any], comment: str = "Parameters") -> str:
        """Return a cell that sets the parameters as globals, for all cells that follow.

        Raises `InvalidInput` for a name or a value that Lua does not have.
        """
        lines = [f"-- {line}" for line in comment.splitlines()]
        lines += [
            f"{_variable(name)} = {'nil' if value is None else literal(value)}" for name, value in parameters.items()
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def inspect(cls, parameters_cell: Mapping[str, Any]) -> list[Parameter]:
        """Return the globals a cell sets, with the comments above them."""
        return [
            Parameter(item.name, "None", item.source.partition("=")[2].strip(), item.comment)
            for item in outline(parameters_cell["source"]).exports.values()
            if item.parameters is None
        ]


def literal(value: object) -> str:
    """Return a Lua expression that gives the value, of the types JSON and YAML have; others by their text.

    None within a list or a dict is `json.null`, which holds its place. Raises `InvalidInput` for an integer that no
    number of Lua holds, and for a key that is None or not a number.
    """
    match value:
        case None:
            return "json.null"
        case bool():
            return str(value).lower()
        case int():
            return _integer(value)
        case float():
            return _float(value)
        case Mapping():
            return _table([f"{_key(key)} = {literal(item)}" for key, item in value.items()])
        case list() | tuple():
            return _table([literal(item) for item in value]) if value else "json.array({})"
        case bytes():
            return '"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
    return _string(str(value))


def _variable(name: object) -> str:
    if not isinstance(name, str) or not _is_identifier(name):
        raise InvalidInput(
            f"{str(name)[:80]!r} cannot name a parameter in Lua: use letters, digits and '_', no digit first, and none "
            "of Lua's keywords."
        )
    return name


def _is_identifier(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name not in KEYWORDS


def _integer(value: int) -> str:
    if value in _INTEGERS:
        return str(value) if value != _INTEGERS[0] else "math.mininteger"  # its digits alone are too large
    if _is_exact_float(value):
        return _float(float(value))
    raise InvalidInput(
        f"No number of Lua is exactly this integer of {value.bit_length()} bits: pass it as text, in quotes."
    )


def _is_exact_float(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _float(value: float) -> str:
    if math.isnan(value):
        return "(0/0)"
    if math.isinf(value):
        return "math.huge" if value > 0 else "-math.huge"
    return repr(value)


def _string(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _key(key: object) -> str:
    if isinstance(key, str) and _is_identifier(key):
        return key
    if key is None or key != key:
        raise InvalidInput("A table of Lua has no key that is null or not a number: give it a name.")
    return f"[{literal(key)}]"


def _table(items: list[str]) -> str:
    return f"{{ {', '.join(items)} }}" if items else "{}"
