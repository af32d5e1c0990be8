"""Runs a text in the sandbox and in stock Lua, and tells both outcomes."""

from __future__ import annotations

from importlib import resources
from typing import Any

import lupa.lua54
import pytest

RUNNER = b"""
local load, env = ...
local pcall, pack, type, next, sort, concat, format, mathtype, tostring =
  pcall, table.pack, type, next, table.sort, table.concat, string.format, math.type, tostring
local function show(v, depth)
  if mathtype(v) == "float" then return v ~= v and "nan" or format("%a", v) end
  if type(v) == "string" then return format("%q", v) end
  if type(v) == "table" and depth < 5 then
    local items = {}
    for k, x in next, v do items[#items + 1] = "[" .. show(k, depth + 1) .. "]=" .. show(x, depth + 1) end
    sort(items)
    return "{" .. concat(items, ",") .. "}"
  end
  local t = type(v)
  return (t == "nil" or t == "boolean" or t == "number") and tostring(v) or t
end
return function(text, ...)
  local f = assert(load(text, "=test", "t", env))
  local r = pack(pcall(f, ...))
  if not r[1] then return "error", show(r[2], 0) end
  for i = 1, r.n do r[i] = show(r[i], 0) end
  return concat(r, " ", 2), ""
end
"""

FORCED = (
    (b"sandbox.lua", b"SORT_MAX = 100000", b"SORT_MAX = -1"),
    (b"sandbox.lua", b"SHIFT_MAX = 1000000", b"SHIFT_MAX = -1"),
    (b"sandbox.lua", b"LONG = 64 * 1024", b"LONG = -1"),
    (b"sandbox.lua", b"to - from < 100000", b"to - from < -1"),
    (b"sandbox.lua", b"COROUTINE_STEPS = 250", b"COROUTINE_STEPS = 1"),
    (b"pattern.lua", b"STEPS_MAX = 10000000", b"STEPS_MAX = -1"),
    (b"pattern.lua", b" or #p <= 16 then", b" then"),
    (b"pattern.lua", b"WATCHED_STEPS = 100000", b"WATCHED_STEPS = -1"),
)
"""Edits of the prelude after which its slow paths are taken whatever the size."""


class Both:
    """Stock Lua and the sandbox side by side."""

    def __init__(self, *, forced: bool) -> None:
        stock = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._stock = stock.compile(RUNNER)(stock.globals().load, stock.globals())
        safe = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        load = safe.globals().load

        def part(name: str) -> Any:
            source = resources.files("picloud.lua").joinpath("prelude", name).read_bytes()
            for file, before, after in FORCED if forced else ():
                if file == name.encode():
                    assert source.count(before) == 1, before
                    source = source.replace(before, after)
            return safe.compile(source)

        limit, trip, watch = part("interrupt.lua")(None, None)
        _, raw, _ = part("frozen.lua")()
        new_environment, _ = part("sandbox.lua")(limit, trip, watch, raw, *part("pattern.lua")(watch))
        self._safe = safe.compile(RUNNER)(load, new_environment())

    def outcomes(self, text: str, *arguments: object) -> tuple[bytes, bytes]:
        """Return what the text gives in stock Lua and in the sandbox: its values, or that it raised."""
        source = text.encode()
        return self._stock(source, *arguments)[0], self._safe(source, *arguments)[0]

    def messages(self, text: str) -> tuple[bytes, bytes]:
        """Return what the text raises in both."""
        return self._stock(text.encode())[1], self._safe(text.encode())[1]


@pytest.fixture(scope="module", params=["as shipped", "slow paths forced"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(forced=request.param != "as shipped")
