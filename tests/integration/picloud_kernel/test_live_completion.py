"""Completion and help on a real session: its globals, its drafts, and what is published behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud_kernel import inspection
from picloud_kernel.completion import MATCHES_MAX, Completion
from picloud_kernel.lua_names import BASE, CELL, EXPECTATIONS, LIBRARIES, REQUEST, RESPONSE
from picloud_kernel.scope import SDK, Scope
from picloud_kernel.session import Session

GREET = """\
-- Greetings.
local M = { polite = true }
--- Greet somebody.
function M.hello(name, loud)
  return "hello " .. name
end
return M
"""
HELLO = 'local greet = require("greet")\nreturn greet.hello(request.params.name)'


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


class Cells:
    """A session as the kernel has it."""

    def __init__(self, platform: Platform) -> None:
        self.session = Session(lambda: nullcontext(platform), lambda _text: None)
        self.session.use_app("shop")
        self.sources: dict[str, str] = {}

    def run(self, source: str) -> None:
        name = f"cell {len(self.sources) + 1}"
        self.sources[name] = source
        self.session.scratch.run(source, name=name)

    def scope(self, code: str) -> Scope:
        return Scope(code, self.session.live, self.sources.get)

    def complete(self, code: str) -> dict[str, str]:
        """What is offered at the end of a text, with the arguments of functions."""
        reply = Completion(self.session).reply(code, len(code), self.scope(code))
        return {item["text"]: item["signature"] for item in reply["metadata"]["_jupyter_types_experimental"]}

    def help(self, code: str, detail_level: int = 0) -> str:
        reply: dict[str, Any] = inspection.reply(code, len(code), detail_level, self.scope(code))
        text: str = reply["data"].get("text/plain", "")
        return text


@pytest.fixture
def cells(platform: Platform) -> Cells:
    cells = Cells(platform)
    cells.run("acc = { total = 1, name = 'x' } function acc.add(self, n, ...) end")
    return cells


def test_nothing_is_opened_to_complete(platform: Platform) -> None:
    def refuse() -> Any:
        raise AssertionError("opened")

    session = Session(refuse, lambda _text: None)
    code = 'require("'
    assert Completion(session).reply(code, len(code), Scope(code, session.live, dict[str, str]().get))["matches"] == []


def test_globals_their_fields_and_methods_are_offered(cells: Cells) -> None:
    assert "acc" in cells.complete("ac")
    assert cells.complete("acc.") == {"add": "(self, n, ...)", "name": "", "total": ""}
    assert cells.complete("acc:") == {"add": "(self, n, ...)"}
    assert "upper" in cells.complete("acc.name:u")
    assert cells.complete("acc.total.") == {}
    cells.run("Account = { balance = 0, pay = function(self) end } Account.__index = Account "
              "mine = setmetatable({ owner = 'ada' }, Account)")  # fmt: skip
    assert cells.complete("mine:") == {"pay": "(self)"}
    assert set(cells.complete("mine.")) == {"balance", "owner", "pay"}
    assert cells.complete("%%module m\nacc.") == {}, "a module does not see the session"


def test_completion_runs_nothing_of_the_session(cells: Cells) -> None:
    cells.run("""
        ran = 0
        local function run() ran = ran + 1 while true do end end
        trap = setmetatable({ a = 1 }, {
          __index = run, __len = run, __pairs = run, __tostring = run, __name = run, __eq = run, __call = run,
        })
        trap[trap], trap.self = run, trap
        deep = setmetatable({}, { __index = trap })
        circle = {} setmetatable(circle, { __index = circle })
        big = {} for i = 1, 1e5 do big["k" .. i] = i end
        long = ("\\n\\t\\0😀"):rep(1e5)
        co = coroutine.create(run)
    """)
    for name in ("trap", "trap.self.self", "deep", "circle", "big", "long", "co", "trap.nothing"):
        offered = cells.complete(f"{name}.")
        cells.help(name)
        assert len(offered) <= MATCHES_MAX
    assert set(cells.complete("trap.")) == {"a", "self"}
    assert cells.complete("tra") == {"trap": "", "transaction": "(body)"}
    cells.run("assert(ran == 0)")


def test_drafts_and_published_modules_are_offered_with_their_exports(cells: Cells, platform: Platform) -> None:
    old = Script("old", ScriptKind.MODULE, "function f(a) end")
    hello = Script("hello", ScriptKind.ENDPOINT, "return 1")
    manifest = Manifest((hello, old), (Route("GET", "/hello/:name", "hello"),))
    platform.publisher.publish("shop", manifest, author="ada", create=True)
    cells.session.app.define(Script("greet", ScriptKind.MODULE, GREET))
    cells.session.app.define(Script("new", ScriptKind.ENDPOINT, "return 1"), (Route("POST", "/new", "new"),))
    assert set(cells.complete('local x = require("')) == {"greet", "old"}
    assert set(cells.complete("%%endpoint e GET /e\nlocal x = require 'gr")) == {"greet"}
    for code in ('local g = require("greet")\ng.', '%%endpoint e GET /e\nlocal g = require("greet")\nreturn g.'):
        assert cells.complete(code) == {"hello": "(name, loud)", "polite": ""}
    assert cells.complete('local o = require("old")\no:') == {"f": "(a)"}
    assert set(cells.complete("%graph ")) == {"greet", "hello", "new", "old"}
    assert set(cells.complete("%call GET /he")) == {"/hello/:name"}
    assert set(cells.complete("%call post ")) == {"/new"}
    assert set(cells.complete("%app s")) == {"shop"}
    platform.publisher.publish("shop", Manifest((hello,), manifest.routes), author="ada", message="without old")
    assert list(cells.complete("%rollback ")) == ["2", "1"]


def test_an_export_is_explained_by_the_comment_above_it(cells: Cells) -> None:
    cells.session.app.define(Script("greet", ScriptKind.MODULE, GREET))
    in_a_test = "%%test t\nlocal greet = require('greet') greet.hello"
    for code in ("greet.hello", 'local g = require("greet")\nreturn g.hello(', in_a_test):
        text = cells.help(code)
        assert text.endswith("hello(name, loud)\n\nGreet somebody.\n\nfunction of greet, line 4")
    assert cells.help("greet.hello", 1).endswith('function M.hello(name, loud)\n  return "hello " .. name\nend')
    assert cells.help("greet.polite").endswith("constant of greet, line 2")
    for code in ("greet", "return require('greet"):
        assert cells.help(code) == "module greet\n\nGreetings.\n\n  polite\n  hello(name, loud)"
    assert cells.help("greet", 1).endswith(GREET)
    assert cells.help("greet.nothing") == ""


def test_what_the_session_holds_is_explained(cells: Cells) -> None:
    cells.run("-- Adds two numbers.\nfunction add(a, b)\n  return a + b\nend\ntext, flag = 'a\\nb', true")
    assert cells.help("add") == "add(a, b)\n\nAdds two numbers.\n\nfunction of cell 2, line 2"
    assert cells.help("add", 1).endswith("function add(a, b)\n  return a + b\nend")
    assert cells.help("text") == 'text: string "a\\nb"'
    assert cells.help("flag") == "flag: boolean true"
    assert cells.help("acc") == 'acc: table\n  add(self, n, ...): function\n  name: string "x"\n  total: number 1'
    assert cells.help("acc.total") == "acc.total: number 1"
    assert cells.help("nothing") == ""


def test_a_database_that_is_down_leaves_the_rest(cells: Cells, platform: Platform) -> None:
    platform.database.close()
    assert "acc" in cells.complete("ac")
    assert cells.complete('require("') == {}
    assert cells.complete("%app ") == {}
    assert cells.help("acc").startswith("acc: table")


def names_in(cells: Cells, table: str) -> set[str]:
    collect = f"local names = {{}} for name in pairs({table}) do names[#names + 1] = name end"
    [echo] = cells.session.scratch.run(f"return (function() {collect} return table.concat(names, ' ') end)()")
    return set(echo.text.split())


def test_the_names_of_the_library_are_exactly_those_there_are(platform: Platform) -> None:
    cells = Cells(platform)
    libraries = {*LIBRARIES, *filter(None, SDK)}
    assert names_in(cells, "_G") == {*BASE, *CELL, *libraries, *SDK[""]}
    for library, names in LIBRARIES.items():
        assert names_in(cells, library) == set(names)


def test_the_names_of_endpoints_and_tests_are_exactly_those_there_are(cells: Cells) -> None:
    lazy = {"cookies", "form", "json", "principal", "remaining_ms"}
    source = """
        local t = { request = {}, response = {} }
        for name in pairs(request) do t.request[#t.request + 1] = name end
        for name in pairs(response) do t.response[#t.response + 1] = name end
        for _, name in ipairs({ "cookies", "form", "remaining_ms" }) do assert(request[name], name) end
        return t
    """
    cells.session.app.define(Script("e", ScriptKind.ENDPOINT, source), (Route("GET", "/e", "e"),))
    answer = json.loads(cells.session.app.call("GET", "/e").body)
    assert set(answer["request"]) == set(REQUEST) - lazy
    assert set(answer["response"]) == set(RESPONSE)
    checks = "\n".join(f"assert(expect(1).{name})" for name in EXPECTATIONS)
    count = f"local n = 0 for _ in pairs(expect(1)) do n = n + 1 end assert(n == {len(EXPECTATIONS)}, n)"
    result = cells.session.app.test(TestSource("t", f"{checks}\n{count}"))
    assert result.passed, result.error
