"""What people are told of an error: made by real Lua, so that a hint fits what Lua really says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.explain import Explanation, explain
from picloud.engine.hints import GLOBALS, SDK, Mistake, hint_for, nearest
from picloud.engine.interactive import Interactive
from picloud.errors import ExpectationFailed, NotFound, ScriptError, ScriptRuntimeError
from picloud.lua.names import FUNCTIONS, MEMBERS
from picloud.model.script import Script, ScriptKind
from picloud.platform import limits_of
from picloud.settings import Settings

MODULE = "local M = {}\nfunction M.hello(name) return name.first end\nM.version = 1\nreturn M"


def nothing_published(_name: str) -> Published:
    raise NotFound


def explained(source: str) -> Explanation:
    session = Interactive(nothing_published, Executor(limits_of(Settings(run_memory_mb=8))), "shop", print)
    session.define(Script("greet", ScriptKind.MODULE, MODULE))
    sources = {"cell 1": source, "greet": MODULE}
    with pytest.raises(ScriptError) as failed:
        session.run(source, name="cell 1")
    return explain(failed.value, sources.get, modules=["greet"], variables=["basket"])


def marked(known: Explanation) -> str | None:
    """Return the words above the carets."""
    [place] = known.places
    if place.span is None:
        return None
    return dict(place.lines)[place.line][place.span.start : place.span.stop]


@pytest.mark.parametrize(
    ("source", "words", "hint"),
    [
        ("baskett.add(1)", "baskett", "Did you mean 'basket'?"),
        ("pirnt(1)", "pirnt", "Did you mean 'print'?"),
        ("kv.sett('a', 1)", "sett", "Did you mean 'kv.set'?"),
        ("kv.nothing_like_it()", "nothing_like_it", "kv has "),
        ("string.upperr('x')", "upperr", "Did you mean 'string.upper'?"),
        ("('x'):uper()", "uper", "Did you mean 'upper'?"),
        ("local g = require('greet')\ng.helo('x')", "helo", "Did you mean 'g.hello'?"),
        ("local g = require('greet')\ng.hello(nil)", "name", "name is nil here"),
        ("greet.hello('x')", "greet", 'local greet = require("greet")'),
        ("local t = {}\nt.a.b = 1", "a", "if t.a then"),
        ("do local x\nx.y = x end", "x", "x is nil here"),
        ("local f = 1\nf()", "f", "f is a number"),
        ("null.x = 1", "null", "json.null"),
        ("request.json.x = 1", "request", "in endpoints only"),
        ("expect(1):equals(1)", "expect", "%%test"),
        ("t = { 1 }\nreturn t[0].x", "0", "Lists begin at 1"),
        ("x = 'a' + 1", "+", "joined with .."),
        ("x = 'a' .. nil", "..", "One of them is nil"),
        ("x = 1 < 'a'", "<", "tonumber"),
        ("x = nil < 1", "<", "One of them is nil"),
        ("x = {} < {}", "<", "Tables have no order"),
        ("x = tonumber('a') + 1", "+", "tonumber gives nil"),
        ("x = #nil", "#", "It is nil"),
        ("x = 1 // 0", "//", "divided by 0"),
        ("local t = {}\nt[nil] = 1", None, "A key is nil"),
        ("for x in { 1 } do end", None, "pairs(t)"),
        ("kv.x = 1", None, "Copy it first"),
        ("x = string.format('%d', 1.5)", "1.5", "has a fraction"),
        ("x = ('x'):rep({})", "{}", None),
        ("hex.encode(5)", "hex.encode", None),
        ("kv:set('a', 1)", "kv:set", "kv.set(...)"),
        ("json.decode('{')", None, "pcall(json.decode, text)"),
        ("require('gret')", "'gret'", "Did you mean 'greet'?"),
        ("require('kv')", "'kv'", "needs no require"),
        ("require('elsewhere')", "'elsewhere'", "%%module elsewhere"),
    ],
)
def test_errors_at_run_time(source: str, words: str | None, hint: str | None) -> None:
    known = explained(source)
    assert marked(known) == words
    assert known.hint is None if hint is None else hint in (known.hint or "")


@pytest.mark.parametrize(
    ("source", "words", "hint"),
    [
        ("if x != 1 then end", "!", "~="),
        ("if !x then end", "!", "not x"),
        ("if x && y then end", "&", "a and b"),
        ("if x || y then end", "|", "a or b"),
        ("if x = 1 then end", "=", "compares with =="),
        ("x = x === 1", "=", "== and ~="),
        ("x = x ? 1 : 2", "?", "and a or b"),
        ("x = a?.b", "?", "a and a.b"),
        ("x += 1", "+", "x = x + 1"),
        ("x++", "+", "x = x + 1"),
        ("let x = 1", "x", "local"),
        ("const x = 1", "x", "local"),
        ("def f(): return 1", "f", "local function"),
        ("async function f() end", "function", "no async"),
        ("import foo", "foo", "require"),
        ("if x then\n y()\nelif z then\n y()\nend", "z", "elseif"),
        ("if x then\n y()\nelse if z then\n y()\nend", "", "line 3 has 'else if'"),
        ("if x == 1\n  return 2\nend", "return", "then"),
        ("while x\n y()\nend", "y", "do"),
        ("for (i = 0; i < 3; i++) { }", "(", "for i = 1, 10 do"),
        ("function f() {\n return 1 }", "{", "no braces"),
        ("if (x) {\n return 1 }", "return", "no braces"),
        ("function f()\n if x then\n return 1\nend", "", "'function' of line 1 is not closed"),
        ("x = 1\nend", "end", "one end too many"),
        ("return 1\nx = 2", "x", None),
        ("x = [1, 2]", "[", "{ 1, 2, 3 }"),
        ('x = {"a": 1}', ":", "{ name = 1 }"),
        ("x = { 1, 2", "", "brace is not closed"),
        ("x = f(1, 2", "", "parenthesis is not closed"),
        ('x = "abc', "", "no closing quote"),
        ("x = [[abc", "", "close it with ]]"),
        ("x = \u201ca\u201d", "\u201c", "typographic quotes"),
        ("größe = 1", "ö", "a to z"),
        ("x = `a`", "`", "[[...]]"),
        ("// comment", "//", "--"),
        ("t.end = 1", "end", 't["end"]'),
        ("x = t:name", "", "read with a dot"),
        ("x = 3x", "3x", "begin with a digit"),
        ("local function M.f() end", ".", "cannot be local"),
        ("break", None, "leaves a loop"),
        ("local x <const> = 1; x = 2", None, "<const>"),
        ("x = 1 1", "1", None),
    ],
)
def test_errors_of_syntax(source: str, words: str | None, hint: str | None) -> None:
    known = explained(source)
    assert known.code == "script_syntax_error"
    assert marked(known) == words
    assert known.hint is None if hint is None else hint in (known.hint or "")


def test_the_right_one_of_equal_tokens_is_marked() -> None:
    [place] = explained("x = 1 1").places
    assert place.span is not None
    assert place.span.start == 6
    assert place.caret == "      ^"


def test_a_variable_that_could_be_either_of_two_is_not_marked() -> None:
    assert marked(explained("local x\nx = x.a + x.b")) is None


def test_words_in_a_string_or_a_comment_are_no_foreign_words() -> None:
    assert "and" not in (explained("x = 'a && b' 1 -- &&").hint or "")


def test_a_caret_stands_below_wide_letters_and_tabs() -> None:
    [place] = explained("\tx = '表' .. nil").places
    assert place.caret == "\t" + " " * len("x = '表' ") + " " + "^^"


def test_limits_say_what_to_do() -> None:
    for code in ("time_limit_exceeded", "cpu_limit_exceeded", "memory_limit_exceeded", "call_limit_exceeded"):
        assert "PICLOUD_RUN_" in (hint_for(code, Mistake("")) or "")


def test_the_text_for_a_terminal_has_all_of_it() -> None:
    assert explained("local t = {}\nt.a.b = 1").text().split("\n") == [
        "attempt to index a nil value (field 'a')",
        "",
        "cell 1, line 2",
        "    1 | local t = {}",
        "--> 2 | t.a.b = 1",
        "      |   ^",
        "",
        "Hint: There is no 'a' in t: check it before, for example if t.a then ... end.",
    ]


@given(st.text(), st.text(), st.integers(-2, 9))
def test_no_message_and_no_source_breaks_it(message: str, source: str, line: int) -> None:
    """Messages and sources are whatever a script makes them."""
    error = ScriptRuntimeError(message, script="s", line=line)
    assert "\x1b" not in explain(error, lambda _name: source).text()


def test_an_expectation_without_its_data_is_an_error_like_others() -> None:
    assert explain(ExpectationFailed("no", script="t", line=1), lambda _name: None).details == ()


def test_known_names_are_those_the_sandbox_has() -> None:
    session = Interactive(nothing_published, Executor(limits_of(Settings())), "shop", print)
    source = (
        "return (function() local names = {} for name, value in pairs(_G) do "
        "for member in pairs(type(value) == 'table' and name ~= '_G' and value or {}) do "
        "names[#names + 1] = name .. '.' .. member end names[#names + 1] = name end "
        "return table.concat(names, ' ') end)()"
    )
    [echo] = session.run(source)
    there = set(echo.text.split()) - {"_G", "_VERSION", "display", "clear_output"}  # the last two are for cells
    assert {name for name in there if "." not in name} == GLOBALS
    assert FUNCTIONS < GLOBALS
    tables = {**SDK, **MEMBERS}
    assert {name for name in there if "." in name} == {f"{t}.{m}" for t, ms in tables.items() for m in ms}


def test_nearest_never_answers_with_the_name_itself() -> None:
    assert nearest("kv", {"kv"}) is None
    assert nearest("Print", {"print"}) == "print"
