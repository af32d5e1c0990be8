from dataclasses import replace

import pytest

from picloud.admin.edits import delete_route, delete_script, find_script, put_route, put_script, rename_script
from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind

HELLO = Script("hello", ScriptKind.ENDPOINT, "return 1")
GREET = Script("greet", ScriptKind.MODULE, "return {}")
ROUTE = Route("GET", "/hello/:name", "hello")
LIVE = Manifest((GREET, HELLO), (ROUTE,), (TestSource("t", ""),))


def test_a_new_script_is_added_in_order_and_the_rest_stays() -> None:
    edited = put_script(Script("a", ScriptKind.MODULE, "return {}"))(LIVE)
    assert [script.name for script in edited.scripts] == ["a", "greet", "hello"]
    assert (edited.routes, edited.tests) == (LIVE.routes, LIVE.tests)


def test_a_script_of_the_same_name_is_replaced() -> None:
    new = Script("hello", ScriptKind.ENDPOINT, "return 2")
    assert put_script(new)(LIVE).scripts == (GREET, new)


def test_a_routed_endpoint_cannot_become_a_module() -> None:
    with pytest.raises(
        Conflict, match=r"'hello' cannot become a module while routes or triggers lead to it: GET /hello/:name"
    ):
        put_script(Script("hello", ScriptKind.MODULE, "return {}"))(LIVE)


def test_a_module_can_become_an_endpoint() -> None:
    new = Script("greet", ScriptKind.ENDPOINT, "return 1")
    assert find_script(put_script(new)(LIVE), "greet") == new


def test_an_invalid_name_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidInput):
        put_script(Script("json", ScriptKind.MODULE, ""))


def test_a_script_is_deleted_unless_routes_lead_to_it() -> None:
    assert delete_script("greet")(LIVE).scripts == (HELLO,)
    with pytest.raises(Conflict, match="be deleted"):
        delete_script("hello")(LIVE)
    with pytest.raises(NotFound):
        delete_script("nobody")(LIVE)


def test_a_route_of_the_same_shape_is_replaced() -> None:
    new = Route("GET", "/hello/:who", "hello")
    assert put_route(new)(LIVE).routes == (new,)
    other = Route("POST", "/hello/:who", "hello")
    assert put_route(other)(LIVE).routes == (ROUTE, other)


def test_a_route_leads_to_an_endpoint_that_is_there() -> None:
    with pytest.raises(Conflict, match="is a module"):
        put_route(Route("GET", "/m", "greet"))(LIVE)
    with pytest.raises(NotFound):
        put_route(Route("GET", "/m", "nobody"))(LIVE)


def test_a_module_is_not_deleted_while_scripts_require_it() -> None:
    importer = Script("later", ScriptKind.ENDPOINT, "local greet = require('greet')")
    manifest = put_script(importer)(LIVE)
    with pytest.raises(Conflict, match="scripts require it: later"):
        delete_script("greet")(manifest)
    assert delete_script("greet")(delete_script("later")(manifest)).scripts == (HELLO,)


def test_an_endpoint_is_deleted_though_a_script_names_it_in_vain() -> None:
    manifest = put_script(Script("vain", ScriptKind.MODULE, "local lost = require('lost') return {}"))(LIVE)
    lost = Script("lost", ScriptKind.ENDPOINT, "return 1")
    assert delete_script("lost")(put_script(lost)(manifest)) == manifest


def test_a_module_that_requires_itself_can_be_deleted() -> None:
    narcissus = Script("narcissus", ScriptKind.MODULE, "local me = require('narcissus') return {}")
    assert delete_script("narcissus")(put_script(narcissus)(LIVE)) == LIVE


def test_a_route_is_deleted_by_method_and_pattern() -> None:
    assert delete_route("GET", "/hello/:name")(LIVE).routes == ()
    with pytest.raises(NotFound):
        delete_route("POST", "/hello/:name")(LIVE)


IMPORTERS = put_script(
    Script(
        "later",
        ScriptKind.ENDPOINT,
        "-- ä require('greet')\nlocal a, b = require('greet'), require \"greet\"\nx.require('greet')",
    )
)(replace(LIVE, tests=(TestSource("t", "require('greet')"),)))


def test_a_module_that_is_required_is_renamed_with_its_importers_or_not_at_all() -> None:
    with pytest.raises(Conflict, match="cannot be renamed while scripts require it: later, test t"):
        rename_script("greet", "salute", rewrite_importers=False)(IMPORTERS)
    renamed = rename_script("greet", "salute", rewrite_importers=True)(IMPORTERS)
    assert [script.name for script in renamed.scripts] == ["hello", "later", "salute"]
    assert find_script(renamed, "later").source == (
        "-- ä require('greet')\nlocal a, b = require('salute'), require \"salute\"\nx.require('greet')"
    )
    assert renamed.tests[0].source == "require('salute')"
    assert rename_script("salute", "greet", rewrite_importers=True)(renamed) == IMPORTERS


def test_routes_follow_a_renamed_endpoint() -> None:
    renamed = rename_script("hello", "hi there", rewrite_importers=False)(LIVE)
    assert renamed.routes == (replace(ROUTE, script="hi there"),)
    assert find_script(renamed, "hi there").source == HELLO.source


def test_renaming_an_endpoint_changes_no_text() -> None:
    """A script that requires an endpoint's name requires a module that is missing, whatever the endpoint is called."""
    lost = Script("lost", ScriptKind.ENDPOINT, "require('hello')")
    manifest = put_script(lost)(replace(LIVE, tests=(TestSource("t", "require('hello')"),)))
    renamed = rename_script("hello", "hi there", rewrite_importers=True)(manifest)
    assert find_script(renamed, "lost") == lost
    assert renamed.tests == manifest.tests


def test_a_name_that_is_taken_reserved_or_none_is_refused() -> None:
    for name, error in (("hello", Conflict), ("json", InvalidInput), ("two words", InvalidInput)):
        with pytest.raises(error):
            rename_script("greet", name, rewrite_importers=True)(LIVE)
    with pytest.raises(NotFound):
        rename_script("nobody", "x", rewrite_importers=True)(LIVE)
    assert rename_script("greet", "greet", rewrite_importers=False)(LIVE) == LIVE
