"""`picloud dead-letter` and `picloud trigger`: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from tests.integration.letters import attempt, bury

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Done

Picloud = Callable[..., "Done"]
SCRIPTS = (Script("mailer", ScriptKind.ENDPOINT, "return 1"), Script("tools", ScriptKind.MODULE, "return {}"))


@pytest.fixture
def platform(picloud: Picloud, database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path / "home", database_url=SecretStr(database_url))) as opened:
        opened.publisher.publish("blog", Manifest(SCRIPTS), author="ada", create=True)
        opened.publisher.publish("other", Manifest(SCRIPTS[:1]), author="ada", create=True)
        yield opened


def stored(platform: Platform, statement: Any) -> list[tuple[Any, ...]]:
    with platform.database.connection() as connection:
        return connection.execute(statement).fetchall()


# triggers --------------------------------------------------------------------------------------------------------


def test_a_trigger_is_put_in_the_words_of_its_line_shown_and_deleted(picloud: Picloud, platform: Platform) -> None:
    words = ("nightly", "cron", "0 3 * * *", "--script", "mailer", "--app", "blog", "tz=Europe/Berlin", "retries=1")
    assert picloud("trigger", "put", *words).out == "Release 2 of blog is live: + trigger nightly.\n"
    assert picloud("trigger", "put", *words).out == "Release 2 of blog is live: nothing changes.\n"
    put = picloud("trigger", "put", "clean", "dead_letter", "--script", "mailer", "--app", "blog", "--json").json()
    assert (put["app"], put["release"], put["trigger"]["kind"]) == ("blog", 3, "dead_letter")
    listed = picloud("trigger", "list", "--app", "blog", "--json").json()
    assert [found["name"] for found in listed] == ["clean", "nightly"]
    shown = picloud("trigger", "show", "nightly", "--app", "blog", "--json").json()
    assert (shown["tz"], shown["retries"], len(shown["next"]), shown["script"]) == ("Europe/Berlin", 1, 5, "mailer")
    assert 'nightly  cron "0 3 * * *" tz=Europe/Berlin  mailer' in picloud("trigger", "list", "--app", "blog").out
    assert picloud("trigger", "show", "nightly", "--app", "blog").out.count("next ") == 5
    gone = picloud("trigger", "delete", "nightly", "--app", "blog", "--json").json()
    assert gone == {"app": "blog", "release": 4, "deleted": "nightly"}
    assert picloud("trigger", "delete", "clean", "--app", "blog").out == "Release 5 of blog is live: - trigger clean.\n"
    assert picloud("trigger", "list", "--app", "blog", "--json").json() == []
    [release, *_] = stored(platform, "SELECT author, message FROM releases ORDER BY number DESC")
    assert release[0].startswith("cli:")
    assert release[1] == "Delete trigger clean"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ("put", "t", "topic", "x", "--script", "tools"),
            1,
            "'tools' is a module: a trigger runs an endpoint's script.",
        ),
        (("put", "t", "topic", "x", "--script", "nobody"), 1, "The app has no script 'nobody'."),
        (("put", "t", "corn", "x", "--script", "mailer"), 1, "'corn' is no kind of trigger"),
        (("put", "t", "topic", "--script", "mailer"), 1, "say a topic after 'topic'"),
        (("put", "t", "topic", "x", "retries=x", "--script", "mailer"), 1, "retries='x' is not a whole number"),
        (("put", "a/b", "topic", "x", "--script", "mailer"), 1, "cannot name a trigger"),
        (("put", "t", "topic", "x", "more", "--script", "mailer"), 2, "OPTION=VALUE"),
        (("put", "t", "topic", "x"), 2, "--script"),
        (("put", "t"), 2, "KIND"),
        (("show", "none"), 1, "There is no trigger 'none'."),
        (("delete", "none"), 1, "There is no trigger 'none'."),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, tuple) else "",
)
def test_a_trigger_that_cannot_be_is_refused(
    picloud: Picloud, platform: Platform, words: tuple[str, ...], code: int, says: str
) -> None:
    done = picloud("trigger", *words, "--app", "blog")
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert platform.publisher.live("blog").triggers == ()


def test_a_script_of_another_app_or_an_app_that_is_not_there_is_refused(picloud: Picloud, platform: Platform) -> None:
    platform.publisher.publish("other", Manifest((Script("theirs", ScriptKind.ENDPOINT, "return 1"),)), author="ada")
    words = ("trigger", "put", "t", "topic", "x", "--script", "theirs", "--app")
    assert picloud(*words, "blog").err == "picloud: The app has no script 'theirs'.\n"
    for command in (words, ("trigger", "list", "--app"), ("dead-letter", "list", "--app")):
        done = picloud(*command, "nobody")
        assert (done.code, done.err) == (1, "picloud: There is no app 'nobody'.\n")


def test_a_trigger_cannot_rule_the_terminal_that_shows_it(picloud: Picloud, platform: Platform) -> None:
    pattern = "\x1b[2J\x9b31m*\nforged"
    picloud("trigger", "put", "t", "kv", pattern, "--script", "mailer", "--app", "blog")
    for command in (("show", "t"), ("list",), ("list", "--json")):
        out = picloud("trigger", *command, "--app", "blog").out
        assert not {"\x1b", "\x9b"} & set(out)
        assert "\nforged" not in out
    [found] = picloud("trigger", "list", "--app", "blog", "--json").json()
    assert found["source"] == pattern


# dead letters ----------------------------------------------------------------------------------------------------


def test_letters_are_listed_and_shown(picloud: Picloud, platform: Platform) -> None:
    used = {"wall_ms": 1.0, "cpu_ms": 1.0, "peak_bytes": 1024, "calls": 0, "calls_ms": 0.0, "cached": 1, "compiled": 0,
            "compiled_bytes": 0, "compile_ms": 0.0, "dropped": 0}  # fmt: skip
    hostile = "\x1b[31mred\nanother line\u202e\x9b31m"
    letter = str(bury(platform, "blog", message=hostile, payload='{"to": "ü"}', failures=[attempt(hostile, used=used)]))
    bury(platform, "blog", trigger="b", failed_at="2026-01-01T00:00:00Z")
    listed = picloud("dead-letter", "list", "--app", "blog", "--trigger", "watch", "--json").json()
    assert [found["id"] for found in listed["dead_letters"]] == [letter]
    assert listed["cursor"] is None
    table = picloud("dead-letter", "list", "--app", "blog")
    assert len(table.out.splitlines()) == 3
    page = picloud("dead-letter", "list", "--app", "blog", "--limit", "1")
    cursor = page.err.rsplit(" ", 1)[1].strip()
    assert "no luck" in picloud("dead-letter", "list", "--app", "blog", "--cursor", cursor).out
    for query in (("--failed-before", "2026-01-02"), ("--text", "LUCK"), ("--kind", "queue", "--trigger", "b")):
        assert len(picloud("dead-letter", "list", "--app", "blog", *query, "--json").json()["dead_letters"]) == 1
    shown = picloud("dead-letter", "show", letter[:8], "--app", "blog")
    assert "\x1b" not in shown.out + table.out
    assert "\u202e" not in shown.out + table.out
    for part in ('    "to": "ü"', "mailer:3: in the main chunk", "log info begins", "used 1.0 ms", "in mailer, line 3"):
        assert part in shown.out
    printed = picloud("dead-letter", "show", letter, "--app", "blog", "--json")
    assert not {"\x1b", "\x9b", "\u202e"} & set(printed.out)
    whole = printed.json()
    assert (whole["input"], whole["failures"][0]["message"]) == ({"to": "ü"}, hostile)


def test_a_letter_is_redriven_with_another_input_or_discarded_once(
    picloud: Picloud, platform: Platform, tmp_path: Path
) -> None:
    first, second, third = (str(bury(platform, "blog")) for _ in range(3))
    file = tmp_path / "input"
    file.write_text('{"n": 2}')
    command = ("dead-letter", "redrive", "--app", "blog")
    done = picloud(*command, first, "--input", str(file), "--json").json()
    assert done["id"] == first
    assert picloud(*command, second, "--input", str(file), "--bytes").code == 0
    assert stored(platform, "SELECT is_json, payload FROM events ORDER BY number") == [
        (True, b'{"n": 2}'), (False, b'{"n": 2}')
    ]  # fmt: skip
    again = picloud(*command, first)
    assert again.code == 1
    assert "has redriven the dead letter" in again.err
    discarded = picloud("dead-letter", "discard", third[:10], "--app", "blog", "--json")
    assert discarded.json() == {"id": third}
    assert picloud("dead-letter", "discard", third, "--app", "blog").code == 1
    file.write_text("{")
    assert "cannot be read" in picloud(*command, str(bury(platform, "blog")), "--input", str(file)).err


def test_all_that_are_meant_are_decided_over_when_somebody_says_yes(picloud: Picloud, platform: Platform) -> None:
    for trigger in "aab":
        bury(platform, "blog", trigger=trigger)
    command = ("dead-letter", "redrive", "--all", "--app", "blog")
    asked = picloud(*command)
    assert (asked.code, asked.out) == (1, "")
    assert "Redrive 3 dead letters?" in asked.err
    assert "Nobody answered, so nothing was done: --yes" in asked.err
    assert picloud(*command, "--trigger", "a", "--yes", "--json").json() == {"redriven": 2}
    assert picloud(*command, "--trigger", "a", "--json").json() == {"redriven": 0}
    assert picloud("dead-letter", "discard", "--all", "--app", "blog", "--yes").out == "Discarded: 1.\n"


@pytest.mark.parametrize("answer", [True, False])
def test_an_answer_is_about_the_letters_that_were_counted(
    picloud: Picloud, platform: Platform, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    bury(platform, "blog")
    asked: list[str] = []

    def think(question: str, **_: object) -> bool:
        bury(platform, "blog", message="fails while somebody thinks")
        asked.append(question)
        return answer

    monkeypatch.setattr("click.confirm", think)
    done = picloud("dead-letter", "discard", "--all", "--app", "blog")
    assert asked == ["Discard 1 dead letter?"]
    assert (done.code, done.out) == ((0, "Discarded: 1.\n") if answer else (1, ""))
    states = stored(platform, "SELECT state FROM dead_letters ORDER BY failed_at")
    assert states == [("discarded" if answer else "open",), ("open",)]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("redrive",), 2, "either the ID of a letter or --all"),
        (("discard", "0193f4a8", "--all"), 2, "either the ID of a letter or --all"),
        (("discard", "0193f4a8", "--trigger", "x"), 2, "Filters go with --all"),
        (("discard", "0193f4a8", "--text", ""), 2, "Filters go with --all"),
        (("discard", "--all", "--yes", "--text", ""), 1, "must not be empty"),
        (("redrive", "--all", "--yes", "--code", ""), 1, "must not be empty"),
        (("redrive", "0193f4a8", "--bytes"), 2, "--bytes goes with --input"),
        (("redrive", "--all", "--input", "-"), 2, "--input is for one letter"),
        (("redrive", "0193f4a8", "--input", "/none"), 2, "--input"),
        (("list", "--failed-after", "soon"), 2, "'soon' is no time"),
        (("list", "--state", "gone"), 2, "--state"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("list", "--cursor", "x"), 1, "the cursor is none"),
        (("list", "--text", "\udcff"), 1, "text without NUL"),
        (("show", "0193f4a8"), 1, "There is no dead letter '0193f4a8'."),
        (("redrive", "x"), 1, "'x' is no id of a dead letter"),
        (("discard", "0193f4a8"), 1, "There is no dead letter"),
    ],
    ids=lambda value: " ".join(value[:3]).encode("ascii", "replace").decode() if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said(
    picloud: Picloud, platform: Platform, words: tuple[str, ...], code: int, says: str
) -> None:
    bury(platform, "other")
    done = picloud("dead-letter", *words, "--app", "blog")
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert json.dumps(stored(platform, "SELECT state FROM dead_letters")) == '[["open"]]'
