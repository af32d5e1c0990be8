"""Completion, inspection and is-complete for Lua cells: what is certain from the text, and no more."""

from __future__ import annotations

import re
from typing import Any

from picloud.publishing.magics import BY_NAME, MAGICS

KEYWORDS = tuple(
    "and break do else elseif end false for function goto if in local nil not or repeat return then true until while".split()
)
GLOBALS = tuple(
    "assert error getmetatable ipairs math next pairs pcall print rawequal rawget rawlen rawset require select "
    "setmetatable string table tonumber tostring type utf8 xpcall".split()
)
MEMBERS = {
    "string": "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper".split(),
    "table": "concat insert move pack remove sort unpack".split(),
    "math": "abs ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random sin sqrt tan "
    "tointeger type ult".split(),
    "utf8": "char charpattern codepoint codes len offset".split(),
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
    """Return Jupyter's inspect_reply: the help of the magic on the cursor's line, nothing else."""
    start = code.rfind("\n", 0, cursor) + 1
    line = code[start:].split("\n", 1)[0]
    magic = BY_NAME.get((line.split() or [""])[0])
    if magic is None:
        return {"status": "ok", "found": False, "data": {}, "metadata": {}}
    plain = f"{magic.usage}\n\n{magic.help}\n{magic.details}\n\n{magic.example}"
    return {"status": "ok", "found": True, "data": {"text/plain": plain}, "metadata": {}}


def _matches(before: str, code: str) -> tuple[list[str], int]:
    if magic := _MAGIC_AT_END.search(before):
        return [name.name for name in MAGICS if name.name.startswith(magic[1])], len(magic[1])
    if member := _MEMBER_AT_END.search(before):
        found = [name for name in MEMBERS.get(member[1], ()) if name.startswith(member[2])]
        return found, len(member[2])
    if name := _NAME_AT_END.search(before):
        known = {*KEYWORDS, *GLOBALS, *_NAME.findall(code[: len(before) - len(name[0])])}
        return sorted(candidate for candidate in known if candidate.startswith(name[0])), len(name[0])
    return [], 0
