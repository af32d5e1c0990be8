"""What cells share beside variables: drafts that change under their users, what is displayed, and values for Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Echo, Interactive, Screen
from picloud.errors import (
    CallLimitExceeded,
    InvalidInput,
    MemoryLimitExceeded,
    NotFound,
    PicloudError,
    ScriptRuntimeError,
    ScriptSyntaxError,
)
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind
from picloud.platform import limits_of
from picloud.settings import Settings

EXECUTOR = Executor(limits_of(Settings(run_memory_mb=8, run_calls_max=500, response_max_mb=1)))


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    """A session that keeps what is shown: ("display" | "update" | "clear", what, id)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any, str]] = []
        screen = Screen(
            lambda echo, at: self.seen.append(("display", echo, at)),
            lambda echo, at: self.seen.append(("update", echo, at)),
            lambda wait: self.seen.append(("clear", wait, "")),
        )
        super().__init__(nothing_published, EXECUTOR, "shop", lambda _: None, screen=screen)

    def module(self, name: str, source: str) -> None:
        self.define(Script(name, ScriptKind.MODULE, source))

    def shows(self, source: str) -> list[str]:
        return [echo.text for echo in self.run(source)]

    def give(self, source: str, **values: Any) -> tuple[Any, ...]:
        return self.evaluate(source, values, name="python")


# modules ---------------------------------------------------------------------------------------------------------


def test_who_requires_a_module_sees_the_new_one_at_once() -> None:
    """Directly or through another module: from a cell, from a function an earlier cell made, endpoints and tests."""
    session = Session()
    session.module("base", "return { word = 'old' }")
    session.module("greet", "return { say = function() return require('base').word end }")
    session.define(Script("page", ScriptKind.ENDPOINT, "return require('greet').say()"), (Route("GET", "/", "page"),))
    session.run("local greet = require('greet')\nlocal function fresh() return require('greet').say() end")
    session.module("base", "return { word = 'new' }")
    assert session.shows("return require('greet').say(), fresh()") == ["new", "new"]
    assert session.call("GET", "/").body == b"new"
    assert session.test(TestSource("t", "expect(require('greet').say()):equals('new')")).passed


def test_a_variable_holds_the_module_it_was_given_until_it_is_required_again() -> None:
    session = Session()
    session.module("greet", "return { word = 'old' }")
    session.run("local greet = require('greet')")
    session.module("greet", "return { word = 'new' }")
    assert session.shows("greet.word") == ["old"]
    session.run("greet = require('greet')")
    assert session.shows("greet.word") == ["new"]


# a cell that is renamed --------------------------------------------------------------------------------------------


def endpoint(name: str) -> tuple[Script, tuple[Route, ...]]:
    return Script(name, ScriptKind.ENDPOINT, f"return '{name}'"), (Route("GET", f"/{name}", name),)


def test_a_cell_takes_back_what_it_defined_under_another_name() -> None:
    session = Session()
    session.define(*endpoint("old"))
    assert session.settle("cell", script="old") is None
    session.define(*endpoint("new"))
    assert session.settle("cell", script="new") == "endpoint old"
    assert [script.name for script in session.manifest().scripts] == ["new"]
    with pytest.raises(NotFound):
        session.call("GET", "/old")


def test_a_cell_keeps_what_another_cell_defines_by_now() -> None:
    session = Session()
    for cell in ("one", "two"):
        session.module("greet", "return {}")
        assert session.settle(cell, script="greet") is None
    assert session.settle("one") is None
    assert [script.name for script in session.manifest().scripts] == ["greet"]


def test_a_cell_that_becomes_another_kind_takes_its_draft_back() -> None:
    session = Session()
    session.module("greet", "return {}")
    session.settle("cell", script="greet")
    session.define(*endpoint("greet"))
    assert session.settle("cell", script="greet") is None  # one name, one script: it was replaced already
    session.define_test(TestSource("greet", ""))
    assert session.settle("cell", test="greet") == "endpoint greet"
    assert session.settle("cell") == "test greet"
    assert session.manifest() == Session().manifest()


def test_a_reset_forgets_variables_and_only_if_asked_drafts() -> None:
    session = Session()
    session.module("greet", "return {}")
    session.settle("cell", script="greet")
    session.define_test(TestSource("t", ""))
    session.run("local x <const> = 1 y = 2")
    assert session.reset(drafts=False) == ()
    assert session.shows("return x == nil, y == nil, require('greet') ~= nil") == ["true", "true", "true"]
    session.run("x = 2")
    assert session.reset(drafts=True) == ("module greet", "test t")
    assert session.manifest() == Session().manifest()
    assert session.settle("cell") is None


# display -----------------------------------------------------------------------------------------------------------


def test_display_shows_a_value_at_once_and_update_replaces_it() -> None:
    session = Session()
    assert session.run("local shown = display({ 1 })\nlocal other = display('x')\nshown:update(nil)\nother") == ()
    (first, one, at), (_, two, other), (last, three, again) = session.seen
    assert (first, last, again) == ("display", "update", at)
    assert other != at
    assert [(echo.type, echo.text) for echo in (one, two, three)] == [
        ("table", "{\n  1,\n}"),
        ("string", "x"),
        ("nil", "nil"),
    ]
    session.run("shown:update(3)")  # also from a later cell
    kind, echo, again = session.seen[-1]
    assert (kind, echo.text, again) == ("update", "3", at)


@pytest.mark.parametrize(
    ("call", "wait"), [("clear_output()", False), ("clear_output(true)", True), ("clear_output(1)", True)]
)
def test_clear_output(call: str, wait: bool) -> None:
    session = Session()
    assert session.run(call) == ()
    assert session.seen == [("clear", wait, "")]


def test_only_cells_can_display() -> None:
    session = Session()
    probe = "return { known = tostring(display) .. tostring(clear_output) }"
    session.define(Script("page", ScriptKind.ENDPOINT, probe), (Route("GET", "/", "page"),))
    session.module("m", "return { f = function() return display, clear_output end }")
    assert session.call("GET", "/").body == b'{"known":"nilnil"}'
    assert session.shows("return tostring(require('m').f())") == ["nil"]
    assert session.test(TestSource("t", "expect(display):is_nil() expect(clear_output):is_nil()")).passed


def test_what_a_run_can_display_has_an_end() -> None:
    session = Session()
    with pytest.raises(CallLimitExceeded):
        session.run("while true do pcall(display, 1) end")
    assert len(session.seen) == 500
    with pytest.raises(ScriptRuntimeError, match="has shown more than 1048576 bytes"):
        session.run("local s = ('x'):rep(300000) local h = display(s) for i = 1, 10 do h:update(s) end")
    assert sum(len(what.text) for _, what, _ in session.seen if isinstance(what, Echo)) < 2**20 + 1000
    assert session.shows("1") == ["1"]


@pytest.mark.parametrize(
    "attempt",
    [
        "setmetatable(display(1), {})",
        "getmetatable(display(1)).__index = {}",
        "local t = {} t[1] = t display(t) error('past it')",
        "display(setmetatable({}, { __pairs = error, __index = error, __tostring = error })) error('past it')",
    ],
)
def test_a_handle_and_a_strange_value_do_no_harm(attempt: str) -> None:
    session = Session()
    with pytest.raises(ScriptRuntimeError):
        session.run(attempt)
    assert session.shows("1") == ["1"]


# values for Python -------------------------------------------------------------------------------------------------


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, min_size=1, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_value_that_goes_through_lua_comes_back_the_same(value: Any) -> None:
    (back,) = SESSION.give("return value", value=value)
    assert back == value
    assert type(back) is type(value)


SESSION = Session()


def test_values_are_locals_and_results_are_values() -> None:
    session = Session()
    session.run("local total = 1\nlocal function add(n) total = total + n return total end")
    assert session.give("return add(n)", n=4) == (5,)
    assert session.give("add(n)", n=4) == (9,)
    assert session.give("local seen = n", n=1) == ()
    assert session.give("seen") == (1,)
    assert session.give("total = n", n=2, total=5) == ()
    assert session.give("return total, nil, json.null, 1.0") == (9, None, None, 1.0)
    assert session.give("return nil, 1") == (None, 1)
    assert session.give("return a == nil, b", a=None, b=2) == (True, 2)


@pytest.mark.parametrize("name", ["end", "x = 1 --", "é", "", "x\n", "1x", "a, b"])
def test_a_name_that_is_none_in_lua_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a variable"):
        Session().evaluate("return 1", {name: 1}, name="python")


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), 2**63, [-(2**64)], "\ud800", b"x", object()])
def test_a_value_without_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="n cannot go to Lua"):
        Session().give("return n", n=value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput):
        Session().give("return n", n=value)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("return print", ScriptRuntimeError),
        ("return '\\xff'", ScriptRuntimeError),
        ("return 0/0", ScriptRuntimeError),
        ("x.y.z()", ScriptRuntimeError),
        ("return = 1", ScriptSyntaxError),
        ("end) while true do end (function()", ScriptSyntaxError),
        ("return ('x'):rep(1e9)", MemoryLimitExceeded),
        ("\ud800", ScriptSyntaxError),
    ],
)
def test_what_fails_in_lua_fails_for_python(source: str, error: type[PicloudError]) -> None:
    session = Session()
    with pytest.raises(error):
        session.give(source)
    assert session.give("return 1") == (1,)


def test_more_values_than_lua_has_locals_are_a_clear_error() -> None:
    with pytest.raises(ScriptSyntaxError, match="too many local variables"):
        Session().evaluate("return 1", {f"v{n}": n for n in range(300)}, name="python")


def test_two_apps_have_variables_of_their_own() -> None:
    one, two = Session(), Interactive(nothing_published, EXECUTOR, "other", lambda _: None)
    one.run("local x = 1")
    assert [echo.text for echo in two.run("x == nil")] == ["true"]


# triggers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forget", [lambda s: s.settle("cell"), lambda s: s.reset(drafts=True), lambda s: s.drop("old")]
)
def test_a_trigger_goes_with_its_draft(forget: Callable[[Session], object]) -> None:
    session = Session()
    session.define(
        Script("old", ScriptKind.ENDPOINT, "return 1"),
        triggers=(Trigger("old", TriggerKind.KV, "a*", "old", ("set", "delete")),),
    )
    session.settle("cell", script="old")
    assert [trigger.name for trigger in session.manifest().triggers] == ["old"]
    forget(session)
    assert session.manifest() == Session().manifest()
