"""A test does the same each time: its clock stands still and its randomness repeats, also in what it calls.

Nothing else does: outside of tests the clock runs, nobody can guess what is random, and no script can change that.
"""

from __future__ import annotations

import json
import re
import time
import uuid

import pytest

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound, ScriptRuntimeError
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.run import RunReport
from picloud.model.script import Script, ScriptKind
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    """An app of drafts; what is printed is kept."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.reports: list[RunReport] = []
        executor = Executor(limits_of(Settings(run_memory_mb=8)))
        super().__init__(nothing_published, executor, "shop", self.printed.append, self.reports.append)

    def endpoint(self, source: str, name: str = "it") -> None:
        self.define(Script(name, ScriptKind.ENDPOINT, source), (Route("GET", f"/{name}", name),))

    def answer(self, source: str) -> str:
        """Run a text as an endpoint, without a test."""
        self.endpoint(source)
        return self.call("GET", "/it").body.decode()

    def passes(self, source: str, name: str = "t") -> list[str]:
        """Return what a test prints, which must pass."""
        self.printed.clear()
        result = self.test(TestSource(name, source))
        assert result.error is None, result.error
        return [line.rstrip("\n") for line in self.printed]


@pytest.fixture
def session() -> Session:
    return Session()


EVERYTHING_RANDOM = """
local function all()
  return json.encode({
    math.random(), math.random(1 << 60), math.random(6), random.integer(math.mininteger, math.maxinteger),
    random.number(), random.uuid(), random.token(), json.encode(random.shuffle({ 1, 2, 3, 4, 5, 6, 7, 8, 9 })),
    random.choice({ "a", "b", "c", "d" }), hex.encode(random.bytes(8)), random.uuid_v7():sub(15),
  })
end
"""


def test_the_same_test_gets_the_same_values_each_time(session: Session) -> None:
    source = f"{EVERYTHING_RANDOM} print(all()) print(all())"
    first = session.passes(source)
    assert len(set(first)) == 2
    assert [session.passes(source) for _ in range(5)] == [first] * 5
    assert Session().passes(source) == first


def test_another_test_gets_others(session: Session) -> None:
    source = f"{EVERYTHING_RANDOM} print(all())"
    [first], [second] = session.passes(source), session.passes(source, "other")
    assert not set(json.loads(first)[3:8]) & set(json.loads(second)[3:8])


def test_endpoints_a_test_calls_repeat_with_it_and_differ_from_each_other(session: Session) -> None:
    session.endpoint(f"{EVERYTHING_RANDOM} return all() .. request.id")
    source = "print(call('GET', '/it').body) print(call('GET', '/it').body) print(random.uuid())"
    first = session.passes(source)
    assert len(set(first)) == 3
    assert [session.passes(source) for _ in range(5)] == [first] * 5


def test_modules_repeat_too_and_also_math_randomseed_without_a_seed(session: Session) -> None:
    module = "return { roll = function() math.randomseed() return math.random(1 << 60) .. ' ' .. os.time() end }"
    session.define(Script("dice", ScriptKind.MODULE, module))
    source = "time.freeze(0) print(require('dice').roll()) print(coroutine.wrap(require('dice').roll)())"
    first = session.passes(source)
    assert first[0] != first[1]
    assert all(line.endswith(" 0") for line in first)
    assert session.passes(source) == first


def test_a_seed_chooses_the_values_here_and_in_endpoints(session: Session) -> None:
    session.endpoint("return random.uuid() .. math.random(1 << 60)")
    source = "random.seed({}) print(random.uuid()) print(call('GET', '/it').body)"
    first, second = session.passes(source.format(1)), session.passes(source.format(-(2**63) + 1))
    assert not set(first) & set(second)
    assert session.passes(source.format(1), "another name") == first


def test_math_randomseed_still_takes_a_seed(session: Session) -> None:
    session.passes(
        """
        math.randomseed(42)
        local first = math.random(1 << 60)
        math.randomseed(42)
        expect(math.random(1 << 60)):equals(first)
        """
    )


# the clock ----------------------------------------------------------------------------------------------------------

CLOCKS = "os.time() .. ' ' .. time.now() .. ' ' .. os.date('!%F %T') .. ' ' .. os.clock() .. ' ' .. time.monotonic()"


def test_the_clock_stands_at_the_beginning_of_the_test(session: Session) -> None:
    before = time.time()
    busy = "local start = time.now() for _ = 1, 1e5 do end expect(time.now()):equals(start)"
    [line] = session.passes(f"{busy} print({CLOCKS})")
    assert before - 1 <= int(line.split()[0]) <= time.time()
    assert re.search(r" 0(\.0)? 0(\.0)?$", line)


def test_all_clocks_are_where_the_test_sets_them(session: Session) -> None:
    session.endpoint(f"return {CLOCKS}")
    lines = session.passes(
        f"""
        time.freeze("2026-07-31T12:00:00Z") print({CLOCKS}) print(call("GET", "/it").body)
        time.advance(90.5) print({CLOCKS}) print(call("GET", "/it").body)
        """
    )
    first = "1785499200 1785499200 2026-07-31 12:00:00 0.0 0.0"
    second = "1785499290 1785499290.5 2026-07-31 12:01:30 90.5 90.5"
    assert lines == [first, first, second, second]


def test_before_1970_seconds_are_whole_ones_below(session: Session) -> None:
    session.passes("time.freeze(-0.5) expect(os.time()):equals(-1) expect(os.date('!%T')):equals('23:59:59')")


def test_what_is_told_its_time_is_as_ever(session: Session) -> None:
    session.passes(
        """
        time.freeze(1000)
        expect(os.time({ year = 2000, month = 1, day = 1, hour = 12 }) > 9e8):is_truthy()
        expect(os.time(nil)):equals(1000)
        expect(os.date("!%Y", 1e9)):equals("2001")
        expect(os.date("!*t").sec):equals(40)
        expect(os.date(nil, 0)):equals(os.date("%c", 0))
        expect(#os.date() > 10):is_truthy()
        expect(os.difftime(5, 3)):equals(2)
        expect(function() os.date("%Ez") end):raises("invalid conversion specifier")
        expect(function() os.time({}) end):raises("missing in date table")
        expect(function() os.time("x") end):raises("table expected")
        """
    )


def test_the_clock_runs_again_in_the_next_run_of_the_same_state(session: Session) -> None:
    session.endpoint("return os.time() .. ''")
    session.passes("time.freeze(5) expect(call('GET', '/it').body):equals('5')")
    assert abs(int(session.answer("return os.time() .. ''")) - time.time()) < 5
    assert [echo.text == "true" for echo in session.run("os.time() > 5")] == [True]


# outside of tests ---------------------------------------------------------------------------------------------------


def test_nothing_repeats_outside_of_tests(session: Session) -> None:
    source = f"{EVERYTHING_RANDOM} return all()"
    session.passes(f"{EVERYTHING_RANDOM} all()")
    answers = [json.loads(session.answer(source)) for _ in range(10)]
    for place in (0, 1, 3, 4, 5, 6, 9, 10):
        assert len({answer[place] for answer in answers}) == 10, place
    assert uuid.UUID(answers[0][5]).version == 4


CONTROLS = ["time.freeze(0)", "time.freeze()", "time.advance(1)", "random.seed(1)"]


@pytest.mark.parametrize("control", CONTROLS)
def test_only_a_test_sets_clock_and_seed(session: Session, control: str) -> None:
    name = control.partition("(")[0]
    for attempt in (lambda: session.answer(control), lambda: session.run(control)):
        with pytest.raises(ScriptRuntimeError) as refused:
            attempt()
        assert refused.value.message == f"{name} can be called in tests only"


@pytest.mark.parametrize("control", CONTROLS)
def test_an_endpoint_may_not_do_in_a_test_what_it_cannot_do_alone(session: Session, control: str) -> None:
    """It would pass its tests and fail once it is published."""
    session.endpoint(f"local ok, e = pcall(function() {control} end) return ok and 'done' or e.message")
    session.passes(
        f"""
        local before, called = time.now(), call("GET", "/it").body
        expect(called):contains("can be called in tests only")
        expect(time.now()):equals(before)
        {control} -- the test itself still may
        """
    )


def test_a_test_may_set_them_after_an_endpoint_has_failed(session: Session) -> None:
    session.endpoint("error('no')")
    session.passes("expect(call('GET', '/it').status):equals(500) time.freeze(3) expect(os.time()):equals(3)")


def test_the_clock_costs_a_call_in_tests_only(session: Session) -> None:
    source = "for _ = 1, 100 do os.time() os.clock() os.date() end"
    session.answer(source)
    assert session.reports[-1].calls == 0
    session.passes(source)
    assert session.reports[-1].calls == 300
