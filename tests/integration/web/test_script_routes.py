from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from picloud.auth.tokens import hash_token
from picloud.auth.tokens import make_token as new_secret
from picloud.model.principal import Principal, Scope
from picloud.platform import Platform

if TYPE_CHECKING:
    from tests.integration.web.conftest import Client, TokenMaker


def test_an_endpoint_answers_with_its_module_s_words(client: Client) -> None:
    answer = client("GET", "/run/blog/hello/ada")
    assert answer.status == 200
    assert answer.json() == {"message": "Hello, ada"}
    assert answer.headers["content-type"].startswith("application/json")


def test_a_request_reaches_the_script_whole(client: Client) -> None:
    answer = client(
        "POST", "/run/blog/echo?q=%C3%A9&q=2&e=", body="{'\u00fc'".encode(), headers={"X-Custom": "1", "Cookie": "a=b"}
    ).json()
    assert answer["method"] == "POST"
    assert answer["path"] == "/echo"
    assert answer["body"] == "{'ü'"
    assert answer["headers"]["x-custom"] == "1"
    assert "principal" not in answer or answer["principal"] is None


def test_a_chunked_body_arrives(client: Client) -> None:
    assert client("POST", "/run/blog/echo", body=b"piece by piece", chunked=True).json()["body"] == "piece by piece"


def test_a_path_is_decoded_as_utf8(client: Client) -> None:
    assert client("GET", "/run/blog/hello/%E2%98%83%20x").json() == {"message": "Hello, ☃ x"}


def test_text_goes_out_as_utf8(client: Client) -> None:
    assert client("GET", "/run/blog/text").body == "grüße".encode()


def test_a_route_tells_what_a_run_used_when_it_allows_that_only(client: Client) -> None:
    assert "server-timing" not in client("GET", "/run/blog/hello/ada").headers
    timing = client("GET", "/run/blog/timed/ada").headers["server-timing"]
    names = [metric.split(";")[0] for metric in timing.split(", ") if ";" in metric]
    assert names == ["run", "cpu", "sdk", "memory", "scripts"]
    durations = [float(text) for text in re.findall(r"dur=([\d.]+)", timing)]
    assert len(durations) == 3
    assert durations[0] >= durations[2] >= 0


def test_nothing_is_204_without_a_body(client: Client) -> None:
    answer = client("GET", "/run/blog/nothing")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


def test_head_answers_like_get_without_the_body(client: Client) -> None:
    get, head = client("GET", "/run/blog/text"), client("HEAD", "/run/blog/text")
    assert head.status == 200
    assert head.body == b""
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    "target",
    ["/run/blog", "/run/blog/", "/run/blog/nowhere", "/run/blog/hello", "/run/nobody/x", "/run/", "/run/other/x"],
)
def test_what_is_not_there_is_404(client: Client, target: str) -> None:
    answer = client("GET", target)
    assert answer.status == 404
    assert answer.error["code"] == "not_found"


@pytest.mark.parametrize(
    "target",
    [
        "/run/BLOG/text",
        "/run/blog%00/text",
        "/run/%00",
        "/run//text",
        "/run/../run/blog/text",
        "/run/blog%20/text",
        "/run/bl%6fg%0a/text",
        "/run/other/../blog/text",
        "/run/blog/./text",
        "/run/blog//text",
        "/run/blog/text/",
        "/run/blog/x/..%2ftext",
        "/run/" + "a" * 5000,
        "/RUN/blog/text",
        "/run",
        "/",
        "//run/blog/text",
        "/etc/passwd",
    ],
)
def test_path_tricks_lead_nowhere(client: Client, target: str) -> None:
    assert client("GET", target).error["code"] == "not_found"


def test_the_rest_of_a_path_arrives_as_it_is_never_resolved(client: Client) -> None:
    assert client("GET", "/run/blog/files/a/../../b").json()["path"] == "/files/a/../../b"


@pytest.mark.parametrize(
    "target", ["/run/blog/hello/%ff", "/run/%ff/x", "/run/blog/echo?a=%ff", "/run/blog/hello/%c0%af"]
)
def test_invalid_utf8_is_400(client: Client, target: str) -> None:
    answer = client("GET", target)
    assert answer.status == 400
    assert "UTF-8" in answer.error["message"]


def test_another_method_is_405_with_what_is_allowed(client: Client) -> None:
    answer = client("DELETE", "/run/blog/text")
    assert answer.status == 405
    assert {method.strip() for method in answer.headers["allow"].split(",")} >= {"GET", "POST"}
    assert answer.error["code"] == "method_not_allowed"


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_an_unheard_of_method_is_405(client: Client) -> None:
    assert client("BREW", "/run/blog/text").status == 405


def test_a_script_error_tells_nothing_of_the_script(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer = client("GET", "/run/blog/fail", headers={"X-Request-Id": "my-request-1"})
    assert answer.status == 500
    assert answer.json() == {
        "error": {"code": "script_runtime_error", "message": "The script failed.", "request_id": "my-request-1"}
    }
    assert "hunter2" in caplog.text
    assert "my-request-1" in caplog.text


def test_a_run_past_its_time_is_504_and_the_next_request_is_fine(client: Client) -> None:
    answer = client("GET", "/run/blog/spin")
    assert (answer.status, answer.error["code"]) == (504, "time_limit_exceeded")
    assert client("GET", "/run/blog/text").status == 200


def test_a_run_past_its_memory_is_500_and_the_next_request_is_fine(client: Client) -> None:
    answer = client("GET", "/run/blog/hoard")
    assert (answer.status, answer.error["code"]) == (500, "memory_limit_exceeded")
    assert client("GET", "/run/blog/text").status == 200


def test_a_script_cannot_split_the_response(client: Client) -> None:
    answer = client("GET", "/run/blog/split")
    assert answer.status == 500
    assert answer.error["code"] == "invalid_response"
    assert "set-cookie" not in answer.headers


def test_a_script_cannot_set_what_only_the_server_knows(client: Client) -> None:
    answer = client("GET", "/run/blog/forge")
    assert (answer.status, answer.headers["content-length"], answer.headers["x-ok"]) == (201, "5", "yes")
    assert answer.headers["x-request-id"] != "forged"


def test_a_declared_body_beyond_the_limit_is_413(client: Client) -> None:
    answer = client("POST", "/run/blog/echo", body=b"x" * (2**20 + 1))
    assert answer.status == 413
    assert answer.error["code"] == "body_too_large"
    assert client("POST", "/run/blog/nothing", body=b"x" * 2**20).status == 204


def test_a_chunked_body_beyond_the_limit_is_413(client: Client) -> None:
    assert client("POST", "/run/blog/echo", body=b"x" * (2**20 + 1), chunked=True).status == 413


def test_a_token_route_is_closed_without_a_token(client: Client) -> None:
    answer = client("GET", "/run/blog/private")
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_of_the_app_or_the_instance_opens_a_token_route(client: Client, make_token: TokenMaker) -> None:
    for owner in ("blog", None):
        answer = client("GET", "/run/blog/private", token=make_token(owner, Scope.DATA_READ))
        assert answer.status == 200
        assert answer.json()["principal"].startswith("token:t")


def test_a_token_of_another_app_does_not_exist_here(client: Client, make_token: TokenMaker) -> None:
    assert client("GET", "/run/blog/private", token=make_token("other")).status == 404


def test_an_expired_a_revoked_and_an_invented_token_are_none(
    client: Client, platform: Platform, make_token: TokenMaker
) -> None:
    expired, revoked = new_secret(), make_token("blog")
    stored = platform.tokens.find(hash_token(revoked))
    assert stored is not None
    platform.tokens.revoke(stored.id)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    platform.tokens.create("old", hash_token(expired), [Scope.DATA_READ], expires_at=yesterday)
    for token in (expired, revoked, new_secret(), "pic_", "' OR 1=1 --"):
        assert client("GET", "/run/blog/private", token=token).status == 401


def test_a_picloud_token_never_reaches_a_script(client: Client, make_token: TokenMaker) -> None:
    for owner in ("blog", "other", None):
        token = make_token(owner)
        answer = client("GET", "/run/blog/echo", token=token)
        assert answer.status == 200
        assert token not in answer.body.decode()
        assert "authorization" not in answer.json()["headers"]


def test_a_stranger_to_the_app_is_anonymous_on_its_public_routes(client: Client, make_token: TokenMaker) -> None:
    assert client("GET", "/run/blog/echo", token=make_token("other")).json().get("principal") is None
    assert client("GET", "/run/blog/echo", token=make_token("blog")).json()["principal"].startswith("token:")


def test_a_script_sees_authorization_of_its_own_kind(client: Client) -> None:
    answer = client("GET", "/run/blog/echo", headers={"Authorization": "Bearer eyJhbGciOi"})
    assert answer.json()["headers"]["authorization"] == "Bearer eyJhbGciOi"


def test_a_host_in_the_same_process_vouches_for_the_caller(client: Client) -> None:
    principal = Principal("jupyter:ada", frozenset(Scope))
    assert client("GET", "/run/blog/private", principal=principal).json()["principal"] == "jupyter:ada"


def test_a_client_cannot_vouch_for_itself(client: Client) -> None:
    answer = client("GET", "/run/blog/private", headers={"picloud.principal": "jupyter:ada", "Picloud-Principal": "x"})
    assert answer.status == 401


def test_the_request_id_is_the_client_s_or_a_new_one_and_the_script_knows_it(client: Client) -> None:
    answer = client("GET", "/run/blog/echo", headers={"X-Request-Id": "trace-me-42"})
    assert answer.headers["x-request-id"] == answer.json()["id"] == "trace-me-42"
    ids = {client("GET", "/run/blog/text").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_without_a_database_every_path_says_so(client: Client, platform: Platform) -> None:
    assert client("GET", "/healthz").json() == {"status": "ok"}
    platform.database.close()
    for target in ("/run/blog/text", "/healthz"):
        answer = client("GET", target)
        assert answer.status == 503
        assert answer.error["code"] == "database_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert "picloud-test" not in json.dumps(answer.json())
