from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from picloud.model.principal import Principal, Scope
from picloud.platform import Platform
from picloud.web.api.operation import Operation
from picloud.web.api.operations import OPERATIONS

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Client, TokenMaker

API = "/api/v1"
VALUES = {
    "app": "blog",
    "script": "greet",
    "number": "1",
    "trigger": "watch",
    "run": "0" * 32,
    "letter": str(UUID(int=7)),
}


def target(operation: Operation) -> str:
    return API + operation.path.format(**VALUES)


def endpoint(name: str = "hello", source: str = "return { ok = true }") -> dict[str, Any]:
    return {"name": name, "kind": "endpoint", "source": source}


def small_manifest(source: str = "return { ok = true }") -> dict[str, Any]:
    return {
        "scripts": [endpoint(source=source)],
        "routes": [{"method": "GET", "pattern": "/hello", "script": "hello"}],
    }


@pytest.fixture
def admin(client: Client, make_token: TokenMaker) -> Any:
    token = make_token(None)

    def call(method: str, path: str, data: object = None, **options: Any) -> Answer:
        return client(method, API + path, token=token, data=data, **options)

    return call


def test_every_operation_needs_a_token(client: Client) -> None:
    for operation in OPERATIONS:
        assert client(operation.method, target(operation)).error["code"] == "unauthenticated", operation
        assert client(operation.method, target(operation), token="pic_" + "x" * 43).status == 401, operation


def test_every_operation_needs_each_of_its_scopes(client: Client, make_token: TokenMaker) -> None:
    without = {scope: make_token("blog", *(set(Scope) - {scope})) for scope in Scope}
    for operation in OPERATIONS:
        for scope in operation.scopes:
            answer = client(operation.method, target(operation), token=without[scope])
            assert answer.status == 403, operation
            assert scope in answer.error["message"]


def test_a_foreign_app_answers_like_one_that_does_not_exist(client: Client, make_token: TokenMaker) -> None:
    token = make_token("other")
    for operation in (found for found in OPERATIONS if "{app}" in found.path):
        data: Any = {
            "put_script": {"kind": "module", "source": "return {}"},
            "put_route": {"method": "GET", "pattern": "/x", "script": "hello"},
            "put_trigger": {"kind": "topic", "source": "t", "script": "hello"},
            "rename_script": {"name": "x"},
            "put_retention": {"runs_kept_days": 1},
            "redrive_dead_letter": {},
            "redrive_dead_letters": {"filter": {}},
            "discard_dead_letters": {"filter": {}},
            "backfill": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"},
        }.get(operation.name, {"manifest": small_manifest()})
        where = target(operation) + ("?method=GET&pattern=/text" if operation.name == "delete_route" else "")
        foreign = client(operation.method, where, token=token, data=data)
        absent = client(operation.method, where.replace("blog", "nobody"), token=token, data=data)
        assert foreign.status == absent.status == 404, operation
        assert foreign.error["message"].replace("blog", "nobody") == absent.error["message"]


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_paths_and_methods_that_are_not_there(client: Client, admin: Any) -> None:
    assert client("GET", API + "/nowhere").status == 401
    assert admin("GET", "/nowhere").error["code"] == "not_found"
    assert admin("PATCH", "/apps").status == 405
    assert set(admin("DELETE", "/apps").headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert admin("OPTIONS", "/apps").status == 405
    assert admin("BREW", "/apps").status in (400, 405)


def test_the_openapi_document_is_public(client: Client) -> None:
    answer = client("GET", API + "/openapi.json")
    assert answer.status == 200
    assert answer.json()["openapi"].startswith("3.1")
    assert client("POST", API + "/openapi.json").status == 405


def test_a_host_in_the_same_process_vouches_for_the_caller(client: Client) -> None:
    principal = Principal("jupyter:ada", frozenset(Scope))
    answer = client(
        "POST", API + "/apps/new/releases", principal=principal, data={"manifest": small_manifest(), "create": True}
    )
    assert answer.status == 201
    assert answer.json()["release"]["author"] == "jupyter:ada"


def test_apps_are_created_shown_listed_and_deleted(admin: Any, client: Client) -> None:
    made = admin("POST", "/apps", {"name": "shop"})
    assert made.status == 201
    assert made.json()["name"] == "shop"
    assert admin("GET", "/apps/shop").json() == made.json()
    assert [app["name"] for app in admin("GET", "/apps").json()["apps"]] == ["blog", "other", "shop"]
    assert admin("POST", "/apps", {"name": "shop"}).status == 409
    assert admin("POST", "/apps", {"name": "Not A Name"}).status == 400
    assert admin("DELETE", "/apps/shop").status == 204
    assert admin("GET", "/apps/shop").status == 404
    assert admin("DELETE", "/apps/shop").status == 404


def test_a_token_of_an_app_sees_and_touches_its_own_only(client: Client, make_token: TokenMaker) -> None:
    token = make_token("other")
    assert [app["name"] for app in client("GET", API + "/apps", token=token).json()["apps"]] == ["other"]
    assert client("POST", API + "/apps", token=token, data={"name": "more"}).status == 403
    assert client("DELETE", API + "/apps/other", token=token).status == 403
    data = {"manifest": small_manifest(), "create": True}
    assert client("POST", API + "/apps/more/releases", token=token, data=data).status == 404


def test_a_schedule_shows_its_next_ticks_and_what_became_of_the_others(admin: Any) -> None:
    admin("POST", "/apps/other/releases", {"manifest": small_manifest()})
    body = {"kind": "cron", "source": "0 3 * * *", "script": "hello", "tz": "Europe/Berlin", "overlap": "queue"}
    assert admin("PUT", "/apps/other/triggers/nightly", body).status == 200
    (trigger,) = admin("GET", "/apps/other/triggers").json()["triggers"]
    assert {name: trigger[name] for name in body} == body
    assert len(trigger["next"]) == 5
    assert all("T03:00:00+0" in tick for tick in trigger["next"])
    assert trigger["next"] == sorted(trigger["next"])
    assert admin("GET", "/apps/other/triggers/nightly/ticks").json() == {"ticks": []}
    asked = {"from": "2025-03-29T00:00:00+01:00", "to": "2025-03-30T12:00:00+02:00"}
    ticks = ["2025-03-29T03:00:00+01:00", "2025-03-30T03:00:00+02:00"]
    path = "/apps/other/triggers/nightly/backfill"
    assert admin("POST", path, asked | {"dry_run": True}).json() == {"ticks": ticks, "ran_before": 0, "dry_run": True}
    assert admin("POST", path, asked).json() == {"ticks": ticks, "ran_before": 0, "dry_run": False}
    assert admin("POST", path, asked).json()["ran_before"] == 2
    entry = admin("GET", "/apps/other/triggers/nightly/ticks").json()["ticks"][0]
    assert (entry["outcome"], entry["cancelled_at"]) == ("ran", None)
    assert entry["asked_by"]
    for wrong in (
        {"from": "now"},
        {"from": 1},
        {"to": "2025-03-01T00:00:00"},
        {"to": "2024-01-01T00:00:00Z"},
        {"x": 1},
    ):
        assert admin("POST", path, asked | wrong).status in (400, 422), wrong
    for none in ("none", "%00", "%ff", "n" * 300):
        assert admin("POST", f"/apps/other/triggers/{none}/backfill", asked).status == 404
        assert admin("GET", f"/apps/other/triggers/{none}/ticks").status == 404
    assert admin("GET", "/apps/other/triggers/nightly/ticks?limit=0").status == 400
    for wrong in ({"tz": "Mars"}, {"source": "0 3 * *"}, {"overlap": "kill"}, {"catch_up": "all", "overlap": "skip"}):
        assert admin("PUT", "/apps/other/triggers/nightly", body | wrong).status in (400, 422), wrong
    assert len(admin("GET", "/apps/other/triggers").json()["triggers"]) == 1


def test_head_answers_like_get(admin: Any) -> None:
    answer = admin("HEAD", "/apps")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("name", ["%00", "a%2Fb", "%ff", "..", "BLOG", "a" * 300])
def test_what_cannot_name_an_app_is_not_found(admin: Any, name: str) -> None:
    assert admin("GET", f"/apps/{name}").status == 404


def test_a_published_manifest_is_live_and_a_new_one_replaces_it(admin: Any, client: Client) -> None:
    first = admin("POST", "/apps/other/releases", {"manifest": small_manifest(), "message": "first"})
    assert first.status == 201
    assert first.json()["release"]["number"] == 1
    assert first.json()["created_app"] is False
    assert client("GET", "/run/other/hello").json() == {"ok": True}
    second = admin("POST", "/apps/other/releases", {"manifest": small_manifest("return { ok = 2 }")})
    assert second.json()["plan"]["changed"] == ["endpoint hello"]
    assert client("GET", "/run/other/hello").json() == {"ok": 2}


def test_a_plan_tells_and_changes_nothing(admin: Any, client: Client) -> None:
    plan = admin("POST", "/apps/other/plan", {"manifest": small_manifest()}).json()
    assert "endpoint hello" in plan["added"]
    assert plan["changes_anything"] is True
    assert client("GET", "/run/other/hello").status == 404
    assert admin("GET", "/apps/other/releases").json() == {"releases": []}


def test_a_notebook_is_published_as_it_is(admin: Any, client: Client) -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Hi"},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": "%%endpoint hi GET /hi\nreturn 'hi'",
        },
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    data = {"notebook": notebook, "notebook_name": "hi.ipynb", "create": True}
    answer = admin("POST", "/apps/greeter/releases", data)
    assert answer.status == 201
    assert answer.json()["created_app"] is True
    assert answer.json()["release"]["notebook"] == "hi.ipynb"
    assert client("GET", "/run/greeter/hi").body == b"hi"


def test_a_notebook_error_names_its_cell(admin: Any) -> None:
    cells = [{"cell_type": "code", "metadata": {}, "source": "%%endpoint x GET nowhere\nreturn 1"}]
    answer = admin("POST", "/apps/other/releases", {"notebook": {"nbformat": 4, "nbformat_minor": 5, "cells": cells}})
    assert answer.status == 422
    assert "cell 1" in answer.error["message"]


def test_publishing_to_no_app_needs_create(admin: Any) -> None:
    assert admin("POST", "/apps/new/releases", {"manifest": small_manifest()}).status == 404


def test_releases_are_kept_and_rolled_back_to(admin: Any, client: Client) -> None:
    for value in (1, 2):
        admin("POST", "/apps/other/releases", {"manifest": small_manifest(f"return {{ v = {value} }}")})
    assert [release["number"] for release in admin("GET", "/apps/other/releases").json()["releases"]] == [2, 1]
    kept = admin("GET", "/apps/other/releases/1").json()
    assert kept["manifest"]["scripts"][0]["source"] == "return { v = 1 }"
    back = admin("POST", "/apps/other/releases/1/rollback")
    assert back.status == 201
    assert back.json()["release"]["number"] == 3
    assert client("GET", "/run/other/hello").json() == {"v": 1}


@pytest.mark.parametrize("number", ["0", "99", "-1", "1e3", "x", "9" * 40, "%D9%A1"])
def test_a_release_that_is_not_there_is_not_found(admin: Any, number: str) -> None:
    assert admin("GET", f"/apps/blog/releases/{number}").status == 404


def test_scripts_are_listed_shown_put_and_deleted(admin: Any, client: Client) -> None:
    assert {"greet", "hello"} <= {script["name"] for script in admin("GET", "/apps/blog/scripts").json()["scripts"]}
    shown = admin("GET", "/apps/blog/scripts/greet").json()
    assert shown["kind"] == "module"
    source = shown["source"].replace("Hello", "Good day")
    put = admin("PUT", "/apps/blog/scripts/greet", {"kind": "module", "source": source})
    assert put.status == 200
    assert put.json()["plan"]["changed"] == ["module greet"]
    assert client("GET", "/run/blog/hello/ada").json() == {"message": "Good day, ada"}
    assert admin("PUT", "/apps/blog/scripts/spare", {"kind": "module", "source": "return {}"}).status == 200
    assert admin("DELETE", "/apps/blog/scripts/spare").status == 200
    assert admin("GET", "/apps/blog/scripts/spare").status == 404
    assert admin("DELETE", "/apps/blog/scripts/hello").status == 409


def test_a_module_is_renamed_with_its_importers_when_asked(admin: Any, client: Client) -> None:
    rename = "/apps/blog/scripts/greet/rename"
    refused = admin("POST", rename, {"name": "salute"})
    assert refused.status == 409
    assert "hello" in refused.error["message"]
    renamed = admin("POST", rename, {"name": "salute", "rewrite_importers": True})
    assert renamed.status == 200
    assert renamed.json()["plan"]["added"] == ["module salute"]
    assert renamed.json()["plan"]["removed"] == ["module greet"]
    assert client("GET", "/run/blog/hello/ada").json() == {"message": "Hello, ada"}
    assert admin("POST", rename, {"name": "salute"}).status == 404


def test_the_graph_tells_who_requires_whom_and_what_reaches_a_script(admin: Any) -> None:
    admin("PUT", "/apps/blog/scripts/lost", {"kind": "endpoint", "source": "require('nobody') require('greet')"})
    graph = admin("GET", "/apps/blog/graph").json()
    scripts = {script["name"]: script for script in graph["scripts"]}
    assert scripts["lost"] == {"name": "lost", "kind": "endpoint", "imports": ["greet"], "missing": ["nobody"]}
    assert scripts["greet"]["imports"] == []
    part = admin("GET", "/apps/blog/graph?reaching=greet").json()
    assert {script["name"] for script in part["scripts"]} == {"greet", "hello", "lost"}
    assert {route["script"] for route in part["routes"]} == {"hello"}
    assert admin("GET", "/apps/blog/graph?reaching=nobody").status == 404
    assert admin("GET", "/apps/blog/graph?reaching=a&x=1").status == 400


def test_the_graph_holds_the_tests_of_the_release_that_is_live(admin: Any) -> None:
    reaches = {"name": "greets", "source": "assert(require('greet'))"}
    tests = [reaches, {"name": "other", "source": "assert(require('spare'))"}]
    modules = [{"name": name, "kind": "module", "source": "return {}"} for name in ("greet", "spare")]
    assert admin("POST", "/apps/blog/releases", {"manifest": {"scripts": modules, "tests": tests}}).status == 201
    whole = admin("GET", "/apps/blog/graph").json()
    assert whole["tests"] == [{"name": "greets", "imports": ["greet"]}, {"name": "other", "imports": ["spare"]}]
    assert admin("GET", "/apps/blog/graph?reaching=greet").json()["tests"] == whole["tests"][:1]


def test_an_edit_keeps_everything_else(admin: Any, platform: Platform) -> None:
    app = platform.apps.get("blog")
    before = platform.live.manifest(app.id)
    admin("PUT", "/apps/blog/scripts/spare", {"kind": "module", "source": "return {}"})
    after = platform.live.manifest(app.id)
    assert set(before.scripts) < set(after.scripts)
    assert before.routes == after.routes


def test_a_broken_script_is_refused_with_its_line_and_nothing_changes(admin: Any, client: Client) -> None:
    answer = admin("PUT", "/apps/blog/scripts/greet", {"kind": "module", "source": "local M = {}\nM.x = = 1\nreturn M"})
    assert answer.status == 422
    assert answer.error["code"] == "invalid_script"
    assert answer.error["details"][0]["line"] == 2
    assert client("GET", "/run/blog/hello/ada").status == 200


def test_routes_are_listed_put_and_deleted(admin: Any, client: Client) -> None:
    route = {"method": "GET", "pattern": "/hi/:name", "script": "hello", "auth": "public", "timing": True}
    assert admin("PUT", "/apps/blog/routes", route).status == 200
    assert route in admin("GET", "/apps/blog/routes").json()["routes"]
    assert client("GET", "/run/blog/hi/bob").status == 200
    assert admin("DELETE", "/apps/blog/routes?method=GET&pattern=/hi/:name").status == 200
    assert client("GET", "/run/blog/hi/bob").status == 404
    assert admin("DELETE", "/apps/blog/routes?method=GET&pattern=/hi/:name").status == 404
    assert admin("PUT", "/apps/blog/routes", route | {"script": "greet"}).status == 409
    assert admin("PUT", "/apps/blog/routes", route | {"pattern": "hi"}).status == 422
    assert admin("PUT", "/apps/blog/routes", route | {"auth": "secret"}).status == 400


def test_bad_bodies_are_refused_with_the_field(admin: Any) -> None:
    assert admin("POST", "/apps", body=b"{").status == 400
    assert admin("POST", "/apps", body=b"\xff\xfe").status == 400
    assert admin("POST", "/apps").status == 400
    assert "body.nmae" in admin("POST", "/apps", {"nmae": "x"}).error["message"]
    assert "query.pattern" in admin("DELETE", "/apps/blog/routes?method=GET").error["message"]
    assert admin("POST", "/apps", body=b" " * (2**20 + 1)).status == 413
    assert admin("POST", "/apps", body=b"[" * 500_000).status == 400


def test_a_script_s_nul_never_gets_to_the_database(admin: Any) -> None:
    assert admin("PUT", "/apps/blog/scripts/n%00l", {"kind": "endpoint", "source": "return 1"}).status == 400
    assert admin("PUT", "/apps/blog/scripts/nul", {"kind": "endpoint", "source": "return '\0'"}).status == 400
    assert admin("GET", "/apps/blog/scripts/n%00l").status == 404
    assert admin("DELETE", "/apps/blog/scripts/n%00l").status == 404


def test_every_answer_has_a_request_id(admin: Any) -> None:
    for answer in (admin("GET", "/apps"), admin("GET", "/nowhere"), admin("GET", "/openapi.json")):
        assert answer.headers["x-request-id"]
