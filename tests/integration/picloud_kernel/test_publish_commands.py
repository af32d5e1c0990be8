"""Planning and publishing in a session: what is shown, forced and refused when somebody else publishes as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.errors import Conflict, InvalidInput, NotFound, TestsFailed
from picloud.model.release import Manifest
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import parse_cell
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session

Cell = Callable[[str], str]
MODULE = "%%module greet\nreturn { hi = function(n) return '<hi> ' .. n end }"
ENDPOINT = '%%endpoint hello GET /hello\nreturn require("greet").hi("ada")'
TEST = '%%test greets\nexpect(call("GET", "/hello").body):equals("<hi> ada")'


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


@pytest.fixture
def shown() -> list[Bundle]:
    return []


@pytest.fixture
def cell(platform: Platform, shown: list[Bundle]) -> Cell:
    """Run a cell of a session on the app `blog`; returns what it shows last, as text."""
    session = Session(lambda: nullcontext(platform), lambda _: None)
    session.use_app("blog")
    runner = Runner(session, Commands(session, server_url=None), shown.append)

    def run(source: str) -> str:
        runner.run(parse_cell(source), "cell 1")
        return str(shown[-1].data["text/plain"])

    return run


def publish_all(cell: Cell) -> str:
    for source in (MODULE, ENDPOINT, TEST):
        cell(source)
    return cell("%publish")


def test_a_plan_shows_tests_and_differences_the_same_each_time(cell: Cell, shown: list[Bundle]) -> None:
    publish_all(cell)
    cell(MODULE.replace("<hi>", "<b>bye</b>"))
    assert cell("%plan") == cell("%plan")
    assert cell("%plan").split("\n") == [
        "  ~ module greet",
        "  > endpoint hello, which requires what changes",
        "  > route GET /hello, which requires what changes",
        "  ? test greets, which reaches greet",
        "",
        "module greet",
        "@@ -1,1 +1,1 @@",
        "-return { hi = function(n) return '<hi> ' .. n end }",
        "+return { hi = function(n) return '<b>bye</b> ' .. n end }",
    ]
    page = shown[-1].data["text/html"]
    assert "<details><summary>module greet" in page
    assert "&lt;b&gt;bye&lt;/b&gt;" in page
    assert "<b>" not in page


def test_a_huge_difference_is_cut(cell: Cell) -> None:
    cell("%%module big\nreturn {\n" + "\n".join(f'  "{n} {"x" * 2000}",' for n in range(100)) + "\n}")
    cell("%%module long\nreturn {\n" + "\n".join(f'  "{n}",' for n in range(9000)) + "\n}")
    plan = cell("%plan")
    assert len(plan) < 200_000
    assert "more lines" in plan
    assert "more characters" in plan


def test_a_forced_publish_says_what_failed(cell: Cell) -> None:
    publish_all(cell)
    cell(MODULE.replace("<hi>", "bye"))
    with pytest.raises(TestsFailed, match=r"test greets, line 1: expected .*; it reaches greet, which changed"):
        cell("%publish")
    assert "  ! test greets failed: expected" in cell('%publish --force --reason "the test is old"')
    assert "(forced: the test is old)" in cell("%releases")
    one = cell("%releases 2")
    assert "! test greets failed" in one
    assert "-return { hi = function(n) return '<hi> ' .. n end }" in one
    with pytest.raises(NotFound):
        cell("%releases 9")


def test_what_somebody_else_published_in_between_is_not_overwritten(cell: Cell, platform: Platform) -> None:
    publish_all(cell)
    live = platform.publisher.live("blog")
    cell(MODULE + " -- mine")
    cell("%plan")
    theirs = Manifest(live.scripts, (), live.tests[:0])
    platform.publisher.publish("blog", theirs, author="cli:bob", force="x")
    with pytest.raises(Conflict, match="release 2 by cli:bob changed route GET /hello, test greets"):
        cell("%publish")
    with pytest.raises(Conflict):
        cell("%publish --remove --force --reason now")
    assert "+ route GET /hello" in cell("%plan")
    assert "Release 3" in cell("%publish")


def test_a_session_that_has_not_looked_yet_publishes_onto_what_is_live(cell: Cell, platform: Platform) -> None:
    for source in (MODULE, ENDPOINT, TEST):
        cell(source)
    platform.publisher.publish("blog", Manifest(), author="cli:bob", create=True)
    assert "Release 2" in cell("%publish")


def test_an_old_release_is_called_without_the_drafts(cell: Cell) -> None:
    publish_all(cell)
    cell(MODULE.replace("<hi>", "bye"))
    cell("%publish --force --reason x")
    cell(MODULE.replace("<hi>", "draft"))
    assert "draft ada" in cell("%call GET /hello")
    assert "<hi> ada" in cell("%call --release 1 GET /hello")
    assert "bye ada" in cell("%call --release 2 GET /hello")
    with pytest.raises(NotFound, match="no release 9"):
        cell("%call --release 9 GET /hello")
    assert "Release 1 is published again" in cell("%rollback 1")
    assert "bye ada" in cell("%call --release 2 GET /hello")


def test_a_plan_tells_when_triggers_retry_and_tick_next(cell: Cell) -> None:
    cell('%%trigger nightly cron "0 3 * * *" tz=Europe/Berlin jitter=0\nreturn 1')
    cell("%%trigger mailer queue mails retries=0\nreturn 1")
    plan = cell("%plan").split("\n")
    assert "  trigger nightly: retries at +5 s, +15 s, +35 s, then a dead letter" in plan
    assert "  trigger mailer: no retry, a dead letter at once" in plan
    [ticks] = [line for line in plan if line.startswith("  trigger nightly: ticks ")]
    moments = [datetime.fromisoformat(text) for text in ticks.removeprefix("  trigger nightly: ticks ").split(", ")]
    assert len(moments) == 5
    assert all(moment.hour == 3 and moment.utcoffset() for moment in moments)
    assert cell("%publish").endswith("+ trigger nightly")  # no URLs, and no room for them
    assert "Nothing changes" in cell("%plan")
    cell('%%trigger nightly cron "0 4 * * *" tz=Europe/Berlin\nreturn 1')
    changed = cell("%plan")
    assert "trigger nightly: ticks" in changed
    assert "trigger mailer:" not in changed


def test_ticks_are_run_after_all(cell: Cell) -> None:
    cell('%%trigger "every hour" cron "0 * * * *" tz=Asia/Tokyo\nreturn 1')
    cell("%publish")
    line = '%backfill "every hour" 2025-01-01T00:00:00Z 2025-01-01T01:30:00Z'
    ticks = ["2025-01-01 09:00:00+09:00", "2025-01-01 10:00:00+09:00"]
    assert cell(f"{line} --dry-run").split("\n") == [*ticks, "2 ticks would be run."]
    assert cell(line).split("\n") == [*ticks, "2 ticks will be run."]
    assert cell(line) == "0 ticks will be run, 2 ran before: --again runs those, too."
    assert cell(f"{line} --again --dry-run").endswith("2 ticks would be run.")
    for wrong in ("%backfill", f"{line} --no", f"{line} 1", f"{line} --again --again", "%backfill x now then"):
        with pytest.raises(InvalidInput):
            cell(wrong)
