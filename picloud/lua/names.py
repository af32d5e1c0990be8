"""The names Lua itself gives a script in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_KEYWORDS: Final = """
and break do else elseif end false for function goto if in local nil not or repeat return then true until while
"""
_FUNCTIONS: Final = """
assert error getmetatable ipairs load next pairs pcall print rawequal rawget rawlen rawset require select setmetatable
tonumber tostring type xpcall
"""
KEYWORDS: Final = frozenset(_KEYWORDS.split())
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(members.split())
    for name, members in {
        "coroutine": "close create isyieldable resume running status wrap yield",
        "math": "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad "
        "random randomseed sin sqrt tan tointeger type ult",
        "os": "clock date difftime time",
        "string": "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
        "table": "concat insert move pack remove sort unpack",
        "utf8": "char charpattern codepoint codes len offset",
    }.items()
}
