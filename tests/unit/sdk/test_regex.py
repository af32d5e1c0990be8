"""Regular expressions: positions and groups are right, and no pattern or text takes more than its bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import CallLimitExceeded, InvalidInput, TimeLimitExceeded
from picloud.sdk.regex import GROUPS_MAX, PATTERN_MAX_BYTES, PATTERNS_MAX, SLICE_MATCHES, WORK_MAX, compiled, scan
from picloud.sdk.regex import regex as namespace
from picloud.sdk.run import Run
from picloud.sdk.spec import Phase
from tests.unit.sdk.conftest import Lua

RUN = Run(Phase.CELL)
NO_PATTERNS = [
    (r"a(b", "')' is missing (near 'a(b')"),
    (r"a)", "')' has no '('"),
    (r"[a", "']' is missing"),
    (r"[z-a]", "there is no such range or character class (near 'z-a')"),
    (r"*", "there is nothing to repeat"),
    (r"a**", "two repetitions follow each other"),
    (r"a{1001}", "more than 1000 repetitions"),
    (r"(?:a{100}){100}", "more than 1000 repetitions"),
    (r"(a)\1", "there is no such escape (nor are there back-references)"),
    (r"(?=a)", "there is no such group or flag (nor is there look-around)"),
    (r"(?<!a)", "there is no such group or flag (nor is there look-around)"),
    (r"(?P<>a)", "the name of a group"),
    (r"(?P<a-b>a)", "the name of a group"),
    (r"\pX", "there is no such range or character class"),
    ("\\", "it ends with a lone"),
    (b"\xff", "it is not UTF-8 text: use the option 'bytes'"),
    (r"\pL{1000}", "takes too much memory"),
    ("(?:a?){1000}" * 300, "takes too much memory"),
    ("a" * (PATTERN_MAX_BYTES + 1), f"longer than {PATTERN_MAX_BYTES} bytes"),
    ("()" * (GROUPS_MAX + 1), f"more than {GROUPS_MAX} groups"),
]
FUNCTIONS = ["test(a, 'x')", "match(a, 'x')", "find_all(a, 'x')", "split(a, 'x')", "replace(a, 'x', '')"]
EXPONENTIAL = [
    r"(a+)+$",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"(.*)(.*)(.*)(.*)(.*)b",
    r"((a*)*)*b",
    r"(x+x+)+y",
    r"(?:a?){100}a{100}",
]
pieces = st.sampled_from(
    ["a", "b", "(a)", "(b)", ".", "a*", "b+", "(?:ab|a)", "(a|b)?", "[ab]", "[^a]", "é", r"\b", "^", "$"]
)
patterns = st.lists(pieces, max_size=5).map("".join)
texts = st.text("abé \n", max_size=12)


@pytest.mark.parametrize(("pattern", "reason"), NO_PATTERNS)
def test_what_is_no_pattern_is_refused_with_its_reason(lua: Lua, pattern: str | bytes, reason: str) -> None:
    for function in FUNCTIONS:
        error = lua.error(f"regex.{function}", pattern)
        assert error.startswith(f"invalid_input regex.{function.split('(')[0]}: the pattern ")
        assert reason in error
        assert len(error) < 250


def spans_in_python(pattern: str, text: str) -> list[tuple[int, int]]:
    """Return where Python's `re` finds matches, as bytes from 0, by the rule for empty ones."""
    found: list[tuple[int, int]] = []
    for match in re.compile(pattern, re.ASCII).finditer(text):
        start, stop = (len(text[:at].encode()) for at in match.span())
        if start < stop or not found or found[-1][1] != start:
            found.append((start, stop))
    return found


@given(
    st.lists(st.sampled_from(["a", "b", ".", "a*", "b+", "(?:ab|a)", "[ab]", "[^a]", "é", "(?:a|b)?"]), max_size=4),
    texts,
)
def test_matches_are_where_python_finds_them(lua: Lua, parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    found = lua.call("regex.find_all(a, b)", pattern, text)
    assert [(m["start"] - 1, m["stop"]) for m in found or []] == spans_in_python(pattern, text)
    first = re.search(pattern, text, re.ASCII)
    assert lua.call("regex.test(a, b)", pattern, text) == (first is not None)
    if first:
        assert lua.call("regex.match(a, b).text", pattern, text) == first[0]


@given(patterns, texts)
def test_what_lies_between_matches_and_the_matches_are_the_text(lua: Lua, pattern: str, text: str) -> None:
    assert lua.call("{ regex.replace(a, b, '%0') }", pattern, text)[0] == text
    assert lua.call("(regex.replace(a, b, function(m) return m.text end))", pattern, text) == text
    assert lua.call("(regex.replace(a, b, function(m) return nil end))", pattern, text) == text
    found = lua.call("regex.find_all(a, b, { spans = true })", pattern, text) or []
    raw = text.encode()
    for match in found:
        assert raw[match["start"] - 1 : match["stop"]].decode() == match["text"]
        for group, span in zip(match["groups"] or [], match["spans"] or [], strict=True):
            assert (group is False) == (span is False)
            assert span is False or raw[span["start"] - 1 : span["stop"]].decode() == group
    assert lua.call("select(2, regex.replace(a, b, '-'))", pattern, text) == len(found)


@given(patterns, texts)
def test_pieces_and_what_splits_them_are_the_text(lua: Lua, pattern: str, text: str) -> None:
    pieces = lua.call("regex.split(a, b)", pattern, text)
    found = lua.call("regex.find_all(a, b)", pattern, text) or []
    ends = (0, len(text.encode()))
    splits = [m["text"] for m in found if m["text"] or m["stop"] not in ends]
    assert len(pieces) == len(splits) + 1
    assert "".join(a + b for a, b in zip(pieces, [*splits, ""], strict=True)) == text
    assert len(lua.call("regex.split(a, b, { max = 1 })", pattern, text)) == min(2, len(pieces))


@given(st.binary(max_size=20))
def test_an_escaped_text_matches_itself_only(lua: Lua, text: bytes) -> None:
    assert lua.call('regex.match("^" .. regex.escape(a) .. "$", a, { bytes = true }) ~= nil', text) is True
    assert lua.call('regex.test("^" .. regex.escape(a) .. "$", a .. "x", { bytes = true })', text) is False


def test_groups_and_names(lua: Lua) -> None:
    match = lua.call("regex.match(a, b, { spans = true })", r"(?P<year>\d+)-(?P<month>\d+)|(x)", "in 2026-11")
    assert match == {
        "text": "2026-11", "start": 4, "stop": 10, "groups": ["2026", "11", False],
        "named": {"year": "2026", "month": "11"},
        "spans": [{"start": 4, "stop": 7}, {"start": 9, "stop": 10}, False],
    }  # fmt: skip
    assert lua.call("regex.match(a, b).named", "(?P<Ä>a)|(?P<b>b)", "b") == {"b": "b"}
    assert lua.call("regex.match(a, b) == nil", "x", "y") is True
    assert lua.call("regex.match(a, b).named", "(?P<n>a)(?P<n>b)", "ab") == {"n": "a"}


def test_options(lua: Lua) -> None:
    assert lua.call("regex.match(a, b, { ignore_case = true }).text", "É|b", "éb") == "é"
    assert lua.call("#regex.find_all(a, b, { multiline = true })", "^.", "a\nb") == 2
    assert lua.call("#regex.find_all(a, b)", "^.", "a\nb") == 1
    assert lua.call("regex.match(a, b, { dot_all = true }).text", "a.b", "a\nb") == "a\nb"
    assert lua.call("regex.match(a, b, { longest = true }).text", "a|ab", "ab") == "ab"
    assert lua.data("regex.match(a, b, { bytes = true }).text", b"\xff.", b"a\xff\x00b") == b"\xff\x00"
    assert lua.call("#regex.find_all(a, b, { bytes = true })", "", "é") == 3
    assert lua.call("#regex.find_all(a, b)", "", "é") == 2
    assert lua.call("#regex.find_all(a, b, { max = 2 })", "a", "aaa") == 2
    assert lua.call("{ regex.replace(a, b, 'x', { max = 2 }) }", "a", "aaa") == ["xxa", 2]
    assert lua.call("regex.split(a, b, { max = 1 })", ",", "a,b,c") == ["a", "b,c"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("match('a', b, {})", "regex.match: the text is not UTF-8"),
        ("test('a', b)", "regex.test: the text is not UTF-8"),
        ("match('a')", "regex.match: text must be a string, got nil"),
        ("match(1, 'a')", "regex.match: pattern must be a string, got number"),
        ("match('a', 'a', { flags = 'i' })", "regex.match: there is no option 'flags'"),
        ("match('a', 'a', { max = 1 })", "there is no option 'max'"),
        ("match('a', 'a', { ignore_case = 1 })", "ignore_case must be a boolean"),
        ("match('a', 'a', { spans = 1 })", "spans must be a boolean"),
        ("find_all('a', 'a', { max = 0 })", "max must be 1 or more"),
        ("find_all('a', 'a', { max = 1.5 })", "max must be an integer"),
        ("replace('a', 'a')", "replacement must be a string or a function, got nil"),
        ("replace('a', 'a', {})", "replacement must be a string or a function, got table"),
        ("replace('a', 'b', '%1')", "the pattern has no group '1'"),
        ("replace('(?P<n>a)', 'b', '%{m}')", "the pattern has no group 'm'"),
        ("replace('a', 'b', '%{1e0}')", "the pattern has no group '1e0'"),
        ("replace('a', 'b', '50%')", "in the replacement '%' comes before"),
        ("replace('a', 'b', '%{n')", "in the replacement '%' comes before"),
        ("replace('a', 'b', '%x')", "in the replacement '%' comes before"),
        ("replace('a', 'a', function() return {} end)", "the function must return a string"),
    ],
)
def test_other_arguments_are_refused(lua: Lua, call: str, message: str) -> None:
    error = lua.error(f"regex.{call}", b"", b"\xff")
    assert error.startswith("invalid_input regex.")
    assert message in error


def test_replacements(lua: Lua) -> None:
    assert lua.call("(regex.replace(a, b, '%2%{n}%%1%0'))", "(?P<n>a)(b)?", "ab a") == "ba%1ab a%1a"
    assert lua.call("(regex.replace(a, b, '%{10}'))", "()" * 9 + "(x)", "axb") == "axb"
    assert lua.call("(regex.replace(a, b, '\\\\1$1'))", "(a)", "a") == "\\1$1"
    assert lua.call("(regex.replace(a, b, function(m) return m.start end))", "a", "aa") == "12"
    inner = "regex.replace(a, b, function(m) return (regex.replace('.', m.text, '<%0>')) end)"
    assert lua.call(f"({inner})", r"\w+", "ab c") == "<a><b> <c>"
    assert lua.call("{ pcall(regex.replace, a, b, function() error('mine', 0) end) }", "a", "a") == [False, "mine"]


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_what_is_exponential_elsewhere_is_linear(lua: Lua, pattern: str) -> None:
    assert lua.call("regex.test(a, b)", pattern, "a" * 2**19 + "!") in (True, False)


def test_a_mebibyte_of_matches(lua: Lua) -> None:
    assert lua.call("select(2, regex.replace(a, b, ''))", "a", "a" * 2**20) == 2**20
    assert lua.call("#regex.split(a, b)", ",", "a," * 2**19) == 2**19 + 1
    assert lua.call("#regex.find_all(a, b)", r"\w+", "word " * 2**17) == 2**17
    assert lua.call("#regex.find_all(a, b)", "", "é" * 2**16) == 2**16 + 1


def test_a_search_that_could_take_too_long_is_refused(lua: Lua) -> None:
    size = compiled(b"(?:a|b)*a(?:a|b){900}c", "").size
    most = WORK_MAX // size
    assert "too large for a text" in lua.error("regex.test(a, b)", "(?:a|b)*a(?:a|b){900}c", "a" * (most + 1))
    assert "too large for a text" in lua.error("regex.find_all(a, b)", "(?:a|b)*a(?:a|b){900}c", "a" * (most + 1))
    assert compiled(b"(a?)" * 100, "").size > 2 * compiled(b"(a?)" * 49, "").size


def test_many_searches_go_in_slices_that_the_limits_of_a_run_end(lua_with: Callable[..., Lua]) -> None:
    quadratic = lua_with(run_timeout_s=0.5)
    with pytest.raises(TimeLimitExceeded):
        quadratic.call("#regex.find_all(a, b)", "a.*b|a", "a" * 2**20)
    few = lua_with(run_calls_max=20)
    with pytest.raises(CallLimitExceeded):
        few.call("#regex.find_all(a, b)", "", "a" * (40 * SLICE_MATCHES))


def test_one_call_returns_a_slice_and_goes_on_where_it_ended() -> None:
    text, at, last, starts = b"a" * (2 * SLICE_MATCHES + 5), 0, -1, 0
    while at >= 0:
        at, last, packed, groups, names = scan(RUN, b"regex.find_all", b"(?P<n>a)", text, b"", at, last, 10**9)
        assert (groups, names) == (1, "1 n")
        assert len(packed) <= SLICE_MATCHES * 16
        starts += len(packed) // 16
    assert starts == len(text)


def test_a_process_keeps_a_bounded_number_of_patterns() -> None:
    compiled.cache_clear()
    for number in range(3 * PATTERNS_MAX):
        compiled(b"a{%d}" % (number + 1), "")
    assert compiled.cache_info().currsize == PATTERNS_MAX
    for number in range(3 * PATTERNS_MAX):
        with pytest.raises(InvalidInput):
            compiled(b"(%d" % number, "")
    assert compiled.cache_info().currsize == PATTERNS_MAX


def test_flags_make_another_pattern() -> None:
    compiled.cache_clear()
    assert compiled(b"a", "").search(b"A") is None
    assert compiled(b"a", "i").search(b"A") is not None
    assert compiled(b"a", "").search(b"A") is None


@given(st.binary(max_size=30), st.binary(max_size=30), st.booleans())
def test_any_bytes_are_searched_or_refused(lua: Lua, pattern: bytes, text: bytes, as_bytes: bool) -> None:
    options = "{ bytes = true }" if as_bytes else "{}"
    for call in ("match(a, b, {})", "find_all(a, b, {})", "split(a, b, {})", "replace(a, b, 'x', {})"):
        error = lua.error(f"regex.{call.replace('{}', options)}", pattern, text)
        assert error == "none" or error.startswith("invalid_input regex.")


def test_the_primitive_is_not_for_scripts(lua: Lua) -> None:
    assert set(lua.call("(function() local n = {} for k in pairs(regex) do n[k] = 1 end return n end)()")) == set(
        namespace.functions
    )


def test_results_are_as_large_as_the_memory_of_a_run_allows(lua_with: Callable[..., Any]) -> None:
    small = lua_with(run_memory_mb=4)
    with pytest.raises(Exception, match="memory"):
        small.call("#regex.find_all(a, b)", "", "a" * 200_000)
