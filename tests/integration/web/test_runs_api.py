"""The history of runs over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from picloud.engine.run_input import INPUT_MAX_BYTES
from picloud.model.principal import Scope
from picloud.platform import Platform

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Client, TokenMaker

APP = "/api/v1/apps/blog"
RUNS = f"{APP}/runs"
Admin = Callable[..., "Answer"]


@pytest.fixture
def admin(client: Client, make_token: TokenMaker, platform: Platform) -> Admin:
    token = make_token(None)

    def call(method: str, path: str, data: object = None) -> Answer:
        platform.history.flush()
        return client(method, path, token=token, data=data)

    return call


def run_of(admin: Admin, **wanted: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    [run] = admin("GET", f"{RUNS}?{query}").json()["runs"]
    return admin("GET", f"{RUNS}/{run['id']}").json()


def test_a_request_leaves_a_run_with_its_id(admin: Admin, client: Client) -> None:
    client(
        "POST", "/run/blog/text?a=1&a=%C3%A4", headers={"x-request-id": "my-request", "cookie": "hush"}, body=b"\xff"
    )
    run = run_of(admin, request_id="my-request")
    assert (run["kind"], run["script"], run["subject"], run["status"]) == (
        "endpoint",
        "text",
        "POST /text",
        "succeeded",
    )
    assert (run["http_status"], run["alike"], run["message"], run["used"]["calls"]) == (200, 1, None, 0)
    request = run["request"]
    assert (request["method"], request["path"], request["query"]) == ("POST", "/text", [["a", "1"], ["a", "ä"]])
    assert request["body"] == {"text": None, "base64": "/w=="}
    assert request["headers"]["cookie"] == "(not kept)"


def test_whoever_called_is_told_and_the_token_is_not(admin: Admin, client: Client, make_token: TokenMaker) -> None:
    token = make_token("blog")
    client("GET", "/run/blog/private", token=token, headers={"x-request-id": "private-one"})
    run = run_of(admin, request_id="private-one")
    assert run["principal"].startswith("token:")
    assert token not in str(run)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fail", "failed", "script_runtime_error"),
        ("/spin", "failed", "time_limit_exceeded"),
        ("/split", "failed", "invalid_response"),
    ],
)
def test_what_failed_tells_how(admin: Admin, client: Client, path: str, status: str, code: str) -> None:
    client("GET", f"/run/blog{path}", headers={"x-request-id": "a-failure"})
    run = run_of(admin, status=status)
    assert (run["code"], run["request_id"], run["http_status"]) == (code, "a-failure", None)
    assert run["message"]


def test_what_never_ran_is_no_run(admin: Admin, client: Client) -> None:
    for path in ("/none", "/private"):
        client("GET", f"/run/blog{path}")
    client("POST", "/run/blog/echo", body=bytes(2**21))
    assert admin("GET", RUNS).json() == {"runs": [], "next": None}


def test_a_large_body_is_told_by_its_size(admin: Admin, client: Client) -> None:
    client("POST", "/run/blog/echo", body=bytes(INPUT_MAX_BYTES + 1), headers={"x-request-id": "large-one"})
    run = run_of(admin, request_id="large-one")
    assert run["request"] is None
    assert run["input_bytes"] > INPUT_MAX_BYTES


def test_pages_go_on_where_they_ended(admin: Admin, client: Client) -> None:
    for number in range(3):
        client("GET", "/run/blog/text", headers={"x-request-id": f"request-{number}"})
    first = admin("GET", f"{RUNS}?limit=2").json()
    second = admin("GET", f"{RUNS}?limit=2&before={first['next']}").json()
    assert [run["request_id"] for page in (first, second) for run in page["runs"]] == [
        "request-2", "request-1", "request-0",
    ]  # fmt: skip
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *(
            (wrong, 400)
            for wrong in (
                "limit=0",
                "limit=501",
                "limit=x",
                "before=x",
                "before=0",
                f"before={2**63}",
                "status=good",
                "event=1",
                "color=red",
            )
        ),
        ("script=%00", 400),
        *((right, 200) for right in (f"before={2**63 - 1}", "script=nobody", "status=fault")),
    ],
)
def test_filters_are_checked(admin: Admin, query: str, status: int) -> None:
    assert admin("GET", f"{RUNS}?{query}").status == status


@pytest.mark.parametrize(("run", "status"), [("1" * 32, 404), ("xyz", 400), ("%00", 400), ("1234567", 400)])
def test_a_run_that_is_not_there_is_told(admin: Admin, run: str, status: int) -> None:
    assert admin("GET", f"{RUNS}/{run}").status == status


def test_an_app_says_how_long_its_runs_are_kept(admin: Admin) -> None:
    settings = {"failed_runs_kept_days": 90, "runs_kept": 10_000}
    assert admin("GET", f"{APP}/retention").json() == {"runs_kept_days": 7, "is_own": False, **settings}
    for days, kept in ((3, 3), (0, 0), (None, 7)):
        said = {"runs_kept_days": kept, "is_own": days is not None, **settings}
        assert admin("PUT", f"{APP}/retention", {"runs_kept_days": days}).json() == said
        assert admin("GET", f"{APP}/retention").json() == said
    for wrong in (-1, 36_501, 1.5, "3", True):
        assert admin("PUT", f"{APP}/retention", {"runs_kept_days": wrong}).status == 400


def test_runs_are_data(client: Client, make_token: TokenMaker) -> None:
    only_scripts = make_token("blog", Scope.SCRIPT_READ)
    assert client("GET", RUNS, token=only_scripts).status == 403
    assert client("GET", RUNS, token=make_token("blog", Scope.DATA_READ)).status == 200
