"""Whatever the validator accepts as a module does nothing when it is loaded, but make its own exports."""

from __future__ import annotations

from typing import Any

import lupa.lua54
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from picloud.engine.validator import check_source
from picloud.errors import InvalidScript
from picloud.model.script import ScriptKind

LOAD = b"""
local load, setmetatable, getmetatable, tostring, pcall, type = load, setmetatable, getmetatable, tostring, pcall, type
return function(source)
  local effects = {}
  local function effect(what) effects[#effects + 1] = what end
  -- A value not made by the module: reading and computing with it is no effect, calling it or writing to it is one.
  local foreign_meta = {}
  local function foreign() return setmetatable({}, foreign_meta) end
  foreign_meta.__index = foreign
  foreign_meta.__newindex = function(_, key) effect("wrote field " .. tostring(key)) end
  foreign_meta.__call = function() effect("called") end
  foreign_meta.__close = function() effect("closed") end
  for event in ("add sub mul div mod pow unm idiv band bor bxor shl shr bnot len"):gmatch("%w+") do
    foreign_meta["__" .. event] = function() return 1 end
  end
  foreign_meta.__concat = function() return "" end
  foreign_meta.__lt = function() return true end
  foreign_meta.__le = function() return true end
  local own = {}
  local environment = setmetatable({}, {
    __index = function(_, name)
      if name == "require" then return foreign end
      if own[name] ~= nil then return own[name] end
      return foreign()
    end,
    __newindex = function(_, name, value) own[name] = value end, -- a global of a module is its export
  })
  local chunk = assert(load(source, "=module", "t", environment))
  local steps = 0
  debug.sethook(function() steps = steps + 1 if steps > 100 then error("does not end") end end, "", 1000)
  local ok, message = pcall(chunk)
  debug.sethook()
  if not ok and message:find("does not end", 1, true) then effect("does not end") end
  return table.concat(effects, ", ")
end
"""

NAMES = st.sampled_from(["M", "N", "x", "string", "_G", "_ENV", "math"])
ATOMS = st.one_of(
    NAMES,
    st.sampled_from(["nil", "true", "1", "'a'", "{}", "{ 1, a = 2 }", "function() boom() end", "...", "require('m')"]),
    st.sampled_from(["string.format", "M.x", "M['y']", "#x", "-1", "not x", "require 'm'", "require('m').x", "(M)"]),
    st.sampled_from(["boom()", "('a'):rep(3)", "x.y()", "x:y()", "{ boom() }", "{ [boom()] = 1 }", "require(x)"]),
)
EXPRESSIONS = st.one_of(
    ATOMS, st.builds("{} {} {}".format, ATOMS, st.sampled_from(["+", "..", "==", "and", "or", "<", "//"]), ATOMS)
)
TARGETS = st.one_of(NAMES, st.sampled_from(["M.f", "N.f", "x.f", "string.f", "M[1]", "M['k']", "M.a.b", "M[boom()]"]))
STATEMENTS = st.one_of(
    st.builds("local {} = {}".format, NAMES, EXPRESSIONS),
    st.builds("local {}, {} = {}, {}".format, NAMES, NAMES, EXPRESSIONS, EXPRESSIONS),
    st.builds("local {}, {} = {}".format, NAMES, NAMES, EXPRESSIONS),
    st.builds("local {} <{}> = {}".format, NAMES, st.sampled_from(["const", "close"]), EXPRESSIONS),
    st.builds("{} = {}".format, TARGETS, EXPRESSIONS),
    st.builds("{}, {} = {}, {}".format, TARGETS, TARGETS, EXPRESSIONS, EXPRESSIONS),
    st.builds("{}, {} = {}".format, TARGETS, TARGETS, EXPRESSIONS),
    st.builds("function {}() boom() end".format, st.sampled_from(["f", "M.f", "M:f", "string.f", "N.a.f", "_ENV"])),
    st.builds("local function {}() boom() end".format, NAMES),
    st.sampled_from(
        ["boom()", "require('m')", "do boom() end", "while x do end", "goto a ::a::", "if x then boom() end"]
    ),
    st.sampled_from(["for i = 1, 2 do boom() end", "repeat until x", ";", "-- boom()", "::again:: goto again"]),
)
MODULES = st.builds(
    lambda begin, statements, write, end: "\n".join([begin, *statements, write, end]),
    st.sampled_from(["", "local M = {}", "M = {}", "local M, N = {}, {}"]),
    st.lists(STATEMENTS, max_size=4),
    st.sampled_from(["", "M.f = 1", "N.f = 1", "function M.f() end"]),
    st.one_of(st.just(""), st.builds("return {}".format, EXPRESSIONS)),
)


@pytest.fixture(scope="module")
def load() -> Any:
    return lupa.lua54.LuaRuntime(encoding=None).compile(LOAD)()


@settings(max_examples=500, deadline=None)
@example("local M = {}\nlocal M = string\nM.f = 1")
@example("N, N = M, {}\nN.f = 1")
@example("local M = {}\nM, N = string\nM.f = 1")
@example("local M, N = {}\nN.f = 1")
@example("local M = {}\nlocal function M() end\nM.f = 1")
@example("local M = {}\nM.x, M = 1, string\nM.f = 2")
@example("local M <const> = {}\nM.f = 1\nreturn M")
@given(MODULES)
def test_a_module_that_is_accepted_has_no_effect_when_loaded(load: Any, source: str) -> None:
    try:
        check_source("m", ScriptKind.MODULE, source)
    except InvalidScript:
        assume(False)
    assert load(source.encode()) == b""
