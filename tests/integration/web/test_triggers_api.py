"""Triggers over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Client, TokenMaker

TRIGGERS = "/api/v1/apps/blog/triggers"
BODY = {"kind": "topic", "source": "t", "script": "text"}

Admin = Callable[..., "Answer"]


@pytest.fixture
def admin(client: Client, make_token: TokenMaker) -> Admin:
    token = make_token(None)
    return lambda method, path, data=None: client(method, path, token=token, data=data)


def test_a_trigger_is_put_shown_and_deleted(admin: Admin) -> None:
    assert admin("PUT", f"{TRIGGERS}/watch", BODY).json()["plan"]["added"] == ["trigger watch"]
    body = {"kind": "kv", "source": "a:*", "script": "text", "on": ["delete"], "retries": 1, "timeout_s": 2.5}
    assert admin("PUT", f"{TRIGGERS}/watch", body).json()["plan"]["changed"] == ["trigger watch"]
    [shown] = admin("GET", TRIGGERS).json()["triggers"]
    assert body.items() <= shown.items()
    assert shown["name"] == "watch"
    assert (
        admin("PUT", f"{TRIGGERS}/watch", {name: shown[name] for name in shown if name not in ("name", "next")}).status
        == 200
    )
    assert admin("DELETE", f"{TRIGGERS}/watch").json()["plan"]["removed"] == ["trigger watch"]
    assert admin("DELETE", f"{TRIGGERS}/watch").status == 404
    assert admin("GET", TRIGGERS).json() == {"triggers": []}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"script": "greet"}, 409, "'greet' is a module: a trigger runs an endpoint's script."),
        ({"script": "nobody"}, 404, "no script 'nobody'"),
        ({"kind": "corn", "source": "* * * * *"}, 400, "kind"),
        ({"source": "a b"}, 422, "'a b' cannot name a topic"),
        ({"source": ""}, 422, "say a topic after 'topic'"),
        ({"retries": 10**400}, 422, "retries must be from 0 to 100"),
        ({"retries": -1}, 422, "retries must be from 0 to 100"),
        ({"retries": 1.5}, 400, "retries"),
        ({"backoff_s": 1e300}, 422, "backoff must be from 0 to 86400"),
        ({"batch": 2}, 422, "batch= and wait= are for queues"),
        ({"kind": "kv", "on": ["set", "set"]}, 422, "on=set,set is not valid"),
        ({"kind": "kv", "on": []}, 422, "on= is not valid"),
        ({"kind": "docs", "on": ["set"]}, 422, "on=set is not valid; use some of insert,update,delete"),
        ({"kind": "kv", "source": "a\0"}, 400, "source"),
        ({"color": "red"}, 400, "color"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_said(admin: Admin, change: dict[str, Any], status: int, says: str) -> None:
    answer = admin("PUT", f"{TRIGGERS}/watch", BODY | change)
    assert (answer.status, says in answer.error["message"]) == (status, True), answer.error
    assert admin("GET", TRIGGERS).json() == {"triggers": []}


def test_a_script_a_trigger_runs_stays_an_endpoint_of_the_app(admin: Admin) -> None:
    script = "/api/v1/apps/blog/scripts/worker"
    admin("PUT", script, {"kind": "endpoint", "source": "return 1"})
    admin("PUT", f"{TRIGGERS}/watch", BODY | {"script": "worker"})
    for answer in (
        admin("PUT", script, {"kind": "module", "source": "return {}"}),
        admin("DELETE", script),
    ):
        assert answer.status == 409
        assert "while routes or triggers lead to it: trigger watch" in answer.error["message"]
    assert admin("POST", f"{script}/rename", {"name": "mailer"}).status == 200
    assert [t["script"] for t in admin("GET", TRIGGERS).json()["triggers"]] == ["mailer"]
