"""A failed expectation is data: matcher, expected and actual value, what held before, and the line."""

from __future__ import annotations

import pytest

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.engine.testing import TestResult
from picloud.errors import NotFound, ScriptRuntimeError, TimeLimitExceeded
from picloud.model.release import TestSource
from picloud.model.value import inline
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


def run(source: str, timeout_s: float = 10.0) -> TestResult:
    limits = limits_of(Settings(run_memory_mb=16, run_timeout_s=timeout_s))
    return Interactive(nothing_published, Executor(limits), "shop", print).test(TestSource("t", source))


@pytest.mark.parametrize(
    ("source", "matcher", "expected", "actual", "sentence"),
    [
        ("expect(1):equals(2)", "equals", "2", "1", "expected 1 to equal 2"),
        ("expect('a'):equals(nil)", "equals", "nil", '"a"', 'expected "a" to equal nil'),
        ("expect(1):is_nil()", "is_nil", None, "1", "expected 1 to be nil"),
        ("expect(nil):is_truthy()", "is_truthy", None, "nil", "expected nil to be truthy"),
        ("expect(1):is_falsy()", "is_falsy", None, "1", "expected 1 to be falsy"),
        ("expect(1):is_a('string')", "is_a", '"string"', "1", 'expected 1 to be of type "string"'),
        ("expect('a'):matches('%d')", "matches", '"%d"', '"a"', 'expected "a" to match "%d"'),
        ("expect({ 1 }):contains(2)", "contains", "2", "{ 1 }", "expected [1] to contain 2"),
        ("expect(function() end):raises()", "raises", None, None, "expected the function to raise an error"),
        (
            "expect(function() error('x', 0) end):raises('y')",
            "raises",
            '"y"',
            '"x"',
            'expected an error with "y", got "x"',
        ),
        ("assert(1 == 2)", "assert", None, "false", "assertion failed!"),
        ("assert(nil, 'no ada')", "assert", None, "nil", "no ada"),
    ],
)
def test_every_matcher_tells(
    source: str, matcher: str, expected: str | None, actual: str | None, sentence: str
) -> None:
    result = run(f"expect(0):equals(0)\n{source}\nexpect(1):equals(3)")
    found = result.expectation
    assert found is not None
    assert result.error is not None
    assert (result.error.message, result.error.line) == (sentence, 2)
    assert (found.matcher, found.held, result.assertions) == (matcher, 1, 1)
    assert (found.expected and inline(found.expected)) == expected
    assert (found.actual and inline(found.actual)) == actual


def test_tables_differ_at_paths() -> None:
    found = run(
        "expect({ a = { b = { 1, 2 } }, c = 1.0, x = 1 }):equals({ a = { b = { 1, 3 } }, c = 1, y = 'z' })"
    ).expectation
    assert found is not None
    assert list(map(str, found.differences)) == [
        "a.b[2]: expected 3, got 2",
        'y: expected "z", got nil',
        "x: expected nil, got 1",
    ]


def test_texts_of_several_lines_differ_at_lines() -> None:
    found = run("expect('a\\nb\\nc'):equals('a\\nB\\nc')").expectation
    assert found is not None
    assert found.text_diff[1:] == ("  a", "- B", "+ b", "  c")


def test_an_expectation_can_be_caught_and_reads_as_its_sentence() -> None:
    source = (
        "local ok, e = pcall(function() expect(1):equals(2) end)\nexpect(tostring(e)):equals('expected 1 to equal 2')"
    )
    assert run(source).error is None


def test_other_errors_are_no_expectations() -> None:
    result = run("expect(1):equals(1)\nlocal x = nil + 1")
    assert result.expectation is None
    assert type(result.error) is ScriptRuntimeError


def test_a_huge_value_is_told_in_part() -> None:
    source = "local t = {} for i = 1, 100000 do t[i] = ('x'):rep(10) end t.me = t"
    found = run(f"{source}\nexpect(t):equals({{ big = ('y'):rep(1000000) }})").expectation
    assert found is not None
    assert found.actual is not None
    assert len(inline(found.actual)) < 100_000
    assert "more" in inline(found.actual)


@pytest.mark.parametrize(
    "value",
    [
        "setmetatable({}, { __index = function() error('no') end, __pairs = error, __len = error, __eq = error })",
        "setmetatable({}, { __name = ('x'):rep(10000), __tostring = error })",
        "{ [print] = 1, [{}] = 2, [1.5] = 3, [true] = 4, ['\\xff\\0'] = '\\xff' }",
        "coroutine.create(print)",
        "0/0",
        "{ 1, nil, 3, [9] = 1 }",
    ],
)
def test_hostile_values_are_told_without_calling_them(value: str) -> None:
    found = run(f"expect({value}):equals('never')").expectation
    assert found is not None
    assert found.actual is not None
    assert inline(found.actual)


def test_a_limit_within_a_comparison_is_the_limit() -> None:
    source = "expect(function() while true do end end):raises()"
    assert isinstance(run(source, 0.2).error, TimeLimitExceeded)
