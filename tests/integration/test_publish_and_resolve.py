"""Publishing and resolving on a real database: all or nothing, one winner, one version per run, apps apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.errors import (
    Conflict,
    ImportCycle,
    ImportTooDeep,
    InvalidInput,
    InvalidModule,
    InvalidScript,
    ModuleNotFound,
    NotFound,
    PicloudError,
    TestsFailed,
)
from picloud.model.http import Request, Response
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings

GREET = "local M = {}\nfunction M.hello(name) return 'hello ' .. name end\nreturn M"
HELLO = 'local greet = require("greet")\nreturn greet.hello(request.params.name)'
TEST = TestSource("greets", 'expect(call("GET", "/hello/ada").body):equals("hello ada")')


def module(name: str, source: str) -> Script:
    return Script(name, ScriptKind.MODULE, source)


def endpoint(name: str, source: str) -> Script:
    return Script(name, ScriptKind.ENDPOINT, source)


def app_of(*scripts: Script, tests: tuple[TestSource, ...] = ()) -> Manifest:
    """Every endpoint answers GET /NAME, and /NAME/:name."""
    endpoints = [s for s in scripts if s.kind is ScriptKind.ENDPOINT]
    routes = [Route("GET", f"/{s.name}{rest}", s.name) for s in endpoints for rest in ("", "/:name")]
    return Manifest(tuple(sorted(scripts, key=lambda s: s.name)), tuple(sorted(routes)), tests)


WELCOME = app_of(module("greet", GREET), endpoint("hello", HELLO), tests=(TEST,))


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


def publish(platform: Platform, name: str, manifest: Manifest) -> int:
    return platform.publisher.publish(name, manifest, author="test", create=True).release.number


def get(platform: Platform, app: str, path: str) -> Response:
    match = platform.dispatcher.match(app, "GET", path)
    return platform.dispatcher.run(match, Request("GET", path, "id"))


def edges(platform: Platform, app: str) -> set[tuple[str, str]]:
    """The stored import graph."""
    with platform.database.connection() as connection:
        rows = connection.execute(
            "SELECT a.name, b.name FROM script_imports AS i JOIN scripts AS a ON a.id = i.importer_id "
            "JOIN scripts AS b ON b.id = i.imported_id JOIN apps ON apps.id = i.app_id WHERE apps.name = %s",
            (app,),
        )
        return {(importer, imported) for importer, imported in rows}


def test_a_publish_is_live_at_once(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    assert get(platform, "welcome", "/hello/ada").body == b"hello ada"
    changed = app_of(module("greet", GREET.replace("hello ", "good morning ")), endpoint("hello", HELLO))
    publish(platform, "welcome", changed)
    assert get(platform, "welcome", "/hello/ada").body == b"good morning ada"


def test_the_plan_names_what_changes_and_what_that_reaches(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    scripts = (module("greet", GREET + " -- new"), endpoint("hello", HELLO), endpoint("other", "return 1"))
    plan = platform.publisher.plan("welcome", app_of(*scripts))
    assert plan.added == ("endpoint other", "route GET /other", "route GET /other/:name")
    assert plan.changed == ("module greet",)
    assert plan.removed == ("test greets",)
    assert plan.affected == ("endpoint hello", "route GET /hello", "route GET /hello/:name")


def test_the_plan_names_the_tests_that_reach_a_change(platform: Platform) -> None:
    direct = TestSource("direct", 'expect(require("greet").hello("x")):equals("hello x")')
    through = TestSource("through", 'assert(require("kind").greet)')
    kind = module("kind", 'return { greet = require("greet") }')
    before = app_of(module("greet", GREET), kind, tests=(direct, through))
    publish(platform, "welcome", before)
    after = replace(before, scripts=(module("greet", GREET + " -- changed"), kind))
    plan = platform.publisher.plan("welcome", after)
    assert plan.affected == ("module kind", "test direct", "test through")


def test_publishing_the_same_again_makes_no_release(platform: Platform) -> None:
    assert publish(platform, "welcome", WELCOME) == publish(platform, "welcome", WELCOME) == 1


@pytest.mark.parametrize(
    ("manifest", "error"),
    [
        (app_of(endpoint("hello", "x = = 1")), InvalidScript),
        (app_of(module("greet", "print(1)")), InvalidScript),
        (app_of(module("kv", "return {}")), InvalidInput),
        (app_of(endpoint("hello", "return require(x)")), InvalidScript),
        (replace(WELCOME, routes=(Route("GET", "/x", "greet"),)), InvalidInput),
        (replace(WELCOME, routes=(Route("GET", "/x", "nobody"),)), InvalidInput),
        (replace(WELCOME, routes=(Route("GET", "/:a", "hello"), Route("GET", "/:b", "hello"))), InvalidInput),
        (replace(WELCOME, tests=(TestSource("fails", "expect(1):equals(2)"),)), TestsFailed),
    ],
)
def test_what_cannot_be_published_leaves_nothing_behind(
    platform: Platform, manifest: Manifest, error: type[PicloudError]
) -> None:
    with pytest.raises(error):
        publish(platform, "new", manifest)
    with pytest.raises(NotFound):
        platform.apps.get("new")
    publish(platform, "welcome", WELCOME)
    with pytest.raises(error):
        publish(platform, "welcome", manifest)
    assert get(platform, "welcome", "/hello/ada").body == b"hello ada"
    assert len(platform.releases.list(platform.apps.get("welcome").id)) == 1


def test_of_two_publishes_at_once_one_wins(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    barrier, outcomes = threading.Barrier(4), list[str]()

    def compete(number: int) -> None:
        changed = app_of(module("greet", GREET), endpoint("hello", HELLO + f" -- {number}"))

        def change(_live: Manifest) -> Manifest:
            barrier.wait()  # everybody has read the same revision
            return changed

        try:
            platform.publisher.edit("welcome", change, author="test")
            outcomes.append("published")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "published"]
    assert len(platform.releases.list(platform.apps.get("welcome").id)) == 2


def test_an_edit_of_a_revision_that_is_gone_overwrites_nothing(platform: Platform) -> None:
    """Somebody publishes between the reading and the writing of an edit: the edit is refused."""
    publish(platform, "welcome", WELCOME)

    def change(live: Manifest) -> Manifest:
        publish(platform, "welcome", app_of(endpoint("hello", "return 'theirs'")))
        return replace(live, tests=())

    with pytest.raises(Conflict):
        platform.publisher.edit("welcome", change, author="test")
    assert get(platform, "welcome", "/hello/ada").body == b"theirs"


def test_rollback_brings_everything_back(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    publish(platform, "welcome", app_of(endpoint("hello", "return 'changed'")))
    assert get(platform, "welcome", "/hello/ada").body == b"changed"
    result = platform.publisher.rollback("welcome", 1, author="test")
    assert result.release.number == 3
    assert result.release.manifest == WELCOME
    assert get(platform, "welcome", "/hello/ada").body == b"hello ada"


def test_the_import_graph_is_stored_and_missing_modules_are_linked_later(platform: Platform) -> None:
    publish(platform, "welcome", app_of(endpoint("hello", HELLO)))
    assert edges(platform, "welcome") == set()
    with pytest.raises(ModuleNotFound, match="greet"):
        get(platform, "welcome", "/hello/ada")
    publish(platform, "welcome", replace(WELCOME, tests=()))
    assert edges(platform, "welcome") == {("hello", "greet")}
    publish(platform, "welcome", app_of(module("greet", GREET), endpoint("hello", "return 1")))
    assert edges(platform, "welcome") == set()


def test_a_circle_is_told_with_its_whole_path(platform: Platform) -> None:
    scripts = [module(a, f'local o = require("{b}")\nreturn {{}}') for a, b in ("ab", "bc", "ca")]
    publish(platform, "loop", app_of(*scripts, endpoint("e", 'return require("a")')))
    with pytest.raises(ImportCycle, match="a -> b -> c -> a"):
        get(platform, "loop", "/e")


def test_depth_is_limited_and_the_next_run_is_clean(platform: Platform) -> None:
    def chain(length: int) -> list[Script]:
        inner = [module(f"m{n}", f'local o = require("m{n + 1}")\nreturn {{}}') for n in range(1, length)]
        return [*inner, module(f"m{length}", "return {}"), endpoint("e", 'require("m1") return "ok"')]

    publish(platform, "deep", app_of(*chain(9)))
    for _ in range(2):
        with pytest.raises(ImportTooDeep, match="m1 -> m2"):
            get(platform, "deep", "/e")
    publish(platform, "deep", app_of(*chain(8)))
    assert get(platform, "deep", "/e").body == b"ok"


def test_a_diamond_loads_once(platform: Platform) -> None:
    base = module("base", "return {}")
    sides = [module(name, f'return {{ base = require("base"), name = "{name}" }}') for name in ("left", "right")]
    top = endpoint("e", 'return tostring(require("left").base == require("right").base)')
    publish(platform, "diamond", app_of(base, *sides, top))
    assert get(platform, "diamond", "/e").body == b"true"


@pytest.mark.parametrize(
    "source",
    [
        'local name = "greet" return _G["re" .. "quire"](name).hello("x")',
        'return _ENV["require"]("greet").hello("x")',
        'local _, v = next({ _G["requ" .. "ire"] }) return v("greet").hello("x")',
    ],
)
def test_a_computed_name_is_refused_when_run(platform: Platform, source: str) -> None:
    publish(platform, "welcome", app_of(module("greet", GREET), endpoint("e", source)))
    with pytest.raises(ModuleNotFound, match="literally"):
        get(platform, "welcome", "/e")


def test_apps_with_the_same_names_do_not_see_each_other(platform: Platform) -> None:
    for name in ("one", "two"):
        source = GREET.replace("hello ", f"{name} ")
        publish(platform, name, app_of(module("greet", source), endpoint("hello", HELLO)))
    publish(platform, "three", app_of(endpoint("hello", HELLO)))
    assert get(platform, "one", "/hello/x").body == b"one x"
    assert get(platform, "two", "/hello/x").body == b"two x"
    with pytest.raises(ModuleNotFound):
        get(platform, "three", "/hello/x")
    platform.apps.delete("one")
    assert get(platform, "two", "/hello/x").body == b"two x"


def test_a_run_keeps_its_version_when_a_publish_lands(platform: Platform) -> None:
    publish(platform, "welcome", WELCOME)
    match = platform.dispatcher.match("welcome", "GET", "/hello/ada")
    publish(platform, "welcome", app_of(endpoint("hello", "return 'new'")))
    assert platform.dispatcher.run(match, Request("GET", "/hello/ada", "id")).body == b"hello ada"
    assert get(platform, "welcome", "/hello/ada").body == b"new"


@contextmanager
def behind_the_api(platform: Platform) -> Iterator[None]:
    """Write a module's text as a restored backup or a hand at the database would."""
    yield
    with platform.database.connection() as connection:
        connection.execute(
            "UPDATE sources SET source = 'while false do end return {}' WHERE source LIKE 'local M%%'", {}
        )
        connection.execute("UPDATE apps SET revision = revision + 1")


def test_a_module_written_behind_the_api_is_refused_when_loaded(platform: Platform) -> None:
    with behind_the_api(platform):
        publish(platform, "welcome", replace(WELCOME, tests=()))
    with pytest.raises(InvalidModule, match="functions, constants"):
        get(platform, "welcome", "/hello/ada")
