"""Whatever happened to an app, what is stored is what was published last, whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from picloud.errors import DatabaseUnavailable, InvalidInput
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


def script(name: str, kind: ScriptKind, imports: frozenset[str]) -> Script:
    lines = (f'local {imported} = require("{imported}")' for imported in sorted(imports))
    return Script(name, kind, "\n".join((*lines, "return {}")))


manifests = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.sampled_from(ScriptKind), st.frozensets(st.sampled_from(NAMES), max_size=3))
).map(
    lambda scripts: Manifest(
        tuple(script(name, *scripts[name]) for name in sorted(scripts)),
        tuple(Route("GET", f"/{n}", n) for n in sorted(scripts) if scripts[n][0] is ScriptKind.ENDPOINT),
    )
)


def expected_edges(manifest: Manifest) -> set[tuple[str, str]]:
    modules = {s.name for s in manifest.scripts if s.kind is ScriptKind.MODULE}
    return {(s.name, name) for s in manifest.scripts for name in modules if f'require("{name}")' in s.source}


def stored_edges(platform: Platform, app: str) -> set[tuple[str, str]]:
    with platform.database.connection() as connection:
        rows = connection.execute(
            "SELECT a.name, b.name FROM script_imports AS i JOIN scripts AS a ON a.id = i.importer_id "
            "JOIN scripts AS b ON b.id = i.imported_id JOIN apps ON apps.id = i.app_id WHERE apps.name = %s",
            (app,),
        )
        return {(importer, imported) for importer, imported in rows}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(manifests, min_size=1, max_size=6), st.data())
def test_the_stored_graph_and_manifest_are_those_of_the_last_publish(
    platform: Platform, history: list[Manifest], data: st.DataObject
) -> None:
    numbers: list[int] = []
    for manifest in history:
        release = platform.publisher.publish("app", manifest, author="test", create=True).release
        numbers.append(release.number)
        app = platform.apps.get("app")
        assert stored_edges(platform, "app") == expected_edges(manifest)
        assert platform.live.manifest(app.id) == release.manifest == manifest
    back = data.draw(st.integers(0, len(history) - 1))
    platform.publisher.rollback("app", numbers[back], author="test")
    assert stored_edges(platform, "app") == expected_edges(history[back])
    assert platform.live.manifest(platform.apps.get("app").id) == history[back]
    platform.apps.delete("app")
    assert stored_edges(platform, "app") == set()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifests, manifests)
def test_a_plan_tells_exactly_what_a_publish_changes(platform: Platform, before: Manifest, after: Manifest) -> None:
    platform.publisher.publish("app", before, author="test", create=True)
    plan = platform.publisher.plan("app", after)
    published = platform.publisher.publish("app", after, author="test")
    assert published.plan == plan
    old, new = ({f"{s.kind} {s.name}": s.source for s in m.scripts} for m in (before, after))
    scripts = [entry for entry in plan.added if not entry.startswith("route")]
    assert set(scripts) == new.keys() - old.keys()
    assert {entry for entry in plan.removed if not entry.startswith("route")} == old.keys() - new.keys()
    assert set(plan.changed) >= {entry for entry in old.keys() & new.keys() if old[entry] != new[entry]}
    assert not platform.publisher.plan("app", after).changes_anything
    platform.apps.delete("app")


def test_a_connection_lost_in_mid_publish_leaves_everything_as_it_was(platform: Platform, database_url: str) -> None:
    before = Manifest((script("a", ScriptKind.MODULE, frozenset()),))
    after = Manifest(tuple(script(name, ScriptKind.MODULE, frozenset("a")) for name in NAMES))
    platform.publisher.publish("app", before, author="test", create=True)
    app = platform.apps.get("app")
    outcome: list[BaseException] = []

    def publish() -> None:
        try:
            platform.publisher.publish("app", after, author="test")
        except DatabaseUnavailable as error:
            outcome.append(error)

    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as observer:
        holder.execute("LOCK TABLE releases IN SHARE MODE")  # the publish has written its scripts when it wants this
        thread = threading.Thread(target=publish)
        thread.start()
        victim = None
        while victim is None and thread.is_alive():
            victim = observer.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "AND query LIKE '%INSERT INTO releases%'"
            ).fetchone()
        assert victim is not None
        observer.execute("SELECT pg_terminate_backend(%s)", victim)
        thread.join()
    assert outcome
    assert platform.live.manifest(app.id) == before
    assert platform.apps.get("app") == app
    assert [release.number for release in platform.releases.list(app.id)] == [1]
    assert platform.publisher.publish("app", after, author="test").release.number == 2


def test_of_two_that_create_an_app_at_once_one_wins(platform: Platform) -> None:
    barrier = threading.Barrier(3)
    outcomes: list[str] = []

    def create(number: int) -> None:
        manifest = Manifest((Script("m", ScriptKind.MODULE, f"return {number}"),))
        barrier.wait()
        try:
            platform.publisher.publish("app", manifest, author="test", create=True)
            outcomes.append("published")
        except Exception as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One that reads after another's commit publishes a second release: what is never there is a mixture.
    assert set(outcomes) <= {"published", "Conflict"} and "published" in outcomes
    app = platform.apps.get("app")
    releases = platform.releases.list(app.id)
    assert len(releases) == outcomes.count("published")
    assert platform.live.manifest(app.id) == platform.releases.get(app.id, releases[0].number).manifest


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a/b", "a" * 64, "ä", "a\n", "a'; DROP TABLE apps"])
def test_what_cannot_name_an_app_is_refused(platform: Platform, name: str) -> None:
    with pytest.raises(InvalidInput):
        platform.publisher.publish(name, Manifest(), author="test", create=True)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_texts_the_database_cannot_hold_are_refused_before_anything_is_written(platform: Platform, text: str) -> None:
    with pytest.raises(InvalidInput):
        platform.publisher.publish(
            "app", Manifest((Script("m", ScriptKind.MODULE, f"-- {text}\nreturn {{}}"),)), author="test", create=True
        )
    for message in (text, "x" + text):
        with pytest.raises(InvalidInput):
            platform.publisher.publish("app", Manifest(), author="test", message=message, create=True)
    assert platform.apps.list() == []
