"""An import graph in a notebook: a drawing and a tree that say the same, whatever the names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.graph import ImportGraph
from picloud_kernel.graph import MERMAID, graph_bundle


def graph(imports: dict[str, str], routes: tuple[Route, ...] = (), tests: tuple[TestSource, ...] = ()) -> ImportGraph:
    """Scripts that answer a route are endpoints."""
    ends = {route.script for route in routes}
    scripts = {
        name: LinkedScript(
            Script(name, ScriptKind.ENDPOINT if name in ends else ScriptKind.MODULE, ""), tuple(names.split())
        )
        for name, names in imports.items()
    }
    return ImportGraph.of(scripts, routes, (), tests)


SHOP = graph(
    {"hello": "left right", "left": "base nobody", "right": "base", "base": "", "loop": "pool", "pool": "loop"},
    (Route("GET", "/hello/:name", "hello"),),
    (TestSource("bases", "require('base')"),),
)


def test_the_tree_begins_with_what_leads_in_and_shows_each_script_once() -> None:
    assert graph_bundle(SHOP).data["text/plain"].split("\n") == [
        "GET /hello/:name",
        "  endpoint hello",
        "    module left",
        "      module base",
        "      nobody: no such module",
        "    module right",
        "      module base",
        "test bases",
        "  module base",
        "module loop",
        "  module pool",
        "    module loop (see above)",
    ]


def test_the_drawing_has_a_node_for_each_thing_and_an_arrow_for_each_import() -> None:
    lines = graph_bundle(SHOP).data[MERMAID].split("\n")
    assert lines[0] == "flowchart LR"
    assert sum(" --> " in line for line in lines) == 8  # a route's, a test's, six imports
    assert sum(" -.-> " in line for line in lines) == 1
    assert '  s1(["hello"])' in lines
    assert '  r0>"GET /hello/:name"]' in lines


def test_an_endpoint_that_is_required_is_no_module_in_either_form() -> None:
    wrong = graph(
        {"hello": "greet", "greet": "hello"}, (Route("GET", "/", "hello"),), (TestSource("t", "require('hello')"),)
    )
    shown = graph_bundle(wrong).data
    assert shown["text/plain"].split("\n") == [
        "GET /",
        "  endpoint hello",
        "    module greet",
        "      hello: no such module",
        "test t",
        "  hello: no such module",
    ]
    assert shown[MERMAID].count(" -.-> m0") == 2


def test_drafts_are_marked_in_both_forms() -> None:
    drafts = {"module left", "route GET /hello/:name", "test bases", "endpoint left"}
    shown = graph_bundle(SHOP, drafts).data
    marked = [line.strip() for line in shown["text/plain"].split("\n") if "(draft)" in line]
    assert marked == ["GET /hello/:name (draft)", "module left (draft)", "test bases (draft)"]
    assert shown[MERMAID].count("#40;draft#41;") == 3


def test_an_app_without_scripts_says_how_to_begin() -> None:
    assert "%%module NAME" in graph_bundle(graph({})).data["text/plain"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, unique=True))
def test_no_name_breaks_out_of_its_label(names: list[str]) -> None:
    routes = tuple(Route("GET", f"/{number}", name) for number, name in enumerate(names))
    drawing = graph_bundle(graph(dict.fromkeys(names, ""), routes)).data[MERMAID]
    lines = drawing.split("\n")
    assert len(lines) == 1 + 3 * len(names)
    for line in lines[1 : 1 + len(names)]:
        assert line.count('"') == 2
        assert not set(line.split('"')[1]) & set("<>{}[]()&`")


def test_a_deep_chain_is_shown_without_recursion() -> None:
    chain = graph({f"m{n:04}": f"m{n + 1:04}" for n in range(3000)} | {"m3000": ""})
    assert graph_bundle(chain).data["text/plain"].count("\n") == 3000
