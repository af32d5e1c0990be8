"""Who requires whom: the edges, what is missing, and what a change reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import NotFound
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.graph import ImportGraph

NAMES = "abcdef"
edges = st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)))


def graph_of(
    pairs: frozenset[tuple[str, str]] | set[tuple[str, str]],
    *, kinds: dict[str, ScriptKind] | None = None, routes: tuple[Route, ...] = (), tests: tuple[TestSource, ...] = (),
) -> ImportGraph:  # fmt: skip
    names = {importer for importer, _ in pairs} | {imported for _, imported in pairs if imported != "missing"}
    scripts = {
        name: LinkedScript(
            Script(name, (kinds or {}).get(name, ScriptKind.MODULE), ""),
            tuple(sorted(i for n, i in pairs if n == name)),
        )
        for name in names
    }
    return ImportGraph.of(scripts, routes, (), tests)


APP = graph_of(
    {("e", "left"), ("e", "right"), ("left", "base"), ("right", "base"), ("other", "aside"), ("left", "missing")},
    kinds={"e": ScriptKind.ENDPOINT, "other": ScriptKind.ENDPOINT},
    routes=(Route("GET", "/e", "e"), Route("GET", "/other", "other")),
    tests=(
        TestSource("bases", "require('base')"),
        TestSource("asides", "local a = require('aside')"),
        TestSource("t", ""),
    ),
)


def test_the_blast_radius_of_a_script_is_all_that_reaches_it_and_no_more() -> None:
    part = APP.reaching("base")
    assert part.kinds.keys() == {"base", "left", "right", "e"}
    assert part.routes == (Route("GET", "/e", "e"),)
    assert part.tests == {"bases": ("base",)}
    assert part.imports == {"base": (), "left": ("base",), "right": ("base",), "e": ("left", "right")}
    assert APP.reaching("e").kinds.keys() == {"e"}


def test_what_a_change_touches_is_named_as_in_a_plan() -> None:
    assert APP.reach(["base"]) == {
        "module base", "module left", "module right", "endpoint e", "route GET /e", "test bases"
    }  # fmt: skip
    assert APP.reach(["e"]) == {"endpoint e", "route GET /e"}
    assert APP.reach(["missing", "aside"]) == APP.reach(["left"]) | APP.reach(["aside"])
    assert APP.reach([]) == set()


def test_what_is_missing_has_importers_but_is_no_script() -> None:
    assert not APP.has_module("missing")
    assert APP.importers(["missing"]) == {"left", "e"}
    with pytest.raises(NotFound):
        APP.reaching("missing")


def test_an_endpoint_is_no_module() -> None:
    assert (APP.has_module("e"), APP.has_module("left")) == (False, True)


def test_what_requires_an_endpoint_finds_nothing_and_so_is_not_reached_through_it() -> None:
    graph = graph_of(
        {("top", "e"), ("over", "top"), ("e", "base")},
        kinds={"e": ScriptKind.ENDPOINT},
        tests=(TestSource("t", "require('e')"),),
    )
    assert graph.reaching("e").kinds.keys() == {"e"}
    assert graph.reaching("base").kinds.keys() == {"base", "e"}
    assert graph.reach(["e"]) == {
        "module top",
        "module over",
        "endpoint e",
        "test t",
    }  # a kind that changed breaks them


@given(edges, st.frozensets(st.sampled_from(NAMES)))
def test_importers_are_those_from_which_a_path_leads_to_a_name(
    pairs: frozenset[tuple[str, str]], names: frozenset[str]
) -> None:
    paths = set(pairs)
    for _ in NAMES:
        paths |= {(a, d) for a, b in paths for c, d in pairs if b == c}
    assert graph_of(pairs).importers(names) == {a for a, b in paths if b in names} - names


@given(edges, st.sampled_from(NAMES))
def test_the_part_that_reaches_a_script_is_what_its_change_touches(
    pairs: frozenset[tuple[str, str]], name: str
) -> None:
    graph = graph_of({*pairs, (name, name)}, routes=tuple(Route("GET", f"/{n}", n) for n in NAMES))
    part = graph.reaching(name)
    routes = {f"route {route.method} {route.pattern}" for route in part.routes}
    assert graph.reach([name]) == {f"{kind} {script}" for script, kind in part.kinds.items()} | routes
