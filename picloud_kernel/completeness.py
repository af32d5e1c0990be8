"""Whether a console should run a text now, and how far the next line is set in when it should not."""

from __future__ import annotations

import re
from typing import Any

from picloud.errors import InvalidInput
from picloud.lua.compiler import syntax_error
from picloud.publishing.cells import (
    AnnotatedCell,
    EndpointCell,
    ModuleCell,
    ScratchCell,
    TestCell,
    TriggerCell,
    parse_cell,
)

INDENT = "  "

_TOKEN = re.compile(
    r"""--\[(=*)\[.*?(?:\]\1\]|\Z) | --[^\n]*
    | \[(=*)\[.*?(?:\]\2\]|\Z) | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'?
    | (?P<word>[A-Za-z_]\w*) | (?P<bracket>[(){}])""",
    re.VERBOSE | re.DOTALL,
)
_OPENS = frozenset({"function", "do", "if", "repeat", "{", "("})
"""`do` stands for the loop it belongs to."""
_CLOSES = frozenset({"end", "until", "}", ")"})


def is_complete(code: str) -> dict[str, Any]:
    """Return Jupyter's is_complete_reply for a cell that is not Python.

    Magic lines are complete as they are; a cell magic's text ends with a blank line.
    """
    try:
        cell = parse_cell(code)
    except InvalidInput:
        return {"status": "invalid"}
    match cell:
        case ScratchCell(source):
            return _reply(_status(source, f"return {source}"), source)
        case AnnotatedCell(source=source):
            return _reply(_cell_status(source, code), source)
        case ModuleCell(script) | EndpointCell(script) | TriggerCell(script):
            return _reply(_cell_status(script.source, code), script.source)
        case TestCell(test):
            return _reply(_cell_status(test.source, code), test.source)
    return {"status": "complete"}


def _reply(status: str, source: str) -> dict[str, Any]:
    return {"status": status, "indent": INDENT * _depth(source)} if status == "incomplete" else {"status": status}


def _cell_status(source: str, code: str) -> str:
    status = _status(source)
    return "incomplete" if status == "complete" and not code.endswith("\n\n") else status


def _status(*readings: str) -> str:
    """Ask Lua's compiler, as its own console does: text that ends too early is complained about near <eof>."""
    errors = [syntax_error(text) for text in readings]
    if None in errors:
        return "complete"
    return "incomplete" if any(message.endswith("near <eof>") for _, message in filter(None, errors)) else "invalid"


def _depth(source: str) -> int:
    """Count the blocks and brackets that are open at the end; those on one line count once."""
    opened: list[int] = []
    line, at = 0, 0
    for token in _TOKEN.finditer(source):
        line, at = line + source.count("\n", at, token.start()), token.start()
        word = token["word"] or token["bracket"]
        if word in _OPENS:
            opened.append(line)
        elif word in _CLOSES and opened:
            opened.pop()
    return len(set(opened))
