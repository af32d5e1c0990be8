"""Dead letters in a notebook: shown, edited, redriven and discarded; scripts and events write the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import parse_cell
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.completion import Completion
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.scope import Scope
from picloud_kernel.session import Session
from tests.integration.letters import attempt, bury

HOSTILE = "<img src=x onerror=alert(1)>'\""


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        for app in ("blog", "other"):
            opened.publisher.publish(
                app, Manifest((Script("mailer", ScriptKind.ENDPOINT, "return 1"),)), author="ada", create=True
            )
        yield opened


@pytest.fixture
def session(platform: Platform) -> Session:
    session = Session(lambda: nullcontext(platform), lambda _: None)
    session.use_app("blog")
    return session


@pytest.fixture
def cell(session: Session) -> Callable[[str], Bundle]:
    """Run a cell of a session on the app `blog`; returns what it shows last."""
    shown: list[Bundle] = []
    runner = Runner(session, Commands(session, server_url=None), shown.append)

    def run(source: str) -> Bundle:
        runner.run(parse_cell(source), "cell 1")
        return shown[-1]

    return run


@pytest.fixture
def say(cell: Callable[[str], Bundle]) -> Callable[[str], str]:
    return lambda source: str(cell(source).data["text/plain"])


def states(platform: Platform) -> list[Any]:
    with platform.database.connection() as connection:
        return connection.execute("SELECT state, decided_by FROM dead_letters ORDER BY failed_at").fetchall()


def test_letters_are_listed_as_a_table_with_nothing_of_them_as_markup(
    platform: Platform, cell: Callable[[str], Bundle], say: Callable[[str], str]
) -> None:
    assert say("%deadletters") == "The app blog has no dead letters."
    letter = bury(platform, "blog", message=f"{HOSTILE}\nsecond\x1b[31m line", trigger=HOSTILE, kind="kv", name="",
                  key=HOSTILE.encode())  # fmt: skip
    bury(platform, "blog", message="x" * 1000, kind="kv", name="", key="k" * 1000)
    bury(platform, "other", message="theirs")
    table = cell("%deadletters").data
    assert len(table["text/plain"].splitlines()) == 3
    assert str(letter) in table["text/plain"]
    assert "second\\u001b[31m line" in table["text/plain"]
    assert "theirs" not in table["text/plain"]
    assert "<img" not in table["text/html"]
    assert table["text/html"].count("&lt;img") == 3
    assert len(table["text/plain"]) < 1000
    assert len(say("%deadletters --text=SECOND").splitlines()) == 2
    assert say("%deadletters nobody") == "The app blog has no such dead letters."
    say(f"%discard {str(letter)[:8]}")
    assert "discarded" in say("%deadletters --state=discarded")
    assert len(say("%deadletters --state=all").splitlines()) == 3
    assert len(say("%deadletters").splitlines()) == 2


def test_one_letter_is_shown_whole(platform: Platform, cell: Callable[[str], Bundle]) -> None:
    letter = bury(
        platform, "blog", kind="docs", name="notes", operation="update", key=HOSTILE, message=HOSTILE,
        payload='{"to": ["<b>ü</b>"]}', before=b'{"old": 1}', script=HOSTILE,
        failures=[
            attempt("first", log=[{"level": "warn", "message": HOSTILE, "fields": '{"a":1}'}], traceback=[HOSTILE]),
            attempt(HOSTILE, script=HOSTILE),
        ],
    )  # fmt: skip
    shown = cell(f"%deadletter {letter}").data
    for part in (
        f"dead letter {letter}", "  trigger ", "docs notes", '      "<b>ü</b>"', '    "old": 1', "attempt 1, 20",
        "script_runtime_error: first", "log warn <img", '{"a":1}', "attempt 2, 20", "version abab",
    ):  # fmt: skip
        assert part in shown["text/plain"]
    assert "<img" not in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    assert "&lt;b&gt;ü" in shown["text/html"]
    assert shown["text/html"].count("<details") == 2


@pytest.mark.parametrize(
    ("payload", "is_json", "says"),
    [
        (b"\xff" * 2**20, False, "(1048576 bytes of binary data)"),
        (b"[" * 50_000, True, "more characters"),
        (b"x" * 2**20, False, "1038576 more characters"),
        (b'"\\u0000"', True, '"\\u0000"'),
        (b'"\\ud800"', True, '"\\ud800"'),
        (b"", False, "input"),
        (None, True, "state"),
    ],
    ids=["binary", "deep", "long", "NUL", "half", "empty", "none"],
)
def test_any_input_is_shown_within_bounds(
    platform: Platform, say: Callable[[str], str], payload: bytes | None, is_json: bool, says: str
) -> None:
    letter = bury(platform, "blog", kind="kv", payload=payload, is_json=is_json)
    text = say(f"%deadletter {letter}")
    assert says in text
    assert len(text.encode()) < 20_000


def test_a_letter_is_redriven_with_another_input_once(platform: Platform, say: Callable[[str], str]) -> None:
    letter = bury(platform, "blog")
    with pytest.raises(InvalidInput, match="more than 64 bits"):
        say(f"%redrive {letter} 99999999999999999999")
    assert states(platform) == [("open", None)]
    assert "on its way to its trigger again, as event" in say(f'%redrive {str(letter)[:9]} {{"to": "ü b"}}')
    with platform.database.connection() as connection:
        assert connection.execute("SELECT payload FROM events").fetchall() == [('{"to": "ü b"}'.encode(),)]
    for magic in ("%redrive", "%discard"):
        with pytest.raises(Conflict, match="has redriven the dead letter"):
            say(f"{magic} {letter}")
    [(state, by)] = states(platform)
    assert state == "redriven"
    assert by.startswith("jupyter:")


def test_many_are_decided_over_and_nothing_of_another_app(platform: Platform, say: Callable[[str], str]) -> None:
    theirs = bury(platform, "other")
    for trigger in "aab":
        bury(platform, "blog", trigger=trigger)
    assert say("%redrive --all a") == "2 dead letters: each is on the way to its trigger again."
    assert say("%redrive --all a") == "No open dead letter is meant: nothing was done."
    assert say("%discard --all --text=LUCK") == "1 dead letter is off the list."
    for magic in ("%deadletter", "%redrive", "%discard"):
        with pytest.raises(NotFound, match="There is no dead letter"):
            say(f"{magic} {theirs}")
    assert states(platform)[0] == ("open", None)


def test_completion_knows_the_letters(platform: Platform, session: Session) -> None:
    letter = str(bury(platform, "blog"))
    session.scratch.run("return 1")

    def offered(line: str) -> list[str]:
        found: list[str] = Completion(session).reply(line, len(line), Scope(line, session.live, lambda _: None))[
            "matches"
        ]
        return found

    assert offered("%deadletter ") == [letter]
    assert offered("%redrive ") == ["--all", letter]
    assert {"--state=discarded", "--kind=dead_letter", "mailer"} <= set(offered("%deadletters "))
    assert offered("%discard --all mail") == offered("%backfill mail") == ["mailer"]
    assert offered("%redrive --all mailer --te") == ["--text="]
    assert offered(f"%redrive {letter} ") == []
