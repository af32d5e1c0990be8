"""Completion, inspection and is-complete for Lua cells: what is certain from the text, and no more."""

from __future__ import annotations

import re
from typing import Any

from picloud.errors import InvalidInput
from picloud.lua.compiler import syntax_error
from picloud.publishing.cells import CommandCell, ScratchCell, parse_cell
from picloud.publishing.magics import BY_NAME, MAGICS
from picloud.sdk import NAMESPACES, functions
from picloud.sdk.reference import hover

WORDS = """
and break do else elseif end false for function goto if in local nil not or repeat return then true until while
assert error getmetatable ipairs math next pairs pcall print rawequal rawget rawlen rawset require select setmetatable
string table tonumber tostring type utf8 xpcall
"""
"""Lua's keywords, and the base names a script has."""

MEMBERS = """
string: byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper
table: concat insert move pack remove sort unpack
math: abs ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random sin sqrt tan tointeger
    type ult
utf8: char charpattern codepoint codes len offset
"""

_PATH_AT_END = re.compile(r"(?<![\w.:])[A-Za-z_][\w.]*\Z")
_REST_OF_NAME = re.compile(r"\w*")
_SDK_HELP = {function.name: hover(function) for function in functions()} | {
    namespace.name: namespace.description for namespace in NAMESPACES if namespace.name
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SDK_MEMBERS = {
    namespace.name: sorted([*namespace.functions, *namespace.constants]) for namespace in NAMESPACES if namespace.name
}
_SDK_NAMES = [name.partition(".")[0] for name in _SDK_HELP]
_MAGIC_AT_END = re.compile(r"(?:^|\n)(%{1,2}\w*)\Z")
_MEMBER_AT_END = re.compile(r"(?<![\w.:])([A-Za-z_]\w*)\.(\w*)\Z")
_NAME_AT_END = re.compile(r"(?<![\w.:])[A-Za-z_]\w*\Z")


def complete(code: str, cursor: int) -> dict[str, Any]:
    """Return Jupyter's complete_reply: magics, keywords, base names and the names used in the cell."""
    before = code[:cursor]
    matches, length = _matches(before, code)
    return {
        "status": "ok",
        "matches": matches,
        "cursor_start": cursor - length,
        "cursor_end": cursor,
        "metadata": {},
    }


def inspect(code: str, cursor: int) -> dict[str, Any]:
    """Return Jupyter's inspect_reply: the help of the SDK's name at the cursor, or of the magic on its line."""
    found = _sdk_help(code, cursor) or _magic_help(code, cursor)
    return {"status": "ok", "found": bool(found), "data": found, "metadata": {}}


def _magic_help(code: str, cursor: int) -> dict[str, str]:
    start = code.rfind("\n", 0, cursor) + 1
    line = code[start:].split("\n", 1)[0]
    magic = BY_NAME.get((line.split() or [""])[0])
    if magic is None:
        return {}
    return {"text/plain": f"{magic.usage}\n\n{magic.help}\n{magic.details}\n\n{magic.example}"}


def _sdk_help(code: str, cursor: int) -> dict[str, str]:
    """Describe the function or namespace the cursor is on, or whose opening parenthesis it has just passed."""
    before = _PATH_AT_END.search(code[:cursor].rstrip("("))
    after = _REST_OF_NAME.match(code[cursor:])
    path = (before[0] if before else "") + (after[0] if after and not code[:cursor].endswith("(") else "")
    text = _SDK_HELP.get(path)
    return {"text/plain": text, "text/markdown": text} if text else {}


def _matches(before: str, code: str) -> tuple[list[str], int]:
    if magic := _MAGIC_AT_END.search(before):
        return [name.name for name in MAGICS if name.name.startswith(magic[1])], len(magic[1])
    if member := _MEMBER_AT_END.search(before):
        found = [name for name in _members(member[1]) if name.startswith(member[2])]
        return found, len(member[2])
    if name := _NAME_AT_END.search(before):
        known = {*WORDS.split(), *_SDK_NAMES, *_NAME.findall(code[: len(before) - len(name[0])])}
        return sorted(candidate for candidate in known if candidate.startswith(name[0])), len(name[0])
    return [], 0


def _members(table: str) -> list[str]:
    if table in _SDK_MEMBERS:
        return _SDK_MEMBERS[table]
    match = re.search(rf"^{re.escape(table)}:(.*(?:\n .*)*)", MEMBERS, re.MULTILINE)
    return match[1].split() if match else []


def is_complete(code: str) -> dict[str, Any]:
    """Return Jupyter's is_complete_reply, which consoles use to choose between a new line and running the text.

    Magic lines are complete as they are; a cell magic's text ends with a blank line.
    """
    try:
        cell = parse_cell(code)
    except InvalidInput:
        return {"status": "invalid"}
    match cell:
        case CommandCell():
            return {"status": "complete"}
        case ScratchCell(source):
            return _lua_is_complete(source)
    return {"status": "complete"} if code.endswith("\n\n") else {"status": "incomplete", "indent": ""}


def _lua_is_complete(source: str) -> dict[str, Any]:
    """Ask Lua's compiler, as its own console does: text that ends too early is complained about near <eof>."""
    errors = [syntax_error(text) for text in (source, f"return {source}")]
    if None in errors:
        return {"status": "complete"}
    unfinished = any(message.endswith("near <eof>") for _, message in filter(None, errors))
    return {"status": "incomplete", "indent": ""} if unfinished else {"status": "invalid"}
