"""`%graph` on a real database: drafts in front of what is live, tests included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.errors import NotFound
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import Graph
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.session import Session

GREET = Script("greet", ScriptKind.MODULE, "return {}")
HELLO = Script("hello", ScriptKind.ENDPOINT, 'local greet = require("greet") return 1')
ROUTE = Route("GET", "/hello", "hello")
TEST = TestSource("greets", 'assert(require("greet"))')

Shown = Callable[[str | None], list[str]]


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


@pytest.fixture
def session(platform: Platform) -> Session:
    """A new session on an app that is not there yet."""
    session = Session(lambda: nullcontext(platform), lambda _: None)
    session.use_app("blog")
    return session


@pytest.fixture
def shown(session: Session) -> Shown:
    """The lines of `%graph` as text."""
    commands = Commands(session, server_url=None)

    def lines(name: str | None = None) -> list[str]:
        content: str = commands.run(Graph(name)).data["text/plain"]
        return content.split("\n")

    return lines


def publish(platform: Platform) -> None:
    platform.publisher.publish("blog", Manifest((GREET, HELLO), (ROUTE,), (TEST,)), author="ada", create=True)


def test_what_is_live_is_shown_with_its_tests_in_a_session_that_defined_nothing(
    platform: Platform, shown: Shown
) -> None:
    publish(platform)
    assert shown(None) == ["GET /hello", "  endpoint hello", "    module greet", "test greets", "  module greet"]
    assert shown("greet") == shown(None)
    assert shown("hello") == ["GET /hello", "  endpoint hello"]


def test_a_draft_is_marked_until_it_is_live(platform: Platform, session: Session, shown: Shown) -> None:
    for script, routes in ((GREET, ()), (HELLO, (ROUTE,))):
        session.app.define(script, routes)
    session.app.define_test(TEST)
    assert shown(None) == [
        "GET /hello (draft)",
        "  endpoint hello (draft)",
        "    module greet (draft)",
        "test greets (draft)",
        "  module greet (draft)",
    ]
    publish(platform)
    assert "(draft)" not in "\n".join(shown(None))


def test_a_draft_stands_in_front_of_what_is_live(platform: Platform, session: Session, shown: Shown) -> None:
    publish(platform)
    session.app.define(Script("greet", ScriptKind.MODULE, 'return { tone = require("tone") }'))
    session.app.define_test(TestSource("greets", "assert(true)"))
    assert shown(None) == [
        "GET /hello",
        "  endpoint hello",
        "    module greet (draft)",
        "      tone: no such module",
        "test greets (draft)",
    ]


def test_a_name_that_no_script_has_is_an_error_that_says_so(shown: Shown) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        shown("nobody")


def test_an_app_that_has_nothing_says_how_to_begin(shown: Shown) -> None:
    assert shown(None)[0].startswith("No scripts yet")
