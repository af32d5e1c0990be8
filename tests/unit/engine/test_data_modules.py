"""A module that is data reads like any table, is loaded once, and no script changes what the next run sees."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.engine.validator import check_source
from picloud.errors import NotFound, ScriptRuntimeError
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.run import RunReport
from picloud.model.script import Script, ScriptKind
from picloud.model.value import inline
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    """An app of drafts: modules by name, and one endpoint at a time."""

    def __init__(self, module_cache_size: int = 512) -> None:
        self.reports: list[RunReport] = []
        self.executor = Executor(limits_of(Settings(run_memory_mb=8, module_cache_size=module_cache_size)))
        super().__init__(nothing_published, self.executor, "shop", lambda _text: None, self.reports.append)

    def module(self, name: str, source: str) -> None:
        self.define(Script(name, ScriptKind.MODULE, source))

    def answer(self, source: str) -> str:
        """Publish nothing: run the text as an endpoint once."""
        self.define(Script("it", ScriptKind.ENDPOINT, source), (Route("GET", "/it", "it"),))
        return self.call("GET", "/it").body.decode()


@pytest.fixture
def session() -> Session:
    return Session()


DATA = [
    "return { 1, 2, a = { b = 'c' } }",
    "local M = {}\nM.x = 1\nM['y'] = { true }\nM[3] = -1 << 2\nreturn M",
    "local rates <const> = { eur = 1.07 }\nreturn { rates = rates, again = rates, [rates] = #rates }",
    "limit = 10\nnames = { 'a', limit }",
    "return 'text'",
    "return",
    "",
    "local a, b = { 1 }, 2\nreturn { a, b, (b), not b, a .. '' }",
    "M = {}\nM = { M }\nM = { M }\nreturn M",
]
NOT_DATA = [
    "return { f = function() end }",
    "local M = {}\nfunction M.f() end\nreturn M",
    "local other = require('other')\nreturn { other }",
    "return { string }",
    "return { _G }",
    "return { x = later }\n",
    "local t = { string }\nstring = 1\nreturn t",
    "return { kv = json }",
    "local f = { a = { b = { function() end } } }\nreturn f",
    "return string.format",
    "return { f = ('x').rep }",
    "local s = 'x'\nreturn { f = s.rep }",
    "local s = 'x'\nreturn { f = s['rep'] }",
]


@pytest.mark.parametrize("source", DATA)
def test_literals_and_own_variables_are_data(source: str) -> None:
    assert check_source("m", ScriptKind.MODULE, source).constant


@pytest.mark.parametrize("source", NOT_DATA)
def test_functions_other_modules_and_what_belongs_to_a_run_are_not(source: str) -> None:
    assert not check_source("m", ScriptKind.MODULE, source).constant


def test_an_endpoint_is_never_data() -> None:
    assert not check_source("e", ScriptKind.ENDPOINT, "return { 1 }").constant


def test_it_is_loaded_once_and_all_runs_have_the_same_table(session: Session) -> None:
    session.module("data", "return { inner = { 1 } }")
    read = 'local d = require("data") return tostring(d) .. tostring(d.inner)'
    assert len({session.answer(read) for _ in range(5)}) == 1
    session.module("plain", "return { inner = { 1 }, f = function() end }")
    assert len({session.answer(read.replace("data", "plain")) for _ in range(5)}) == 5


def test_a_new_version_is_another_table(session: Session) -> None:
    session.module("data", "return { text = 'old' }")
    assert session.answer('return require("data").text') == "old"
    session.module("data", "return { text = 'new' }")
    assert session.answer('return require("data").text') == "new"
    session.module("data", "return { text = 'old' }")
    assert session.answer('return require("data").text') == "old"


def test_what_makes_room_is_loaded_again() -> None:
    session = Session(module_cache_size=3)
    for name in "abcdef":
        session.module(name, f"return {{ name = '{name}', list = {{ 1, 2 }} }}")
    whole = " .. ".join(f'require("{name}").name .. #require("{name}").list' for name in "abcdef")
    kept = (
        "local a = require('a') require('b') require('c') require('d') require('e')\n"
        "local n = 0 for _ in next, a do n = n + 1 end\n"
        "return n .. json.encode(a) .. tostring(pcall(rawset, a, 1, 1))"
    )
    for _ in range(3):
        assert session.answer(f"return {whole}") == "".join(f"{name}2" for name in "abcdef")
        assert session.answer(kept) == '2{"list":[1,2],"name":"a"}false'
        assert session.reports[-1].dropped


def test_errors_at_loading_come_again(session: Session) -> None:
    session.module("data", "local x = 1\nreturn { x .. {} }")
    for _ in range(2):
        with pytest.raises(ScriptRuntimeError, match="concatenate") as failed:
            session.answer('return require("data")')
        assert (failed.value.script, failed.value.line) == ("data", 2)


def test_the_message_says_what_to_do(session: Session) -> None:
    session.module("data", "return { a = {} }")
    for change in ("d.x = 1", "d.a.x = 1", "d[1] = 2", "rawset(d, 'x', 1)", "table.insert(d, 1)", "table.sort(d)"):
        try:
            assert session.answer(f"local d = require('data')\n{change}\nreturn 'done'") == "done"
            assert change == "table.sort(d)"  # there is nothing to sort
        except ScriptRuntimeError as error:
            assert "copy what you want to change" in error.message
            assert (error.script, error.line) == ("it", 2)


def test_it_can_be_a_metatable_and_hold_defaults(session: Session) -> None:
    session.module("defaults", "local D = { color = 'red', size = { 1 } }\nD.__index = D\nreturn D")
    source = """
        local defaults = require("defaults")
        local thing = setmetatable({ name = "x" }, defaults)
        getmetatable(thing).color = "changed" -- of this run's copy
        local other = setmetatable({}, { __index = defaults })
        return { thing.name, thing.color, thing.size[1], other.color, defaults.color }
    """
    for _ in range(2):
        assert json.loads(session.answer(source)) == ["x", "red", 1, "red", "red"]


def test_expectations_headers_and_echoes_see_through(session: Session) -> None:
    session.module("data", "return { headers = { ['x-a'] = 'b' }, list = { 1, { 2 } }, empty = {} }")
    response = session.answer("return 'x', 200, require('data').headers")
    assert response == "x"
    assert dict(session.call("GET", "/it").headers)["x-a"] == "b"
    test = """
        local data = require('data')
        expect(data.list):equals({ 1, { 2 } })
        expect({ 1, { 2 } }):equals(data.list)
        expect(data.list):contains({ 2 })
        expect(data.headers):equals({ ['x-a'] = 'b' })
        expect(data.empty):equals({})
    """
    assert session.test(TestSource("t", test)).error is None
    [echo] = session.run("require('data')")
    assert inline(echo.value) == '{ empty = {}, headers = { ["x-a"] = "b" }, list = { 1, { 2 } } }'
    assert "x-a" in echo.text
    assert "{2}" in echo.text.replace("\n", "").replace(" ", "").replace(",}", "}")


# any data --------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(string.printable, max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4),
    max_leaves=12,
)
tables = st.lists(values, max_size=4) | st.dictionaries(st.text("abc", max_size=2), values, max_size=4)


def literal(value: object) -> str:
    """Return a Lua expression for the value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value != -(2**63) else "0x8000000000000000"  # its digits alone are a float
    if isinstance(value, float):
        return f"({value.hex()})"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    if isinstance(value, list):
        return "{ " + ", ".join(literal(item) for item in value) + " }"
    assert isinstance(value, dict)
    return "{ " + ", ".join(f"[{literal(key)}] = {literal(item)}" for key, item in value.items()) + " }"


READ = """
local function look(t, depth)
  if type(t) ~= "table" then return math.type(t) or type(t), tostring(t) end
  local seen = { type(t), #t, rawlen(t), select("#", table.unpack(t)), next(t) == nil, getmetatable(t) or nil }
  local function all(iterate)
    local items = {}
    for key, value in iterate() do
      items[#items + 1] = { tostring(key), depth > 0 and { look(value, depth - 1) } or 0 }
    end
    table.sort(items, function(a, b) return a[1] < b[1] end)
    return items
  end
  local last
  local walked = {}
  while true do
    local key = next(t, last)
    if key == nil then break end
    walked[#walked + 1], last = tostring(key), key
  end
  table.sort(walked)
  local parts = {}
  for i, value in ipairs(t) do parts[i] = type(value) == "table" and "t" or tostring(value) end
  return seen, all(function() return pairs(t) end), all(function() return next, t end), walked,
    all(function() return ipairs(t) end), table.concat(parts, ","), #table.move(t, 1, #t, 1, {}),
    rawget(t, 1) == t[1], rawget(t, "a") == t.a, t.nothing == nil, rawequal(t, t), t == t,
    (pcall(next, t, "no such key"))
end
return { data = { look(VALUE, 3) }, json = json.encode(VALUE) }
"""


@given(tables)
@example({"a": [1, {"b": []}], "": {}})
def test_data_reads_like_a_table_of_the_run_s_own(value: object) -> None:
    session = Session()
    session.module("data", f"return {literal(value)}")
    session.module("plain", f"return {{ get = function() return {literal(value)} end }}")
    shared = [session.answer(READ.replace("VALUE", 'require("data")')) for _ in range(2)]
    own = session.answer(READ.replace("VALUE", 'require("plain").get()'))
    assert [json.loads(text) for text in shared] == [json.loads(own)] * 2


TARGETS = ["d", "d[1]", "d.a", "d.b", "(pairs(d))", "select(2, pairs(d))", "select(2, next(d))", "select(2, ipairs(d))"]
ATTEMPTS = [
    "T.x = 1",
    "T[1] = nil",
    "T.a = {}",
    "rawset(T, 1, 1)",
    "rawset(T, 'a', nil)",
    "table.insert(T, 1)",
    "table.insert(T, 1, 1)",
    "table.remove(T)",
    "table.remove(T, 1)",
    "table.sort(T, function() return true end)",
    "table.move({ 7, 8 }, 1, 2, 1, T)",
    "setmetatable(T, {})",
    "setmetatable(T, nil)",
    "getmetatable(T).__index = {}",
    "getmetatable(T).__index.x = 1",
    "json.array(T)",
    "for k in pairs(T) do T[k] = nil end",
    "for k in next, T do T[k] = 1 end",
    "for _, v in pairs(T) do v.x = 1 end",
    "for _, v in ipairs(T) do v[1] = 1 end",
    "for k in pairs(T) do k.x = 1 end",
    "load('local t = ... t.x = 1')(T)",
    "setmetatable({}, { __newindex = T }).x = 1",
    "table.unpack({ T }).x = 1",
    "string.gsub('a', 'a', T)",
    "T:x()",
    "T.x, T.y = 1, 2",
    "local e = select(2, pcall(error, T)) e.x = 1",
    "coroutine.wrap(function(t) t.x = 1 end)(T)",
    "local t <close> = T",
    "local o = setmetatable({}, { __index = T, __newindex = T }) o.x = 1",
    "log.info('x', T)",
    "T[T] = T",
]


@given(tables, st.lists(st.tuples(st.sampled_from(ATTEMPTS), st.sampled_from(TARGETS)), min_size=1, max_size=8))
def test_nothing_a_script_does_changes_it(value: object, attempts: list[tuple[str, str]]) -> None:
    session = Session()
    session.module("data", f"return {{ {literal(value)}, a = {literal(value)}, b = {{ 1, 2 }}, [{{ 1 }}] = true }}")
    read = """
        local n, keyed = 0, 0
        local d = require("data")
        for k, v in pairs(d) do n = n + 1 if type(k) == "table" then keyed = keyed + #k end end
        return { d[1], d.a, d.b, { tostring(d), n, keyed, rawlen(d), #d, d.x == nil, #d.b } }
    """
    before = session.answer(read)
    lines = [f"pcall(function() {attempt.replace('T', target)} end)" for attempt, target in attempts]
    source = "local d = require('data')\n" + "\n".join(lines) + "\nreturn 'survived'"
    assert session.answer(source) == "survived"
    assert session.answer(read) == before


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_each_attempt_alone_on_each_target(attempt: str) -> None:
    session = Session()
    session.module("data", "return { { 1, { 2 } }, a = { x = false }, b = { 1, 2 }, [{ 1 }] = true }")
    whole = "local d = require('data') return { d[1], d.a, d.b, { tostring(d), tostring(d.a), #d, rawlen(d.b) } }"
    before = session.answer(whole)
    for target in TARGETS:
        session.answer(f"local d = require('data') pcall(function() {attempt.replace('T', target)} end) return 'ok'")
        assert session.answer(whole) == before, target
