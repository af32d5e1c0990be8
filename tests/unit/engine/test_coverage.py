"""What tests reach of a session's scripts: every line that began, however the run ended, within the same limits."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.engine.coverage import ScriptCoverage
from picloud.engine.interactive import TestResult
from picloud.errors import (
    InvalidScript,
    MemoryLimitExceeded,
    RunInterrupted,
    ScriptRuntimeError,
    TimeLimitExceeded,
)
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from tests.unit.engine.test_interactive import Session


def module(session: Session, name: str, source: str) -> None:
    session.define(Script(name, ScriptKind.MODULE, source))


def endpoint(session: Session, name: str, source: str) -> None:
    session.define(Script(name, ScriptKind.ENDPOINT, source), (Route("GET", f"/{name}", name),))


def cover(session: Session, *tests: str) -> tuple[tuple[TestResult, ...], dict[str, ScriptCoverage]]:
    coverage = session.cover(TestSource(f"test {number}", source) for number, source in enumerate(tests))
    return coverage.results, {script.script.name: script for script in coverage.scripts}


def missing(source: str, *tests: str) -> set[int]:
    """Return the lines of a module `m` that tests do not reach."""
    session = Session()
    module(session, "m", source)
    _, scripts = cover(session, *tests)
    assert scripts["m"].loaded
    return set(scripts["m"].lines) - scripts["m"].reached


BRANCHES = """\
local M = {}
function M.sign(x)
  if x > 0 then
    return 1
  elseif x < 0 then
    return -1
  end
  return 0
end
return M"""


def test_a_branch_no_test_takes_is_missing() -> None:
    assert missing(BRANCHES, 'require("m").sign(1)') == {6, 8}


def test_the_lines_of_several_tests_add_up() -> None:
    assert missing(BRANCHES, 'require("m").sign(1)', 'require("m").sign(-1)', 'require("m").sign(0)') == set()


def test_the_lines_before_an_error_are_reached_and_those_behind_it_are_not() -> None:
    source = 'local M = {}\nfunction M.f()\n  local x = 1\n  error("no")\n  x = 2\nend\nreturn M'
    assert missing(source, 'require("m").f()') == {5}
    assert missing(source, 'expect(require("m").f):raises("no")') == {5}


def test_lines_in_coroutines_and_protected_calls_are_reached() -> None:
    source = """\
local M = {}
function M.f()
  local co = coroutine.wrap(function()
    coroutine.yield(1)
    pcall(function()
      error("a")
    end)
    return 2
  end)
  co()
  return co()
end
return M"""
    assert missing(source, 'expect(require("m").f()):equals(2)') == set()


def test_an_endpoint_is_reached_through_call_and_so_is_what_it_requires() -> None:
    session = Session()
    module(session, "m", BRANCHES)
    endpoint(session, "hello", 'local m = require("m")\nif request.query.x then\n  return m.sign(1)\nend\nreturn 0')
    (result,), scripts = cover(session, 'expect(call("GET", "/hello?x=1").json):equals(1)')
    assert result.passed
    assert scripts["hello"].missing == ((5, 5),)
    assert scripts["m"].missing == ((6, 8),)


def test_a_script_no_test_loads_has_nothing_reached() -> None:
    session = Session()
    module(session, "m", "local M = {}\nreturn M")
    endpoint(session, "hello", "return 1")
    _, scripts = cover(session, 'assert(call("GET", "/nowhere").status == 404)')
    assert [(s.script.name, s.lines, s.reached, s.loaded) for s in scripts.values()] == [
        ("hello", (1,), frozenset(), False),
        ("m", (1, 2), frozenset(), False),
    ]


def test_a_test_is_no_script_even_where_an_endpoint_says_the_same() -> None:
    session = Session()
    source = "return 1"
    endpoint(session, "same", source)
    coverage = session.cover([TestSource("same", source)])
    assert coverage.results[0].passed
    assert [(script.script.name, script.loaded) for script in coverage.scripts] == [("same", False)]


def test_a_data_module_is_reached_by_each_run_that_measures() -> None:
    session = Session()
    module(session, "m", "local prices = { a = 1 }\nreturn prices")
    for _ in range(2):
        _, scripts = cover(session, 'assert(require("m").a == 1)', 'assert(require("m").a == 1)')
        assert scripts["m"].missing == ()


def test_a_redefined_script_begins_anew() -> None:
    session = Session()
    module(session, "m", BRANCHES)
    assert cover(session, 'require("m").sign(1)')[1]["m"].missing == ((6, 8),)
    module(session, "m", f"\n{BRANCHES}")
    assert cover(session, 'require("m").sign(0)')[1]["m"].missing == ((5, 7),)


def test_results_are_those_of_a_test_run_without() -> None:
    session = Session()
    module(session, "m", "return { f = function(x)\n\n  return x.y.z end }")
    source = 'expect(1):equals(1)\nlocal f = require("m").f\nf({})'
    plain, ((measured,), _) = session.test(TestSource("test 0", source)), cover(session, source)
    assert isinstance(measured.error, ScriptRuntimeError)
    assert plain.error is not None
    assert (measured.error.message, measured.error.script, measured.error.line, measured.error.traceback) == (
        plain.error.message, plain.error.script, plain.error.line, plain.error.traceback,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "error", "unreached"),
    [
        ("while true do\n  x = 1\nend", TimeLimitExceeded, {7}),
        ("while true do\n  pcall(error, 1)\nend", TimeLimitExceeded, {7}),
        ("coroutine.wrap(function()\n  while true do x = 1 end\nend)()", TimeLimitExceeded, {7}),
        ("local t = {}\nfor i = 1, 1e9 do t[i] = {} end", MemoryLimitExceeded, {6}),
        ("local function deep()\n  x = deep()\n  return x\nend\ndeep()", MemoryLimitExceeded, {6, 9}),
    ],
)
def test_limits_hold_and_what_ran_before_counts(body: str, error: type[Exception], unreached: set[int]) -> None:
    session = Session(timeout_s=0.3)
    module(session, "m", f"local M = {{}}\nfunction M.f()\nlocal x\n{body}\nx = 7\nend\nreturn M")
    (first, second), scripts = cover(session, 'require("m").f()', "expect(1):equals(1)")
    assert type(first.error) is error
    assert second.passed
    assert set(scripts["m"].lines) - scripts["m"].reached == unreached


def test_an_interrupt_ends_it_all() -> None:
    session = Session()
    endpoint(session, "hello", 'print("on")\nwhile true do end')

    def interrupt() -> None:
        session.spoke.wait(30)
        session.interrupt()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(RunInterrupted):
        cover(session, 'call("GET", "/hello")', 'print("next")')
    interrupter.join()
    assert session.printed == ["on\n"]


def test_a_test_that_is_not_lua_is_refused_as_ever() -> None:
    with pytest.raises(InvalidScript):
        cover(Session(), "x = = 1")


def test_a_script_finds_nothing_of_the_counters() -> None:
    session = Session()
    search = """\
local found = {}
local function look(t)
  for key in pairs(t) do
    if type(key) == "string" and #key > 14 then found[#found + 1] = key end
  end
end
look(string) look(_G) look(coroutine) look(table)
local ok, message = pcall(function() local s = "" s.x = 1 end)
found[#found + 1] = ok and "ok" or message
found[#found + 1] = tostring(getmetatable(""))
for name in pairs(string) do assert(("")[name] ~= nil) end
return table.concat(found, " ")"""
    endpoint(session, "search", search)
    plain = session.call("GET", "/search").body
    (result,), scripts = cover(session, f'expect(call("GET", "/search").body):equals({plain.decode()!r})')
    assert result.passed, result.error
    assert scripts["search"].missing == ()


def test_scripts_that_differ_in_nothing_but_their_name_are_told_apart() -> None:
    session = Session()
    for name in ("a", "b"):
        module(session, name, BRANCHES)
    _, scripts = cover(session, 'require("a").sign(1) require("b").sign(-1)')
    assert (scripts["a"].missing, scripts["b"].missing) == (((6, 8),), ((4, 4), (8, 8)))


@given(lines=st.sets(st.integers(1, 60)), data=st.data())
@settings(deadline=None)
def test_missing_stretches_hold_exactly_the_lines_that_are_missing(lines: set[int], data: st.DataObject) -> None:
    reached = frozenset(data.draw(st.sets(st.sampled_from(sorted(lines))) if lines else st.just(set())))
    coverage = ScriptCoverage(Script("m", ScriptKind.MODULE, ""), tuple(sorted(lines)), reached, loaded=True)
    held = {line for first, last in coverage.missing for line in range(first, last + 1)}
    assert held & lines == lines - reached
    assert all(first in lines and last in lines for first, last in coverage.missing)
    between = [
        range(last + 1, first) for (_, last), (first, _) in zip(coverage.missing, coverage.missing[1:], strict=False)
    ]
    assert all(reached & set(gap) for gap in between)  # none could have been longer
