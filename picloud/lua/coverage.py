"""A Lua state that notes which counters its scripts pass: what measures coverage. Decision 0015."""

from __future__ import annotations

import secrets
from typing import Final

from picloud.lua.limits import Limits
from picloud.lua.state import LuaState

_NAME_BYTES: Final = 8

_SETUP: Final = b"""
local name = ...
local meta, passed, functions = debug.getmetatable(""), {}, {}
for key, value in next, meta.__index do functions[key] = value end
functions[name] = passed -- a field of strings: reached without a variable, and by nobody who does not know its name
meta.__index = functions
local next, concat = next, table.concat
return function()
  local numbers = {}
  for number in next, passed do numbers[#numbers + 1] = number end
  return concat(numbers, " ")
end
"""


def new_name() -> str:
    """Return a name for counters, which no script can guess."""
    return f"n{secrets.token_hex(_NAME_BYTES)}"


def counter(name: str, number: int) -> str:
    """Return statements that note this number in a `CountingState` of that name: no variable, no upvalue, no call."""
    return f';("").{name}[{number}]=1;'


class CountingState(LuaState):
    """A state for one run of scripts with counters."""

    def __init__(self, limits: Limits, library: bytes, name: str) -> None:
        """Take the name that the counters have, besides what every state takes."""
        self._name = name
        super().__init__(limits, library)

    def passed(self) -> frozenset[int]:
        """Return the numbers noted, whatever ended the run; the state may not run anything afterwards."""
        self._lua.set_max_memory(0)  # none: a run may have ended with its memory full
        return frozenset(map(int, self._passed().split()))

    def _extend(self) -> None:
        self._passed = self._lua.compile(_SETUP)(self._name.encode())
