"""A session at the notebook: globals stay, drafts come first, an interrupt ends what runs and keeps the rest."""

from __future__ import annotations

import threading

import pytest

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import (
    InvalidScript,
    MemoryLimitExceeded,
    ModuleNotFound,
    NotFound,
    RunInterrupted,
    ScriptRuntimeError,
    ScriptSyntaxError,
    TimeLimitExceeded,
)
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.model.value import Scalar, Table
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    """A session on an app nobody published, which keeps what is printed and tells when something is."""

    def __init__(self, timeout_s: float = 10.0) -> None:
        self.printed: list[str] = []
        self.spoke = threading.Event()
        limits = limits_of(Settings(run_memory_mb=8, run_timeout_s=timeout_s))
        super().__init__(nothing_published, Executor(limits), "shop", self._hear)

    def _hear(self, text: str) -> None:
        self.printed.append(text)
        self.spoke.set()


def value(session: Session, source: str) -> str:
    (echo,) = session.run(source)
    return echo.text


def test_globals_stay_for_the_next_cell() -> None:
    session = Session()
    assert session.run("x = 41") == ()
    assert value(session, "x + 1") == "42"


def test_the_last_expression_is_echoed_with_its_type_and_value() -> None:
    (echo,) = Session().run("local t = { 1, 2 }\nt")
    assert (echo.type, echo.value) == ("table", Table((Scalar("number", "1"), Scalar("number", "2")), ()))


def test_json_null_and_array_marks_keep_their_meaning_between_cells() -> None:
    session = Session()
    session.run("n, a = json.null, json.array{}")
    assert value(session, "json.encode({ n = n, a = a })") == '{"a":[],"n":null}'


@pytest.mark.parametrize(
    "source",
    [
        "while true do end",
        "pcall(function() while true do pcall(error) end end) while true do end",
        "coroutine.wrap(function() while true do end end)()",
        "return (('a'):rep(9000):find('.-.-.-b'))",
    ],
)
def test_an_interrupt_ends_the_cell_and_keeps_its_variables(source: str) -> None:
    session = Session()
    session.run("kept = 7")

    def interrupt() -> None:
        session.spoke.wait(10)
        session.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RunInterrupted):
        session.run(f"print('started') {source}")
    thread.join()
    assert value(session, "kept") == "7"


def test_an_interrupt_with_nothing_running_does_nothing() -> None:
    session = Session()
    session.interrupt()
    assert value(session, "1") == "1"
    session.interrupt()
    assert value(session, "2") == "2"


def test_a_limit_ends_a_cell_and_the_session_goes_on() -> None:
    session = Session(timeout_s=0.2)
    session.run("kept = 7")
    with pytest.raises(TimeLimitExceeded):
        session.run("while true do end")
    with pytest.raises(MemoryLimitExceeded):
        session.run("return ('x'):rep(1e9)")
    assert value(session, "kept") == "7"


def test_an_error_tells_the_cell_and_its_line() -> None:
    with pytest.raises(ScriptRuntimeError) as caught:
        Session().run("local x\n\nx.y = 1", name="cell 3")
    assert (caught.value.script, caught.value.line) == ("cell 3", 3)


@pytest.mark.parametrize("source", ["x = = 1", "for", "\ud800", "'\udcff'"])
def test_what_is_not_lua_is_a_syntax_error(source: str) -> None:
    with pytest.raises(ScriptSyntaxError):
        Session().run(source)


def test_drafts_can_be_required_and_called_at_once() -> None:
    session = Session()
    session.define(Script("greet", ScriptKind.MODULE, "return { hello = function(n) return 'hello ' .. n end }"))
    assert value(session, 'require("greet").hello("ada")') == "hello ada"
    page = Script("hello", ScriptKind.ENDPOINT, 'return require("greet").hello(request.params.name)')
    session.define(page, (Route("GET", "/hello/:name", "hello"),))
    assert session.call("GET", "/hello/a%20b").body == b"hello a b"
    session.define(Script("greet", ScriptKind.MODULE, "return { hello = function(n) return 'bye ' .. n end }"))
    assert session.call("GET", "/hello/ada").body == b"bye ada"
    assert value(session, 'require("greet").hello("ada")') == "bye ada"


def test_a_draft_that_is_not_valid_leaves_the_one_before() -> None:
    session = Session()
    session.define(Script("m", ScriptKind.MODULE, "return { x = 1 }"))
    with pytest.raises(InvalidScript):
        session.define(Script("m", ScriptKind.MODULE, "print(1)"))
    assert value(session, 'require("m").x') == "1"
    with pytest.raises(ModuleNotFound):
        session.run('require("other")')


def test_a_route_belongs_to_the_script_that_took_it_last() -> None:
    session = Session()
    route = Route("GET", "/", "one")
    session.define(Script("one", ScriptKind.ENDPOINT, "return 'one'"), (route,))
    session.define(Script("two", ScriptKind.ENDPOINT, "return 'two'"), (Route("GET", "/", "two"),))
    assert session.call("GET", "/").body == b"two"
    assert session.manifest().routes == (Route("GET", "/", "two"),)


@pytest.mark.parametrize(
    ("source", "passed"),
    [
        ("expect(1):equals(1)", True),
        ("expect({ 1, { a = 2 } }):equals({ 1, { a = 2 } })", True),
        ("expect(1):equals(2)", False),
        ("expect(call('GET', '/none').status):equals(404)", True),
        ("expect(function() error('bad luck') end):raises('luck')", True),
        ("expect(function() end):raises()", False),
        ("assert(false, 'no')", False),
        ("local x <const> = nil; x.y = 1", False),
    ],
)
def test_tests(source: str, passed: bool) -> None:
    result = Session().test(TestSource("t", source))
    assert result.passed is passed
    assert (result.error is None) is passed
    if passed:
        assert result.assertions == 1


def test_what_an_earlier_cell_let_go_of_is_not_charged_to_the_next() -> None:
    session = Session()
    assert value(session, "do local t = {} for i = 1, 80000 do t[i] = { i } end end return 1") == "1"
    assert value(session, "return #('x'):rep(3000000)") == "3000000"


@pytest.mark.parametrize(
    "source", ["hex.encode(5)", "local x = 1\nhex.encode(5)", "x = 1 -- first\n\nhex.decode('z') -- last"]
)
def test_an_error_of_the_sdk_in_a_last_expression_knows_its_line(source: str) -> None:
    with pytest.raises(ScriptRuntimeError) as failed:
        Session().run(source)
    assert failed.value.line == source.count("\n") + 1
