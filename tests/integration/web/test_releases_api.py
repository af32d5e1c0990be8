"""Releases over HTTP: plans with diffs, forced publishes, publishes on another release, calls of old releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from picloud.model.principal import Scope
from picloud.platform import Platform

if TYPE_CHECKING:
    from tests.integration.web.conftest import Client, TokenMaker

RELEASES = "/api/v1/apps/other/releases"
PUBLISH = (Scope.SCRIPT_WRITE, Scope.ROUTE_MANAGE, Scope.TRIGGER_MANAGE, Scope.SCRIPT_READ)


def manifest(version: int, *, fails: bool = False, auth: str = "public") -> dict[str, Any]:
    """An endpoint that tells its module's version and counts in today's data; every version has another route."""
    return {
        "scripts": [
            {"name": "who", "kind": "endpoint", "source": 'return { v = require("m").v, seen = kv.get("seen") }'},
            {"name": "m", "kind": "module", "source": f"return {{ v = {version} }}"},
        ],
        "routes": [
            {"method": "GET", "pattern": "/who", "script": "who", "auth": auth},
            {"method": "GET", "pattern": f"/only/{version}", "script": "who"},
        ],
        "tests": [{"name": "t", "source": f"\nexpect({int(fails)}):equals(0)"}],
    }


def test_a_plan_has_what_its_triggers_will_do(client: Client, make_token: TokenMaker) -> None:
    token = make_token("other")
    trigger = {"name": "nightly", "kind": "cron", "source": "0 3 * * *", "tz": "Europe/Berlin", "script": "who"}
    data = {"manifest": manifest(0) | {"triggers": [trigger]}}
    [planned] = client("POST", "/api/v1/apps/other/plan", token=token, data=data).json()["triggers"]
    assert planned["retries_at_s"] == [5, 15, 35]
    assert planned["retries"] == "retries at +5 s, +15 s, +35 s, then a dead letter; each pause up to 10% shorter"
    assert len(planned["next"]) == 5
    assert all("T03:00:00+0" in tick for tick in planned["next"])
    assert client("POST", RELEASES, token=token, data=data).status == 201
    assert client("POST", "/api/v1/apps/other/plan", token=token, data=data).json()["triggers"] == []


def test_a_plan_has_diffs_tests_and_the_release_that_is_live(client: Client, make_token: TokenMaker) -> None:
    token = make_token("other")
    assert client("POST", RELEASES, token=token, data={"manifest": manifest(1)}).status == 201
    plan = client("POST", "/api/v1/apps/other/plan", token=token, data={"manifest": manifest(2)}).json()
    assert plan["base"] == 1
    assert plan["tests"] == [{"name": "t", "reaches": []}]
    changed = {change["entry"]: change for change in plan["changes"]}
    assert changed["module m"]["lines"] == ["@@ -1,1 +1,1 @@", "-return { v = 1 }", "+return { v = 2 }"]
    assert changed["route GET /only/1"]["lines"] == ["@@ -1,1 +0,0 @@", "-who, auth=public, timing=off"]
    assert client("POST", RELEASES, token=token, data={"manifest": manifest(2)}).status == 201
    entries = [change["entry"] for change in client("GET", f"{RELEASES}/2/diff", token=token).json()["changes"]]
    assert entries == ["module m", "route GET /only/1", "route GET /only/2"]
    assert client("GET", f"{RELEASES}/9/diff", token=token).status == 404


def test_a_failing_test_is_told_and_forced_only_by_who_administers(client: Client, make_token: TokenMaker) -> None:
    token, admin = make_token("other", *PUBLISH), make_token("other", *PUBLISH, Scope.APP_ADMIN)
    data = {"manifest": manifest(1, fails=True)}
    refused = client("POST", RELEASES, token=admin, data=data)
    assert refused.status == 422
    assert refused.error["details"] == [{"test": "t", "message": "expected 1 to equal 0", "line": 2, "at": None}]
    data["force"] = {"reason": "the test is wrong"}
    assert client("POST", RELEASES, token=token, data=data).status == 403
    for reason in ("", "  ", None, 1):
        assert client("POST", RELEASES, token=admin, data={**data, "force": {"reason": reason}}).status == 400
    assert client("GET", RELEASES, token=token).json() == {"releases": []}
    done = client("POST", RELEASES, token=admin, data=data)
    assert done.status == 201
    forced = {"reason": "the test is wrong", "failures": refused.error["details"]}
    assert done.json()["release"]["forced"] == forced
    assert client("GET", f"{RELEASES}/1", token=token).json()["forced"] == forced
    assert client("POST", RELEASES, token=token, data={"manifest": manifest(2)}).status == 201
    assert client("POST", f"{RELEASES}/1/rollback", token=token).status == 422
    assert client("POST", f"{RELEASES}/1/rollback?force_reason=now", token=token).status == 403
    assert client("POST", f"{RELEASES}/1/rollback?force_reason=now", token=admin).status == 201


def test_a_publish_on_another_release_than_it_was_made_from_is_a_conflict(
    client: Client, make_token: TokenMaker
) -> None:
    token = make_token("other")
    for version, base in ((1, 0), (2, 1)):
        answer = client("POST", RELEASES, token=token, data={"manifest": manifest(version), "base_release": base})
        assert answer.status == 201
    late = client("POST", RELEASES, token=token, data={"manifest": manifest(3), "base_release": 1})
    assert late.status == 409
    assert "release 2 by token:" in late.error["message"]
    assert "module m" in late.error["message"]


def test_several_notebooks_make_one_app(client: Client, make_token: TokenMaker) -> None:
    def notebook(*cells: str) -> dict[str, Any]:
        code = [{"cell_type": "code", "source": cell} for cell in cells]
        return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code}

    token = make_token("other")
    notebooks = {"b.ipynb": notebook("%%module m\nreturn {}"), "a.ipynb": notebook("%%endpoint e GET /e\nreturn 'e'")}
    assert client("POST", RELEASES, token=token, data={"notebooks": notebooks}).status == 201
    assert client("GET", "/run/other/e").body == b"e"
    assert client("GET", f"{RELEASES}/1", token=token).json()["notebook"] == "a.ipynb, b.ipynb"
    notebooks["c.ipynb"] = notebook("1", "%%module m\nreturn {}")
    refused = client("POST", RELEASES, token=token, data={"notebooks": notebooks})
    assert refused.error["message"].startswith("c.ipynb, cell 2: the name 'm' is already taken by cell 1 of b.ipynb")
    assert client("POST", RELEASES, token=token, data={"notebooks": {}}).status == 422
    assert client("POST", RELEASES, token=token, data={"notebooks": notebooks, "notebook": {}}).status == 400


@pytest.fixture
def three(client: Client, make_token: TokenMaker) -> str:
    """Publish three releases of `other`, the last with a token route; return a token of its administrator."""
    token = make_token("other")
    for version in (1, 2, 3):
        data = {"manifest": manifest(version, auth="token" if version == 3 else "public")}
        assert client("POST", RELEASES, token=token, data=data).status == 201
    return token


def call(client: Client, token: str | None, release: str, path: str = "/who", app: str = "other") -> Any:
    return client("GET", f"/run/{app}{path}", token=token, headers={"X-PiCloud-Release": release})


def test_an_old_release_answers_with_its_modules_and_routes_on_todays_data(
    client: Client, platform: Platform, three: str
) -> None:
    platform.interactive("other", lambda _text: None).run('kv.set("seen", "today")')
    for release in ("1", "2", "3", "1"):
        assert call(client, three, release).json() == {"v": int(release), "seen": "today"}
        assert call(client, three, release, f"/only/{release}").status == 200
    assert call(client, three, "1", "/only/2").status == 404
    assert client("GET", "/run/other/who", token=three).json()["v"] == 3


@pytest.mark.parametrize("release", ["0", "-1", "x", "", "1.0", "٣", "1" * 19, "1,2", " 1"])
def test_what_is_no_number_is_refused(client: Client, three: str, release: str) -> None:
    assert call(client, three, release).status == 400


def test_who_may_not_see_old_releases(client: Client, make_token: TokenMaker, three: str) -> None:
    without = make_token("other", *(set(Scope) - {Scope.APP_ADMIN}))
    foreign = make_token("blog")
    for release in ("1", "99", "x"):
        assert call(client, None, release).status == 401
        assert call(client, None, release, app="nobody").status == 401
        assert call(client, without, release).status == 403
        theirs, nobodys = call(client, foreign, release), call(client, foreign, release, app="nobody")
        assert theirs.error["message"] == nobodys.error["message"]
        assert theirs.status == nobodys.status == 404
    assert call(client, three, "99").error["message"] == "The app has no release 99."


def test_old_releases_drive_nothing_out_that_is_live(client: Client, platform: Platform, three: str) -> None:
    client("GET", "/run/other/who", token=three)
    before = platform.snapshots.counters.read()
    for _ in range(3):
        for release in ("1", "2"):
            call(client, three, release)
    assert platform.snapshots.counters.read() == before
