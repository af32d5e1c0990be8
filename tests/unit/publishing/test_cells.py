"""What each kind of cell is read as, and what is said about cells that are not right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput, InvalidRoute
from picloud.model.dead_letter import LetterFilter, LetterState
from picloud.model.release import TestSource
from picloud.model.route import Route, RouteAuth
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import TriggerKind
from picloud.publishing.cells import (
    Call,
    CommandCell,
    Cover,
    DecideAll,
    Discard,
    EndpointCell,
    Graph,
    HelpCell,
    ListLetters,
    Logs,
    ModuleCell,
    Publish,
    PythonCell,
    Redrive,
    Releases,
    Replay,
    Rollback,
    Runs,
    RunTests,
    ScratchCell,
    Show,
    ShowLetter,
    TestCell,
    UseApp,
    parse_cell,
)


@pytest.mark.parametrize(
    "source", ["", "\n\n", "return 1", "-- a comment\nx = 1", "x = 5\n%call GET /", "  %call GET /"]
)
def test_a_cell_without_a_magic_is_scratch(source: str) -> None:
    assert parse_cell(source) == ScratchCell(source)


@pytest.mark.parametrize(
    ("source", "name", "with_source"),
    [
        ("kv.set?", "kv.set", False),
        ("\n  greet:hello?? \n", "greet:hello", True),
        ("?%publish", "%publish", False),
        ("??x", "x", True),
        ("%%module?", "%%module", False),
    ],
)
def test_a_name_with_a_question_mark_asks_for_help(source: str, name: str, with_source: bool) -> None:
    assert parse_cell(source) == HelpCell(name, with_source)


@pytest.mark.parametrize("source", ["?", "??", "x = 'a?'", "f()?", "a b?", "x?\ny?", "x???", "a" * 1_000_000])
def test_nothing_else_asks_for_help(source: str) -> None:
    assert not isinstance(parse_cell(source), HelpCell)


def test_the_text_after_the_magic_line_is_the_script() -> None:
    assert parse_cell("%%module greet\nlocal M = {}\nreturn M") == ModuleCell(
        Script("greet", ScriptKind.MODULE, "local M = {}\nreturn M")
    )


@pytest.mark.parametrize("before", ["", "\n", "# NBVAL_IGNORE_OUTPUT\n", "-- about this cell\n\n"])
def test_blank_lines_and_comments_may_stand_before_a_magic(before: str) -> None:
    assert parse_cell(before + "%%test greets\nassert(true)") == TestCell(TestSource("greets", "assert(true)"))


@pytest.mark.parametrize("line", ['%%test "it greets" --coverage', '%%test --coverage "it greets"'])
def test_a_test_may_ask_for_its_coverage(line: str) -> None:
    assert parse_cell(f"{line}\nassert(true)") == TestCell(TestSource("it greets", "assert(true)"), coverage=True)


def test_an_endpoint_brings_its_route() -> None:
    cell = parse_cell("%%endpoint hello GET /hello/:name auth=token\nreturn 1")
    assert cell == EndpointCell(
        Script("hello", ScriptKind.ENDPOINT, "return 1"), Route("GET", "/hello/:name", "hello", RouteAuth.TOKEN)
    )


@pytest.mark.parametrize("options", ["timing=on", "auth=public timing=on", "timing=on auth=public"])
def test_an_endpoint_may_tell_what_its_runs_use(options: str) -> None:
    cell = parse_cell(f"%%endpoint hello GET /hello {options}\nreturn 1")
    assert isinstance(cell, EndpointCell)
    assert cell.route == Route("GET", "/hello", "hello", timing=True)


@pytest.mark.parametrize("options", ["timing", "timing=off", "auth=token auth=token", "cache=on", "auth=token x"])
def test_an_option_of_an_endpoint_that_is_none_is_refused(options: str) -> None:
    with pytest.raises(InvalidInput, match="Write it as"):
        parse_cell(f"%%endpoint hello GET /hello {options}\nreturn 1")


def test_an_endpoint_is_public_unless_it_says_otherwise() -> None:
    cell = parse_cell("%%endpoint hello GET /it's\nreturn 1")
    assert isinstance(cell, EndpointCell)
    assert cell.route.auth is RouteAuth.PUBLIC
    assert cell.route.pattern == "/it's"


def test_a_name_with_blanks_goes_in_double_quotes() -> None:
    cell = parse_cell('%%endpoint "say hello" GET /\nreturn 1')
    assert isinstance(cell, EndpointCell)
    assert cell.script.name == "say hello"


def test_line_endings_of_windows_are_read_as_new_lines() -> None:
    assert parse_cell("%%test t\r\nassert(1)\r\n") == TestCell(TestSource("t", "assert(1)\n"))


def test_python() -> None:
    assert parse_cell("%%python\nprint(1)") == PythonCell("print(1)")


def test_several_line_magics_share_a_cell() -> None:
    assert parse_cell("%app blog\n\n-- then\n%call get /a?b=1\n%plan  ") == CommandCell(
        (UseApp("blog"), Call("GET", "/a?b=1", None), Show("%plan"))
    )


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ('%call POST /x {"a": [1, 2]}', Call("POST", "/x", b'{"a": [1, 2]}')),
        ("%publish", Publish("", remove=False)),
        ("%publish -m first version", Publish("first version", remove=False)),
        ('%publish -m "it\'s here"', Publish("it's here", remove=False)),
        ("%publish --remove", Publish("", remove=True)),
        ("%publish --remove -m gone", Publish("gone", remove=True)),
        ("%publish -m gone --remove", Publish("gone", remove=True)),
        ('%publish --force --reason "a b" -m c d', Publish("c d", remove=False, force="a b")),
        ("%publish -m c d --force --remove --reason a b", Publish("c d", remove=True, force="a b")),
        ("%rollback 12", Rollback(12)),
        ("%rollback 12 --force --reason it 's old", Rollback(12, "it 's old")),
        ("%releases", Releases(None)),
        ("%releases 3", Releases(3)),
        ('%call --release 3 POST /x {"a": 1}', Call("POST", "/x", b'{"a": 1}', 3)),
        ("%test", RunTests("")),
        ('%test "greets by"', RunTests("greets by")),
        ("%graph", Graph(None)),
        ('%graph "two words"', Graph("two words")),
        ("%coverage", Cover()),
        ("%runs", Runs(None)),
        ('%runs --failed "two words" --limit 3', Runs("two words", failed=True, limit=3)),
        ("%logs", Logs(None)),
        ("%logs 0193f4a8", Logs("0193f4a8")),
        ("%replay 0193f4a8-0000-7000-8000-000000000000", Replay("0193f4a8-0000-7000-8000-000000000000")),
        ("%replay mailer", Replay("mailer")),
        ("%deadletters", ListLetters(LetterFilter())),
        ("%deadletters mails --state=all", ListLetters(LetterFilter(state=None, trigger="mails"))),
        (
            '%deadletters --state=redriven "--text=no luck" --kind=kv --code=c "a b"',
            ListLetters(LetterFilter(LetterState.REDRIVEN, "a b", TriggerKind.KV, "c", "no luck")),
        ),
        (
            '%deadletters --text="no luck" "a b" --code="c"',
            ListLetters(LetterFilter(trigger="a b", code="c", text="no luck")),
        ),
        ('%discard --all --text="\'s"', DecideAll(False, LetterFilter(text="'s"))),
        ("%deadletter 0193f4a8", ShowLetter("0193f4a8")),
        ("%redrive 0193f4a8-0000-7000-8000-000000000000", Redrive("0193f4a8-0000-7000-8000-000000000000")),
        ('%redrive 0193f4a8  {"a b": 1} ', Redrive("0193f4a8", b'{"a b": 1}')),
        ("%redrive 0193f4a8 null", Redrive("0193f4a8", b"null")),
        ("%redrive --all", DecideAll(True, LetterFilter())),
        ("%redrive --all mails --code=x", DecideAll(True, LetterFilter(trigger="mails", code="x"))),
        ("%discard 0193F4A8", Discard("0193F4A8")),
        ("%discard --all", DecideAll(False, LetterFilter())),
        ("%help", Show("%help")),
    ],
)
def test_line_magics(line: str, command: object) -> None:
    assert parse_cell(line) == CommandCell((command,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("%%modul greet", "There is no magic '%%modul': did you mean '%%module'?"),
        ("%module greet", "There is no magic '%module': did you mean '%%module'?"),
        ("%%call GET /", "There is no magic '%%call': did you mean '%call'?"),
        ("%Publish", "There is no magic '%Publish': did you mean '%publish'?"),
        ("%xyzzy", "There is no magic '%xyzzy': a cell of Lua code needs none. '%help' lists them all."),
        ("%", "There is no magic '%'"),
        ("%%%", "There is no magic '%%'"),
        ("%%module", "Write it as: %%module NAME"),
        ("%%module a b", "Write it as: %%module NAME"),
        ("%%module 1a", "cannot name a module"),
        ("%%module json", "is the name of an SDK namespace"),
        ("%%module größe", "cannot name a module"),
        ("%%endpoint hello GET", "Write it as: %%endpoint NAME METHOD PATH [auth=public|token] [timing=on]"),
        ("%%endpoint hello GET / token", "Write it as: %%endpoint"),
        ('%%endpoint "" GET /', "cannot name an endpoint"),
        ("%%endpoint a/b GET /", "cannot name an endpoint"),
        ("%%test", "Write it as: %%test NAME [--coverage]"),
        ("%%test --coverage", "Write it as: %%test NAME [--coverage]"),
        ("%%test a --coverage --coverage", "Write it as: %%test NAME [--coverage]"),
        ("%%test a --cover", "Write it as: %%test NAME [--coverage]"),
        ("%coverage greets", "Write it as: %coverage"),
        ("%%coverage", "did you mean '%coverage'?"),
        ("%%test a/b", "cannot name a test"),
        ("%%python 3", "Write it as: %%python"),
        ("%app", "Write it as: %app NAME"),
        ("%app My Blog", "Write it as: %app NAME"),
        ("%app Blog", "cannot name an app"),
        ("%call /hello", "Write it as: %call [--release NUMBER] METHOD PATH [JSON]"),
        ("%call GET hello", "starting with '/'"),
        ("%call FETCH /hello", "'FETCH' is not a method"),
        ("%call POST / {a: 1}", "is not JSON"),
        ("%call POST / " + "[" * 100_000, "is not JSON"),
        ("%publish now", "Write it as: %publish [-m MESSAGE]"),
        ("%publish -m", "Write it as: %publish [-m MESSAGE]"),
        ("%publish --force", "needs a reason"),
        ("%publish --reason x", "needs a reason"),
        ("%publish -m a -m b --force --reason", "Write it as: %publish"),
        ("%publish --remove --remove", "Write it as: %publish"),
        ("%rollback 1 --remove", "Write it as: %rollback NUMBER"),
        ("%releases x", "Write it as: %releases [NUMBER]"),
        ("%call --release x GET /", "Write it as: %call"),
        ("%call --release 1", "Write it as: %call"),
        ("%rollback", "Write it as: %rollback NUMBER"),
        ("%rollback last", "Write it as: %rollback NUMBER"),
        ("%rollback 0", "Write it as: %rollback NUMBER"),
        ("%plan all", "Write it as: %plan"),
        ("%runs a b", "Write it as: %runs [NAME] [--failed] [--limit N] (a name with blanks goes in double quotes)"),
        ("%runs --limit", "Write it as: %runs"),
        ("%runs --limit 0", "Write it as: %runs"),
        ("%runs --good", "Write it as: %runs"),
        ("%runs --limit 501", "shows 500 runs at most"),
        ("%runs a/b", "neither a run's id nor the name of a script or trigger"),
        ("%logs a b", "Write it as: %logs [RUN|NAME]"),
        ("%replay", "Write it as: %replay RUN|NAME"),
        ("%replay a\0", "neither a run's id nor the name"),
        ("%deadletters a b", "Write it as: %deadletters [TRIGGER]"),
        ("%deadletters --all", "Write it as: %deadletters [TRIGGER]"),
        ("%deadletters --color=red", "Write it as: %deadletters [TRIGGER]"),
        ("%deadletters --state=gone", "--state= is one of open, redriven, discarded, all"),
        ("%deadletters --kind=x", "--kind= is one of kv, docs, cron"),
        ('%deadletters "a\0b"', "must be text without NUL"),
        ("%deadletters \ud800", "must be text without NUL"),
        ("%discard --all --text=", "must not be empty"),
        ("%discard --all a b", "a name with blanks goes in double quotes"),
        ('%discard --all ""', "must not be empty"),
        ("%deadletter", "Write it as: %deadletter ID"),
        ("%redrive", "Write it as: %redrive ID [JSON]"),
        ("%redrive 0193f4a", "'0193f4a' is no id of a dead letter"),
        ("%redrive 0193f4ag", "is no id of a dead letter"),
        ("%redrive 0193f4a8 {a}", "is not JSON"),
        ("%redrive --all --state=all", "Write it as: %redrive ID"),
        ("%discard 0193f4a8 1", "Write it as: %discard ID"),
        ("%app blog\nx = 1", "'x = 1' stands among line magics"),
        ("%app blog\n%%module greet", "'%%module' takes the whole cell"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(source: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_cell(source)
    assert sentence in caught.value.message


def test_an_invalid_route_keeps_its_code() -> None:
    with pytest.raises(InvalidRoute):
        parse_cell("%%endpoint hello get /hello")
    with pytest.raises(InvalidRoute):
        parse_cell("%%endpoint hello GET hello")
    with pytest.raises(InvalidRoute):
        parse_cell("%%endpoint hello GET /hello auth=none")


@given(
    st.text(alphabet=st.sampled_from("%{}\"' \n\rabmodulecapn/:*=-1#\x00ü\ud800"), max_size=60) | st.text(max_size=60)
)
def test_any_text_gives_a_cell_or_a_sentence(source: str) -> None:
    try:
        parse_cell(source)
    except InvalidInput as error:
        assert error.message
