"""The panel on a real database, driven as its widgets are: clicked, typed into, read."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from picloud.admin.edits import put_trigger
from picloud.errors import DatabaseUnavailable, InvalidInput, PicloudError
from picloud.model.http import Request
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route, RouteAuth
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud_kernel.dashboard import Dashboard, Desk, Panel
from picloud_kernel.dashboard.notice import Notice
from picloud_kernel.session import Session
from tests.integration.letters import attempt, bury

MODULE, ENDPOINT = ScriptKind.MODULE, ScriptKind.ENDPOINT
GREET = Script("greet", MODULE, 'return { hello = function(name) return "hello " .. name end }')
HELLO = Script("hello", ENDPOINT, 'return require("greet").hello("ada")')
ROUTE = Route("GET", "/hello", "hello")
TEST = TestSource("greets", 'assert(require("greet").hello("ada") == "hello ada")')
MANIFEST = Manifest((GREET, HELLO), (ROUTE,), (TEST,))
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=SecretStr(database_url), port=8787)


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_platform(settings) as opened:
        yield opened


@pytest.fixture
def published(platform: Platform) -> Platform:
    platform.publisher.publish("blog", MANIFEST, author="ada", message="first", notebook="blog.ipynb", create=True)
    return platform


@pytest.fixture
def show(platform: Platform) -> Iterator[Callable[..., Panel]]:
    """Opens panels of an app, and closes them."""
    opened: list[Panel] = []

    def panel(app: str = "blog", draft: Callable[[str], Script | None] = lambda _: None) -> Panel:
        opened.append(Panel(Desk(app, lambda: platform, server_url="http://lab/base/", draft=draft)))
        return opened[-1]

    yield panel
    for each in opened:
        each.close()


@pytest.fixture
def panel(published: Platform, show: Callable[..., Panel]) -> Panel:
    """The panel of an app with one release."""
    return show()


def said(notice: Notice) -> str:
    """What a notice says, as its reader sees it."""
    return html.unescape(re.sub(r"<[^>]+>", " ", notice.content)).strip()


def live(platform: Platform) -> Manifest:
    return platform.publisher.live("blog")


def source_of(platform: Platform, name: str) -> str:
    return next(script.source for script in live(platform).scripts if script.name == name)


def put(platform: Platform, script: Script) -> None:
    """Publish a script as somebody else."""

    def change(manifest: Manifest) -> Manifest:
        others = [other for other in manifest.scripts if other.name != script.name]
        return Manifest(tuple(sorted((*others, script), key=lambda s: s.name)), manifest.routes, manifest.tests)

    platform.publisher.edit("blog", change, author="eve")


def is_shown(widget: Any) -> bool:
    return bool(widget.layout.display != "none")


# The panel


def test_an_app_that_is_not_there_says_how_to_make_it(platform: Platform, show: Callable[..., Panel]) -> None:
    panel = show("later")
    assert "no such app" in panel.head
    assert "picloud app create later" in panel.head
    assert not is_shown(panel._tabs)
    platform.apps.create("later")
    panel.refresh_button.click()
    assert is_shown(panel._tabs)


def test_an_app_without_anything_says_what_to_do_in_each_section(
    platform: Platform, show: Callable[..., Panel]
) -> None:
    platform.apps.create("blog")
    panel = show()
    assert "New script" in panel.scripts.summary
    assert "Make an endpoint first" in panel.routes.table
    assert "every publish makes one" in panel.releases.table
    assert not is_shown(panel.routes._form)
    assert not is_shown(panel.releases._form)


def test_titles_count_what_is_in_the_sections(panel: Panel) -> None:
    assert list(panel._tabs.titles) == [
        "Scripts (2)", "Routes (1)", "Triggers (0)", "Releases (1)", "Dead letters (0)", "Runs"
    ]  # fmt: skip
    assert panel.scripts.summary == '<p class="picloud-hint">1 endpoint, 1 module</p>'


def test_a_database_that_does_not_answer_is_a_sentence_and_refresh_tries_again(published: Platform) -> None:
    answers = False

    def platform() -> Platform:
        if not answers:
            raise DatabaseUnavailable
        return published

    panel = Panel(Desk("blog", platform, server_url=None))
    assert "try again in a moment" in said(panel.notice)
    answers = True
    panel.refresh_button.click()
    assert said(panel.notice) == ""
    assert panel.scripts.title == "Scripts (2)"
    panel.close()


def test_a_defect_is_a_sentence_without_its_text(panel: Panel, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("password=hunter2")

    panel.notice.guard(fail)(None)
    assert "defect" in said(panel.notice)
    assert "hunter2" not in panel.notice.content
    assert "hunter2" in caplog.text


def test_an_interrupt_is_a_sentence(panel: Panel) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    panel.notice.guard(interrupt)(None)
    assert said(panel.notice) == "The run was interrupted."


def test_a_page_that_cannot_show_widgets_says_what_is_missing(panel: Panel) -> None:
    bundle = panel.mimebundle()
    assert bundle["text/plain"].startswith("Dashboard of the app blog")
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.widget.model_id


# Scripts


def test_choosing_a_script_shows_it(panel: Panel) -> None:
    editor = panel.scripts.editor
    assert not is_shown(editor.widget)
    panel.scripts.list.value = "greet"
    assert is_shown(editor.widget)
    assert (editor.kind.value, editor.source.value) == (MODULE, GREET.source)
    assert "endpoint hello, test greets" in editor.told
    assert list(panel.scripts.list.icons) == ["picloud-module", "picloud-endpoint"]
    panel.scripts.list.value = "hello"
    assert editor.source.value == HELLO.source
    assert "greet" in editor.told
    assert "GET /hello" in editor.told


def test_a_module_that_is_missing_is_named_so(published: Platform, panel: Panel) -> None:
    put(published, Script("hello", ENDPOINT, 'return require("tone")'))
    panel.refresh_button.click()
    panel.scripts.list.value = "hello"
    assert "tone (no such module)" in panel.scripts.editor.told


def test_saving_is_a_release_and_runs_the_tests(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.source.value = GREET.source + "\n-- polite"
    editor.save.click()
    assert said(editor.notice) == "Release 2 is live. 1 test passed."
    assert source_of(published, "greet").endswith("-- polite")
    assert panel.scripts.list.value == "greet"
    assert panel.releases.title == "Releases (2)"
    editor.save.click()
    assert said(editor.notice) == "Nothing changed: release 2 is live."


def test_a_script_that_is_not_valid_is_told_by_line_and_nothing_is_saved(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.source.value = "local M = {}\nfunction M.hello(\nreturn M"
    editor.save.click()
    assert "greet, line 3" in said(editor.notice)
    assert not editor.notice.offers_reload
    assert editor.source.value.startswith("local M")
    assert live(published) == MANIFEST


def test_a_failing_test_is_named_and_nothing_is_saved(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.source.value = "return { hello = function() return 'no' end }"
    editor.save.click()
    assert "test greets" in said(editor.notice)
    assert live(published) == MANIFEST


def test_revert_takes_what_is_live(panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "hello"
    editor.source.value, editor.kind.value = "x", ENDPOINT
    editor.revert.click()
    assert editor.source.value == HELLO.source


def test_text_that_is_not_saved_waits_while_another_script_is_shown(panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.source.value = "return { a = 1 }"
    panel.scripts.list.value = "hello"
    assert editor.source.value == HELLO.source
    assert panel.scripts.list._options_labels == ("greet *", "hello")
    panel.refresh_button.click()
    panel.scripts.list.value = "greet"
    assert editor.source.value == "return { a = 1 }"


def test_a_publish_in_between_is_told_and_nothing_typed_or_published_is_lost(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    theirs = GREET.source + " -- theirs"
    put(published, Script("greet", MODULE, theirs))
    editor.source.value = GREET.source + " -- mine"
    editor.save.click()
    assert "Somebody changed 'greet'" in said(editor.notice)
    assert editor.notice.offers_reload
    assert source_of(published, "greet") == theirs
    editor.notice._reload.click()
    assert editor.source.value.endswith("-- mine")
    assert "Somebody published another version" in editor.told
    assert "-- theirs" in editor.told
    editor.save.click()
    assert said(editor.notice).startswith("Release 3 is live.")
    assert source_of(published, "greet").endswith("-- mine")
    assert "Somebody" not in editor.told


def test_a_publish_of_another_script_in_between_hurts_nobody(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    put(published, Script("tone", MODULE, "return {}"))
    editor.source.value += " -- mine"
    editor.save.click()
    assert said(editor.notice).startswith("Release 3 is live.")
    assert {script.name for script in live(published).scripts} == {"greet", "hello", "tone"}


def test_a_script_that_was_deleted_in_between_can_be_made_again(published: Platform, panel: Panel) -> None:
    tone = Script("tone", MODULE, "return {}")
    put(published, tone)
    panel.refresh_button.click()
    editor = panel.scripts.editor
    panel.scripts.list.value = "tone"
    published.publisher.publish("blog", MANIFEST, author="eve")
    editor.source.value = "return { a = 1 }"
    editor.save.click()
    assert editor.notice.offers_reload
    editor.notice._reload.click()
    panel.scripts.new.click()
    editor.name.value, editor.source.value = "other", "return { b = 1 }"
    panel.refresh_button.click()
    assert editor.source.value == "return { b = 1 }"
    panel.scripts.list.value = "tone"
    assert editor.source.value == "return { a = 1 }"
    assert "deleted" in editor.told
    editor.save.click()
    assert source_of(published, "tone") == "return { a = 1 }"


def test_reverting_a_script_that_was_deleted_in_between_lets_it_go(published: Platform, panel: Panel) -> None:
    put(published, Script("tone", MODULE, "return {}"))
    panel.refresh_button.click()
    panel.scripts.list.value = "tone"
    panel.scripts.editor.source.value = "return { a = 1 }"
    published.publisher.publish("blog", MANIFEST, author="eve")
    panel.refresh_button.click()
    assert panel.scripts.list._options_labels == ("greet", "hello", "tone *")
    panel.scripts.editor.revert.click()
    assert panel.scripts.list._options_labels == ("greet", "hello")
    assert not is_shown(panel.scripts.editor.widget)


def test_an_endpoint_with_routes_does_not_become_a_module(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "hello"
    editor.kind.value = MODULE
    assert "routes or triggers lead to it: GET /hello" in said(editor.notice)
    assert not editor.notice.offers_reload
    assert editor.kind.value == ENDPOINT
    assert live(published) == MANIFEST


def test_a_module_becomes_an_endpoint(published: Platform, panel: Panel) -> None:
    put(published, Script("tone", MODULE, "return {}"))
    panel.refresh_button.click()
    panel.scripts.list.value = "tone"
    panel.scripts.editor.kind.value = ENDPOINT
    assert said(panel.scripts.editor.notice) == ""
    panel.scripts.editor.save.click()
    assert Script("tone", ENDPOINT, "return {}") in live(published).scripts


def test_a_new_script_is_added(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.new.click()
    assert is_shown(editor.name)
    editor.name.value, editor.source.value = "tone", "return {}"
    editor.save.click()
    assert Script("tone", MODULE, "return {}") in live(published).scripts
    assert panel.scripts.list.value == "tone"
    panel.scripts.new.click()
    assert (editor.name.value, editor.source.value) == ("", "")


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("greet", MODULE, "There is a script 'greet' already"),
        ("", MODULE, "cannot name a module"),
        ("kv", MODULE, "is the name of an SDK namespace"),
        ("a/b", ENDPOINT, "cannot name an endpoint"),
    ],
)
def test_a_new_script_that_cannot_be_is_refused(
    published: Platform, panel: Panel, name: str, kind: ScriptKind, sentence: str
) -> None:
    editor = panel.scripts.editor
    panel.scripts.new.click()
    editor.name.value, editor.kind.value, editor.source.value = name, kind, "return {}"
    editor.save.click()
    assert sentence in said(editor.notice)
    assert (editor.name.value, editor.source.value) == (name, "return {}")
    assert live(published) == MANIFEST


@pytest.mark.parametrize("source", ["return '\0'", "return '\ud800'", "-" * 300_000])
def test_text_that_cannot_be_stored_is_refused(published: Platform, panel: Panel, source: str) -> None:
    panel.scripts.list.value = "greet"
    panel.scripts.editor.source.value = source
    panel.scripts.editor.save.click()
    assert "greet, line 1" in said(panel.scripts.editor.notice)
    assert live(published) == MANIFEST


def test_renaming_takes_importers_along_when_that_is_wished(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.new_name.value, editor.rewrite.value = "salute", False
    editor.rename.click()
    assert "scripts require it: hello, test greets" in said(editor.notice)
    editor.rewrite.value = True
    editor.rename.click()
    assert said(editor.notice).startswith("Release 2 is live.")
    assert panel.scripts.list.value == "salute"
    assert 'require("salute")' in source_of(published, "hello")


def test_renaming_asks_to_save_first(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.source.value += " -- mine"
    editor.new_name.value = "salute"
    editor.rename.click()
    assert "Save or revert" in said(editor.notice)
    assert editor.source.value.endswith("-- mine")
    assert live(published) == MANIFEST


def test_deleting_asks_and_is_refused_while_it_is_used(published: Platform, panel: Panel) -> None:
    editor = panel.scripts.editor
    panel.scripts.list.value = "greet"
    editor.delete.button.click()
    editor.delete.no.click()
    assert live(published) == MANIFEST
    editor.delete.button.click()
    editor.delete.yes.click()
    assert "cannot be deleted while scripts require it" in said(editor.notice)
    put(published, Script("tone", MODULE, "return {}"))
    panel.refresh_button.click()
    panel.scripts.list.value = "tone"
    editor.delete.button.click()
    editor.delete.yes.click()
    assert live(published) == MANIFEST
    assert not is_shown(editor.widget)


def test_an_open_question_does_not_follow_to_another_script(published: Platform, panel: Panel) -> None:
    panel.scripts.list.value = "greet"
    panel.scripts.editor.delete.button.click()
    panel.scripts.list.value = "hello"
    assert panel.scripts.editor.delete.yes not in panel.scripts.editor.delete.widget.children


def test_the_filter_shows_names_that_hold_it(panel: Panel) -> None:
    panel.scripts.list.value = "greet"
    panel.scripts.filter.value = "HEL"
    assert panel.scripts.list._options_labels == ("hello",)
    assert panel.scripts.editor.source.value == GREET.source
    panel.scripts.filter.value = ""
    assert panel.scripts.list.value == "greet"


def test_a_draft_of_the_notebook_is_told_when_it_differs(published: Platform, show: Callable[..., Panel]) -> None:
    session = Session(lambda: nullcontext(published), lambda _: None)
    session.use_app("blog")
    session.app.define(GREET)
    panel = show(draft=lambda name: session.draft("blog", name))
    panel.scripts.list.value = "greet"
    editor = panel.scripts.editor
    assert "has a draft" not in editor.told
    editor.source.value += " -- saved"
    editor.save.click()
    assert "has a draft" in editor.told
    panel.scripts.list.value = "hello"
    assert "has a draft" not in editor.told


# Routes


def test_routes_are_a_table_with_their_urls(panel: Panel) -> None:
    assert 'href="http://127.0.0.1:8787/run/blog/hello"' in panel.routes.table
    assert "http://lab/base/picloud/run/blog" in panel.routes.table


def test_a_route_is_added_changed_and_deleted(published: Platform, panel: Panel) -> None:
    routes = panel.routes
    routes.method.value, routes.pattern.value, routes.script.value = "POST", "/hi/:name", "hello"
    routes.save.click()
    assert said(routes.notice).startswith("Release 2 is live.")
    assert live(published).routes == (ROUTE, Route("POST", "/hi/:name", "hello"))
    assert routes.choice.value == "POST /hi/:name"
    routes.pattern.value, routes.auth.value, routes.timing.value = "/hey", RouteAuth.TOKEN, True
    routes.save.click()
    assert live(published).routes == (ROUTE, Route("POST", "/hey", "hello", RouteAuth.TOKEN, True))
    routes.choice.value = "GET /hello"
    assert (routes.pattern.value, routes.auth.value, routes.timing.value) == ("/hello", RouteAuth.PUBLIC, False)
    routes.delete.button.click()
    routes.delete.yes.click()
    assert live(published).routes == (Route("POST", "/hey", "hello", RouteAuth.TOKEN, True),)
    assert routes.choice.value == ""


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("hello", "a path starts with '/'"), ("/a//b", "is not valid"), ("/hello", "There is a route GET /hello already")],
)
def test_a_route_that_cannot_be_is_refused(published: Platform, panel: Panel, pattern: str, sentence: str) -> None:
    panel.routes.pattern.value = pattern
    panel.routes.save.click()
    assert sentence in said(panel.routes.notice)
    assert panel.routes.pattern.value == pattern
    assert live(published) == MANIFEST


def test_a_route_does_not_take_anothers_place(published: Platform, panel: Panel) -> None:
    routes = panel.routes
    routes.pattern.value = "/b"
    routes.save.click()
    routes.pattern.value = "/hello"
    routes.save.click()
    assert "There is a route GET /hello already" in said(routes.notice)
    assert len(live(published).routes) == 2


def test_a_route_changed_by_somebody_else_is_told(published: Platform, panel: Panel) -> None:
    panel.routes.choice.value = "GET /hello"
    theirs = Route("GET", "/hello", "hello", RouteAuth.TOKEN)
    published.publisher.publish("blog", Manifest(MANIFEST.scripts, (theirs,), MANIFEST.tests), author="eve")
    panel.routes.timing.value = True
    panel.routes.save.click()
    assert "Somebody changed the route GET /hello" in said(panel.routes.notice)
    panel.routes.notice._reload.click()
    assert "Somebody changed or deleted GET /hello" in said(panel.routes.notice)
    assert panel.routes.timing.value
    assert live(published).routes == (theirs,)
    panel.routes.save.click()
    assert said(panel.routes.notice).startswith("Release 3 is live.")


# Releases


def test_going_back_shows_what_it_changes_and_asks(published: Platform, panel: Panel) -> None:
    put(published, Script("greet", MODULE, GREET.source + " -- new"))
    panel.refresh_button.click()
    releases = panel.releases
    assert releases.rollback.button.disabled
    releases.choice.value = 1
    assert "<b>changes</b> module greet" in releases.preview
    assert "<b>reaches</b> endpoint hello" in releases.preview
    assert "-- new" in releases.preview
    releases.rollback.button.click()
    assert source_of(published, "greet").endswith("-- new")
    releases.rollback.yes.click()
    assert said(releases.notice) == "Went back to release 1. Release 3 is live. 1 test passed."
    assert live(published) == MANIFEST
    assert releases.table.index("Roll back to release 1") < releases.table.index("first")
    releases.choice.value = 1
    assert "Nothing would change" in releases.preview
    assert releases.rollback.button.disabled


def test_going_back_waits_when_somebody_published_after_the_preview(published: Platform, panel: Panel) -> None:
    put(published, Script("tone", MODULE, "return {}"))
    panel.refresh_button.click()
    panel.releases.choice.value = 1
    put(published, Script("more", MODULE, "return {}"))
    panel.releases.rollback.button.click()
    panel.releases.rollback.yes.click()
    assert "Somebody published" in said(panel.releases.notice)
    assert panel.releases.notice.offers_reload
    assert len(live(published).scripts) == 4


# What the app holds is text


def test_text_of_the_app_is_never_markup(platform: Platform, show: Callable[..., Panel]) -> None:
    script = Script(HOSTILE, ENDPOINT, f"-- {HOSTILE}\nreturn 1")
    manifest = Manifest((script,), (Route("GET", "/x", HOSTILE),), (TestSource(HOSTILE, "assert(true)"),))
    platform.publisher.publish("blog", manifest, author=HOSTILE, message=HOSTILE, notebook=HOSTILE, create=True)
    put(platform, Script(HOSTILE, ENDPOINT, f"-- {HOSTILE}\nreturn 2"))
    panel = show(draft=lambda _: script)
    panel.scripts.list.value = HOSTILE
    panel.scripts.editor.source.value = f"{HOSTILE}"
    panel.scripts.editor.save.click()
    panel.releases.choice.value = 1
    panel.scripts.editor.delete.button.click()
    shown = [widget.value for widget in _all(panel.widget) if type(widget).__name__ == "HTML"]
    assert any("&lt;img src=x" in value for value in shown)
    assert not any("<img" in value for value in shown)


def _all(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


# In a Python notebook


def test_a_python_notebook_opens_the_platform_itself_and_gives_it_back(
    published: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.database_url is not None
    monkeypatch.setenv("PICLOUD_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("PICLOUD_HOME", str(settings.home))
    with closing(Dashboard("blog")) as dashboard:
        assert "application/vnd.jupyter.widget-view+json" in dashboard._repr_mimebundle_()
        assert dashboard.panel.scripts.title == "Scripts (2)"
        opened = dashboard._platform
        assert opened is not None
        shown = [str(getattr(widget, "value", "")) for widget in _all(dashboard.panel.widget)]
        assert not any(settings.database_url.get_secret_value() in value for value in shown)
    with pytest.raises(DatabaseUnavailable):
        opened.publisher.live("blog")
    dashboard.close()


def test_a_name_that_no_app_can_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot name an app"):
        Dashboard("Blog!")


# triggers and dead letters -----------------------------------------------------------------------------------------

WATCH = Trigger("watch", TriggerKind.CRON, "0 3 * * *", "hello", tz="Europe/Berlin")


def deliveries(platform: Platform) -> int:
    row = platform.database.fetch_one("SELECT count(*) FROM deliveries", {})
    assert row is not None
    return int(row[0])


def test_triggers_are_listed_with_what_they_take(published: Platform, show: Callable[..., Panel]) -> None:
    panel = show()
    assert "%%trigger" in panel.triggers.widget.value
    published.publisher.edit("blog", put_trigger(WATCH), author="ada")
    panel.refresh()
    assert panel.triggers.title == "Triggers (1)"
    shown = html.unescape(panel.triggers.widget.value)
    assert 'cron "0 3 * * *" tz=Europe/Berlin' in shown
    assert "03:00:00 CE" in shown


def test_a_dead_letter_is_delivered_again_or_discarded(published: Platform, show: Callable[..., Panel]) -> None:
    panel = show()
    assert "No dead letters" in panel.dead_letters.table
    for message in (HOSTILE, "second"):
        bury(published, "blog", message=message)
    panel.refresh()
    letters = panel.dead_letters
    assert letters.title == "Dead letters (2)"
    assert HOSTILE not in letters.table
    assert html.escape(HOSTILE) in letters.table
    letters.redrive.click()
    assert "on its way" in letters.notice.content
    assert (letters.title, deliveries(published)) == ("Dead letters (1)", 1)
    letters.discard.button.click()
    letters.discard.yes.click()
    assert (letters.title, deliveries(published)) == ("Dead letters (0)", 1)


def test_a_letter_somebody_has_decided_over_is_said(published: Platform, show: Callable[..., Panel]) -> None:
    bury(published, "blog")
    first, second = show(), show()
    first.dead_letters.redrive.click()
    second.dead_letters.redrive.click()
    assert "has redriven the dead letter" in second.dead_letters.notice.content
    assert deliveries(published) == 1


def test_a_letter_that_stays_in_the_list_shows_what_others_decided(
    published: Platform, show: Callable[..., Panel]
) -> None:
    letter = bury(published, "blog")
    panel = show()
    panel.dead_letters.state.value = "all"
    panel.dead_letters.input.value = '{"typed": 1}'
    published.dead_letters.discard(published.apps.get("blog").id, letter, by="bob")
    panel.refresh()
    assert "discarded by bob" in panel.dead_letters.letter
    assert not is_shown(panel.dead_letters._decide)


def stored(platform: Platform) -> list[tuple[bool, bytes]]:
    with platform.database.connection() as connection:
        return connection.execute("SELECT is_json, payload FROM events ORDER BY number").fetchall()


def test_a_chosen_letter_is_shown_whole_without_markup_of_its_own(
    published: Platform, show: Callable[..., Panel]
) -> None:
    bury(published, "blog", message=HOSTILE, payload=f'["{HOSTILE}"]', trigger=HOSTILE, failures=[attempt(HOSTILE)])
    letters = show().dead_letters
    assert HOSTILE not in letters.letter + letters.table
    assert html.escape(HOSTILE) in letters.letter
    assert "mailer:3: in the main chunk" in letters.letter


def test_the_input_is_edited_and_what_was_not_typed_stays_as_it_was(
    published: Platform, show: Callable[..., Panel]
) -> None:
    payload = b'{"b":1,"a":1.50}'
    bury(published, "blog", payload=payload)
    bury(published, "blog", payload="text", is_json=False)
    letters = show().dead_letters
    assert letters.input.value == "text"
    letters.input.value = "ü text"
    letters.redrive.click()
    assert letters.input.value == '{\n  "b": 1,\n  "a": 1.5\n}'
    letters.input.value = "{"
    letters.redrive.click()
    assert "cannot be read" in letters.notice.content
    assert letters.input.value == "{"
    letters.input.value = '{\n  "b": 1,\n  "a": 1.5\n}'
    letters.redrive.click()
    assert stored(published) == [(False, "ü text".encode()), (True, payload)]


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": "cron"}, {"kind": "dead_letter"}, {"kind": "kv", "operation": "delete", "payload": None},
        {"payload": b"\xff", "is_json": False}, {"payload": b"a\r\n", "is_json": False},
        {"payload": b"x" * 2**18, "is_json": False},
    ],
)  # fmt: skip
def test_an_input_that_cannot_be_edited_there_is_not_offered(
    published: Platform, show: Callable[..., Panel], columns: dict[str, Any]
) -> None:
    bury(published, "blog", **columns)
    letters = show().dead_letters
    assert letters.input.layout.display == "none"
    letters.redrive.click()
    assert "on its way" in letters.notice.content


def test_letters_are_filtered_and_all_that_are_shown_are_delivered_again(
    published: Platform, show: Callable[..., Panel]
) -> None:
    for trigger in "aab":
        bury(published, "blog", trigger=trigger)
    letters = show().dead_letters
    letters.trigger.value = "a"
    assert letters.title == "Dead letters (2)"
    bury(published, "blog", trigger="a")  # not shown yet
    letters.redrive_all.button.click()
    letters.redrive_all.yes.click()
    assert "2 on the way" in letters.notice.content
    assert (letters.title, deliveries(published)) == ("Dead letters (1)", 2)
    letters.state.value = "redriven"
    assert letters.title == "Dead letters (2)"
    assert letters._decide.layout.display == "none"
    letters.trigger.value = "nobody"
    assert "No dead letters are like that" in letters.table
    letters.trigger.value = ""
    letters.state.value = "all"
    assert letters.title == "Dead letters (4)"


def test_what_was_typed_for_a_letter_stays_when_the_panel_loads_again(
    published: Platform, show: Callable[..., Panel]
) -> None:
    bury(published, "blog")
    panel = show()
    panel.dead_letters.input.value = '{"typed": 1}'
    bury(published, "blog")
    panel.refresh()
    assert panel.dead_letters.input.value == '{"typed": 1}'
    panel.dead_letters.redrive.click()
    assert stored(published) == [(True, b'{"typed": 1}')]


# runs ---------------------------------------------------------------------------------------------------------------


def call(platform: Platform, request: Request) -> None:
    """Answer a request as the data plane does, also when the script fails."""
    with suppress(PicloudError):
        platform.dispatcher.run(platform.dispatcher.match("blog", request.method, request.path), request)
    platform.history.flush()


def run_ids(panel: Panel) -> list[Any]:
    return [identity for _, identity in panel.runs.choice.options]


def test_runs_are_listed_and_one_is_shown_with_all_that_is_kept(
    published: Platform, show: Callable[..., Panel]
) -> None:
    panel = show()
    assert "Nothing has run yet" in panel.runs.table
    assert not is_shown(panel.runs._form)
    put(published, Script("hello", ENDPOINT, "log.warn('soon', { n = 1 })\nerror('no luck')"))
    call(
        published, Request("GET", "/hello", "req-1", (("q", "ü"),), {"authorization": "hush"}, b'{"a":[1]}', "token:ci")
    )
    panel.refresh_button.click()
    assert "failed script_runtime_error" in panel.runs.table
    assert panel.runs.detail == ""
    [run] = run_ids(panel)
    panel.runs.choice.value = run
    shown = html.unescape(panel.runs.detail)
    for part in (
        "GET /hello", "script_runtime_error in hello, line 2", "no luck", "by token:ci", "request req-1", "query q = ü",
        "authorization: (not kept)", '{\n  "a": [\n    1\n  ]\n}', 'WARN  soon {"n":1}', "CPU",
        f"%replay {run.hex[:8]}",
    ):  # fmt: skip
        assert part in shown, part
    panel.refresh_button.click()
    assert panel.runs.choice.value == run
    assert "hush" not in panel.runs.detail


def test_runs_are_filtered_by_name_and_result(published: Platform, show: Callable[..., Panel]) -> None:
    panel = show()
    call(published, Request("GET", "/hello", "good"))
    put(published, Script("hello", ENDPOINT, "error('no')"))
    call(published, Request("GET", "/hello", "bad"))
    panel.refresh_button.click()
    bad, good = run_ids(panel)
    panel.runs.result.label = "failed"
    assert run_ids(panel) == [bad]
    panel.runs.result.label = "succeeded"
    assert run_ids(panel) == [good]
    panel.runs.name.value = "hello"
    assert run_ids(panel) == [good]
    for nobody in ("other", "\0", "\ud800"):
        panel.runs.name.value = nobody
        assert "No such run is kept" in panel.runs.table
        assert said(panel.runs.notice) == ""


def test_a_run_that_is_not_kept_any_more_is_said(published: Platform, show: Callable[..., Panel]) -> None:
    call(published, Request("GET", "/hello", "good"))
    panel = show()
    published.run_records.delete_surplus(0)
    panel.runs.choice.value = run_ids(panel)[0]
    assert "The history has no run" in said(panel.runs.notice)


def test_what_scripts_and_callers_write_is_text_in_runs(published: Platform, show: Callable[..., Panel]) -> None:
    hostile = f"{HOSTILE}\x1b\u202e\0"
    script = Script("hello", ENDPOINT, f"log.error('{HOSTILE}', {{ a = '{HOSTILE}' }}) error('{HOSTILE}\\27\\0')")
    manifest = Manifest((script,), (Route("POST", "/*rest", "hello"),))
    published.publisher.publish("blog", manifest, author="eve")
    for body in (b"\xff\xfe" * 300, hostile.encode()):
        call(published, Request("POST", f"/{hostile}", "req", ((hostile, hostile),), {"x-a": hostile}, body, hostile))
    panel = show()
    text, binary = run_ids(panel)
    for run in (text, binary):
        panel.runs.choice.value = run
        assert "&lt;img src=x" in panel.runs.detail
        for shown in (panel.runs.table, panel.runs.detail):
            assert "<img" not in shown
            assert not {"\x1b", "\u202e", "\0"} & set(shown)
    assert "600 bytes that are no text" in panel.runs.detail


def test_runs_of_another_app_are_never_shown(published: Platform, show: Callable[..., Panel]) -> None:
    published.publisher.publish("other", MANIFEST, author="eve", create=True)
    published.dispatcher.run(published.dispatcher.match("other", "GET", "/hello"), Request("GET", "/hello", "req"))
    published.history.flush()
    assert "Nothing has run yet" in show().runs.table
    assert "GET /hello" in show("other").runs.table
