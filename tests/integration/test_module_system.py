"""What the reference audit asks of the module system beyond publishing: the schema, the caches, the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from picloud.errors import InvalidInput, ModuleNotFound, PicloudError
from picloud.model.http import Response
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import RESERVED_MODULE_NAMES, Script, ScriptKind
from picloud.modules.resolver import Resolver
from picloud.modules.source import DraftOverlay
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from tests.integration.test_publish_and_resolve import app_of, edges, endpoint, get, module, publish

NAMES = ("a", "b", "c")
RESERVED = (
    *("kv", "docs", "dead_letters", "log", "regex", "random", "time", "json", "base64", "hex", "url"),
    *("http", "files", "pubsub", "secrets", "email", "users", "queue"),
)


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    small = Settings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        script_cache_size=2,
        module_cache_size=3,
        run_memory_mb=8,
        run_timeout_s=0.3,
    )
    with open_platform(small) as opened:
        yield opened


# the schema ----------------------------------------------------------------------------------------------------------


def app_id(platform: Platform) -> UUID:
    publish(platform, "shop", app_of(module("base", "return {}"), endpoint("e", "require('base')")))
    return platform.apps.get("shop").id


def rename(platform: Platform, app: UUID, name: str, kind: str) -> None:
    with platform.database.connection() as connection:
        connection.execute(
            "UPDATE scripts SET kind = %s, name = %s WHERE app_id = %s AND name = 'base'", (kind, name, app)
        )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("base", "trigger"), ("two words", "module"), ("1st", "module"), ("a" * 65, "module"), ("", "module")],
)
def test_the_database_itself_refuses_kinds_and_module_names_that_are_none(
    platform: Platform, name: str, kind: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        rename(platform, app_id(platform), name, kind)


@pytest.mark.parametrize(("name", "kind"), [("two words", "endpoint"), ("_x1", "module"), ("a" * 64, "module")])
def test_only_modules_are_bound_to_identifiers(platform: Platform, name: str, kind: str) -> None:
    rename(platform, app_id(platform), name, kind)


def test_the_kind_and_the_reverse_edge_have_an_index(platform: Platform) -> None:
    with platform.database.connection() as connection:
        rows = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")
        indexes = [row[0].partition(" USING btree ")[2] for row in rows if "script" in row[0]]
    assert "(app_id, kind)" in indexes
    assert "(app_id, imported_id)" in indexes
    assert "(app_id, importer_id, imported_id)" in indexes


@pytest.mark.parametrize("end", ["base", "e"])
def test_edges_end_with_either_script_and_know_when_they_began(platform: Platform, end: str) -> None:
    app = app_id(platform)
    assert edges(platform, "shop") == {("e", "base")}
    with platform.database.connection() as connection:
        assert connection.execute("SELECT count(created_at) FROM script_imports").fetchone() == (1,)
        connection.execute("DELETE FROM scripts WHERE app_id = %s AND name = %s", (app, end))
    assert edges(platform, "shop") == set()


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_the_sdk_cannot_name_a_module(platform: Platform, name: str) -> None:
    with pytest.raises(InvalidInput, match="SDK namespace"):
        publish(platform, "shop", app_of(module(name, "return {}")))


def test_no_other_name_is_reserved() -> None:
    assert set(RESERVED) == RESERVED_MODULE_NAMES


# kinds that change ---------------------------------------------------------------------------------------------------


def test_importers_of_a_module_that_became_an_endpoint_are_told(platform: Platform) -> None:
    app_id(platform)
    publish(platform, "shop", app_of(endpoint("base", "return 1"), endpoint("e", "require('base')")))
    assert edges(platform, "shop") == set()
    with pytest.raises(ModuleNotFound, match="'base' is an endpoint: only modules can be required"):
        get(platform, "shop", "/e")


# the way out of a run ------------------------------------------------------------------------------------------------

WAYS_OUT = {
    "script_runtime_error": "error('x')",
    "module_not_found": "require('nobody')",
    "import_cycle": "require('m1')",
    "import_too_deep": "require('d1')",
    "time_limit_exceeded": "require('tools').loop()",
    "memory_limit_exceeded": "require('tools').fill()",
    "invalid_response": "return 'x', 999999",
}
TOOLS = (
    "return { loop = function() while true do end end, "
    "fill = function() local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end end }"
)


@pytest.mark.parametrize("code", WAYS_OUT)
def test_the_next_run_is_clean_after_every_way_out(platform: Platform, code: str) -> None:
    circle = [module("m1", "local o = require('m2') return {}"), module("m2", "local o = require('m1') return {}")]
    deep = [module(f"d{n}", f"local o = require('d{n + 1}') return {{}}") for n in range(1, 9)]
    scripts = [*circle, *deep, module("d9", "return {}"), module("tools", TOOLS)]
    clean = endpoint("clean", "return tostring(require('tools') == require('tools'))")
    publish(platform, "shop", app_of(*scripts, endpoint("bad", WAYS_OUT[code]), clean))
    for _ in range(3):
        with pytest.raises(PicloudError) as caught:
            get(platform, "shop", "/bad")
        assert caught.value.code == code
        assert get(platform, "shop", "/clean").body == b"true"


# the caches ----------------------------------------------------------------------------------------------------------


def test_a_full_cache_of_chunks_drops_the_oldest_and_answers_the_same(platform: Platform) -> None:
    modules = [module(name, f"return {{ value = '{name}' }}") for name in NAMES]
    ends = [endpoint(f"e{name}", f"return require('{name}').value") for name in NAMES]
    publish(platform, "shop", app_of(*modules, *ends))
    for _ in range(3):
        for name in NAMES:
            assert get(platform, "shop", f"/e{name}").body == name.encode()
    counts = platform.caches["chunks"].read()
    assert counts.evictions == counts.misses - 3  # three are kept, and one state ran all
    assert counts.evictions > 0


def test_a_full_cache_of_snapshots_drops_the_app_not_used_for_longest(platform: Platform) -> None:
    for name in NAMES:
        publish(platform, name, app_of(endpoint("e", f"return '{name}'")))
    for name in ("a", "b", "a", "c", "a", "b"):
        assert get(platform, name, "/e").body == name.encode()
    counts = platform.caches["snapshots"].read()
    assert (counts.hits, counts.misses, counts.evictions) == (2, 4, 2)


# the kernel and HTTP resolve alike -----------------------------------------------------------------------------------

sources = st.builds(
    lambda own, imports: "\n".join([*(f"local {i} = require('{i}')" for i in imports), f"return {{ value = {own} }}"]),
    st.integers(0, 3),
    st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
)
manifests = st.dictionaries(st.sampled_from(NAMES), sources, max_size=3).map(
    lambda modules: Manifest(
        (
            *(Script(name, ScriptKind.MODULE, modules[name]) for name in sorted(modules)),
            Script("e", ScriptKind.ENDPOINT, "return { a = require('a').value, b = require('b').value }"),
        ),
        (Route("GET", "/e", "e"),),
    )
)


def outcome(call: Callable[[], Response]) -> tuple[str, bytes]:
    try:
        return "ok", call().body
    except PicloudError as error:
        return error.code, error.message.encode()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(manifests, st.just("roll back")), min_size=1, max_size=5))
def test_a_kernel_without_drafts_resolves_what_http_resolves(platform: Platform, history: list[Manifest | str]) -> None:
    session = platform.interactive("twin", lambda _text: None)
    publish(platform, "twin", Manifest())
    for step in history:
        if isinstance(step, Manifest):
            publish(platform, "twin", step)
        else:
            platform.publisher.rollback("twin", 1, author="test")
        assert outcome(lambda: session.call("GET", "/e")) == outcome(lambda: get(platform, "twin", "/e"))
        snapshot = platform.snapshots.current("twin").snapshot
        kernel, http = Resolver(DraftOverlay({}, snapshot)), Resolver(snapshot)
        for name in NAMES:
            with suppress(ModuleNotFound):
                assert kernel.resolve(name, b"").key == http.resolve(name, b"").key
        assert kernel.used.keys() == http.used.keys()
    platform.apps.delete("twin")
