"""The gate and the conflict of a publish: what is refused, what is said, what may be forced, what stays untouched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.errors import Conflict, InvalidInput, NotFound, TestsFailed
from picloud.model.release import Manifest, TestSource
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from tests.integration.test_publish_and_resolve import GREET, HELLO, WELCOME, app_of, endpoint, get, module, publish


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=SecretStr(database_url))


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_platform(settings) as opened:
        yield opened


BROKEN = app_of(module("greet", GREET.replace("hello ", "hi ")), endpoint("hello", HELLO), tests=WELCOME.tests)


def releases(platform: Platform, app: str = "welcome") -> list[int]:
    return [release.number for release in platform.releases.list(platform.apps.get(app).id)]


def test_a_failure_names_test_cell_line_values_and_what_it_reaches(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    places = {"test greets": "cell 4 of a.ipynb"}
    with pytest.raises(TestsFailed) as caught:
        platform.publisher.publish("welcome", BROKEN, author="test", places=places)
    assert caught.value.message == (
        "1 of 1 tests failed; nothing was published.\n"
        'test greets (cell 4 of a.ipynb), line 1: expected "hi ada" to equal "hello ada"; '
        "it reaches greet, which changed"
    )
    assert [(f.test, f.line, f.at) for f in caught.value.failures] == [("greets", 1, None)]


def test_every_failure_is_listed_also_one_in_a_module(platform: Platform) -> None:
    tests = (
        TestSource("deep", '\nlocal m = require("m")\nm.f()'),
        TestSource("good", "assert(true)"),
        TestSource("own", "\n\nassert(false, 'no')"),
    )
    manifest = app_of(module("m", "return { f = function()\nerror('boom') end }"), tests=tests)
    with pytest.raises(TestsFailed) as caught:
        publish(platform, "new", manifest)
    assert caught.value.message.splitlines() == [
        "2 of 3 tests failed; nothing was published.",
        "test deep, line 3 (at m:2): boom; it reaches m, which changed",
        "test own, line 3: no",
    ]


@pytest.mark.parametrize("published", [True, False])
def test_what_a_gate_test_writes_is_undone(platform: Platform, published: bool) -> None:
    if published:
        publish(platform, "welcome", WELCOME)
    writes = TestSource(
        "writes", 'kv.set("k", 1) docs.insert("c", {a = 1}) queue.send("q", {b = 2}) expect(kv.get("k")):equals(1)'
    )
    publish(platform, "welcome", replace(WELCOME, tests=(*WELCOME.tests, writes)))
    with platform.database.connection() as connection:
        for table in ("kv_entries", "documents", "events"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
        assert connection.execute("SELECT name FROM apps").fetchall() == [("welcome",)]


def test_endless_tests_end_at_one_limit_for_all(settings: Settings) -> None:
    tests = tuple(TestSource(f"t{n:04}", "while true do end") for n in range(1000))
    short = settings.model_copy(update={"gate_timeout_s": 0.3})
    with open_platform(short) as platform, pytest.raises(TestsFailed) as caught:
        publish(platform, "welcome", replace(WELCOME, tests=tests))
    lines = caught.value.message.splitlines()
    assert lines[0] == "1000 of 1000 tests failed; nothing was published."
    assert "did not run: all tests together may take 0.3 s (PICLOUD_GATE_TIMEOUT_S)" in lines[-1]
    assert len(lines) < 60
    assert len(caught.value.failures) == 1000


def test_a_forced_publish_is_live_and_keeps_why_and_what_failed(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    published = platform.publisher.publish("welcome", BROKEN, author="test", force=" the test is wrong ")
    assert get(platform, "welcome", "/hello/ada").body == b"hi ada"
    stored = platform.releases.get(platform.apps.get("welcome").id, 2)
    assert stored == published.release
    assert stored.forced is not None
    assert stored.forced.reason == "the test is wrong"
    assert [(f.test, f.line) for f in stored.forced.failures] == [("greets", 1)]
    assert [r.forced is not None for r in platform.releases.list(platform.apps.get("welcome").id)] == [True, False]
    publish(platform, "welcome", WELCOME)
    with pytest.raises(TestsFailed):
        platform.publisher.rollback("welcome", 2, author="test")
    again = platform.publisher.rollback("welcome", 2, author="test", force="it was right")
    assert again.release.forced is not None
    assert again.release.forced.reason == "it was right"


def test_force_needs_a_reason_and_is_not_kept_when_nothing_failed(platform: Platform) -> None:
    for reason in ("", " \n", "a\0b"):
        with pytest.raises(InvalidInput):
            platform.publisher.publish("welcome", WELCOME, author="test", create=True, force=reason)
    with pytest.raises(NotFound):
        platform.apps.get("welcome")
    published = platform.publisher.publish("welcome", WELCOME, author="test", create=True, force="in a hurry")
    assert published.release.forced is None


def test_force_does_not_let_through_what_is_not_valid(platform: Platform) -> None:
    with pytest.raises(InvalidInput):
        platform.publisher.publish("x", app_of(endpoint("a", "= =")), author="t", create=True, force="yes")


def test_a_publish_on_an_older_release_is_told_who_changed_what(platform: Platform) -> None:
    assert platform.publisher.plan("welcome", WELCOME).base == 0
    publish(platform, "welcome", WELCOME)
    assert platform.publisher.plan("welcome", WELCOME).base == 1
    theirs = app_of(module("greet", GREET + " -- theirs"), endpoint("hello", HELLO), tests=WELCOME.tests)
    platform.publisher.publish("welcome", theirs, author="cli:bob")
    mine = app_of(module("greet", GREET), endpoint("hello", HELLO + " -- mine"))
    with pytest.raises(Conflict) as caught:
        platform.publisher.publish("welcome", mine, author="ada", base=1)
    assert "release 2 by cli:bob changed module greet." in caught.value.message
    assert "publish again" in caught.value.message
    assert releases(platform) == [2, 1]
    assert platform.publisher.publish("welcome", mine, author="ada", base=2).release.number == 3
    with pytest.raises(Conflict, match="release 9"):
        platform.publisher.publish("welcome", WELCOME, author="ada", base=9)
    with pytest.raises(Conflict):
        platform.publisher.publish("new", WELCOME, author="ada", base=1, create=True)
    assert platform.publisher.publish("new", WELCOME, author="ada", base=0, create=True).created_app


def test_of_publishes_at_once_the_losers_are_told_who_won(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    barrier, won, lost = threading.Barrier(4), list[int](), list[str]()

    def compete(number: int) -> None:
        def change(_live: Manifest) -> Manifest:
            barrier.wait()
            return app_of(module("greet", GREET), endpoint("hello", HELLO + f" -- {number}"))

        try:
            platform.publisher.edit("welcome", change, author=f"author {number}")
            won.append(number)
        except Conflict as error:
            lost.append(error.message)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 3
    assert all(f"release 2 by author {won[0]} changed endpoint hello, test greets" in message for message in lost)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE releases SET message = 'x'",
        "UPDATE releases SET number = number + 10",
        "DELETE FROM releases",
        "DELETE FROM releases WHERE number = 1",
        "TRUNCATE releases",
    ],
)
def test_the_database_refuses_to_change_a_release(platform: Platform, statement: str) -> None:
    publish(platform, "welcome", WELCOME)
    with pytest.raises(Exception, match="never changes"), platform.database.connection() as connection:
        connection.execute(statement.encode())
    assert releases(platform) == [1]
    platform.apps.delete("welcome")
    publish(platform, "welcome", WELCOME)
    assert releases(platform) == [1]


def test_a_plan_says_what_each_test_is_known_to_reach(platform: Platform) -> None:
    tests = (
        TestSource("both", 'require("greet") call("GET", "/hello/ada?x=1")'),
        TestSource("by call", 'call("get", "/hello/ada")'),
        TestSource("by require", 'assert(require("greet"))'),
        TestSource("computed", 'local p = "/hello" call("GET", p) call("GET", "/none") call("PUT", "/hello")'),
    )
    publish(platform, "welcome", replace(WELCOME, tests=tests))
    changed = app_of(module("greet", GREET + " -- x"), endpoint("hello", HELLO), tests=tests)
    plan = platform.publisher.plan("welcome", changed)
    assert {test.name: test.reaches for test in plan.tests} == {
        "both": ("greet",),
        "by call": ("greet",),
        "by require": ("greet",),
        "computed": (),
    }


def test_differences_of_releases(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    platform.publisher.publish("welcome", replace(BROKEN, tests=()), author="t")
    app = platform.apps.get("welcome").id
    first = platform.publisher.difference(app, 1)
    assert [change.entry for change in first][:2] == ["module greet", "endpoint hello"]
    assert all(line.startswith(("@@", "+")) for change in first for line in change.lines)
    second = platform.publisher.difference(app, 2)
    assert [change.entry for change in second] == ["module greet", "test greets"]
    assert second[0].lines == (
        "@@ -1,3 +1,3 @@",
        " local M = {}",
        "-function M.hello(name) return 'hello ' .. name end",
        "+function M.hello(name) return 'hi ' .. name end",
        " return M",
    )
    with pytest.raises(NotFound):
        platform.publisher.difference(app, 3)
