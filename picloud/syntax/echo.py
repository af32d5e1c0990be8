"""Turn a cell into a chunk that returns the value of its last expression."""

from __future__ import annotations

from collections.abc import Callable

from picloud.syntax.tree import parse

_RETURN = "return nil, "
"""A nil is not shown, and makes a call no tail call, whose errors would not know their line."""
_LINES_TRIED = 200
"""How far up an expression of several lines that ends a cell may begin."""


def with_echo(source: str, compiles: Callable[[str], bool]) -> str:
    """Return the source with a `return` before its last expression, or as it is when it ends with a statement.

    Lines keep their numbers. `compiles` tells whether a text is valid Lua.
    """
    if compiles(whole := _RETURN + source):
        return whole
    if compiles(source):
        return _return_last_call(source, compiles)
    lines = source.split("\n")
    for first in range(len(lines) - 1, max(-1, len(lines) - 1 - _LINES_TRIED), -1):
        candidate = "\n".join((*lines[:first], _RETURN + lines[first], *lines[first + 1 :]))
        if compiles(candidate):
            return candidate
    return source


def _return_last_call(source: str, compiles: Callable[[str], bool]) -> str:
    statements = [node for node in parse(source).named_children if node.type != "comment"]
    if not statements or statements[-1].type not in ("function_call", "return_statement"):
        return source
    raw, at = source.encode(), statements[-1].start_byte
    rest = raw[at:].removeprefix(b"return") if statements[-1].type == "return_statement" else raw[at:]
    candidate = (raw[:at] + _RETURN.encode() + rest).decode()
    return candidate if compiles(candidate) else source
