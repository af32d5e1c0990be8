"""Dead letters over the API."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from picloud.model.principal import Scope
from picloud.platform import Platform
from tests.integration.letters import attempt, bury

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Client, TokenMaker

LETTERS = "/api/v1/apps/blog/dead-letters"
NOWHERE = UUID(int=0)

Admin = Callable[..., "Answer"]


@pytest.fixture
def admin(client: Client, make_token: TokenMaker) -> Admin:
    token = make_token("blog", Scope.DATA_READ, Scope.DATA_WRITE)
    return lambda method, path="", data=None, **more: client(method, LETTERS + path, token=token, data=data, **more)


def events(platform: Platform) -> list[tuple[Any, ...]]:
    with platform.database.connection() as connection:
        return connection.execute("SELECT id, is_json, payload FROM events ORDER BY number").fetchall()


def test_a_letter_is_shown_whole(admin: Admin, platform: Platform) -> None:
    used = {"wall_ms": 1.5, "calls": 2}
    failures = [attempt("first"), attempt("ü </script>", used=used, script=None, line=None)]
    identity = bury(
        platform, "blog", kind="docs", name="notes", operation="update", key="a", version=3, message="ü </script>",
        payload='{"n": 9007199254740993, "f": 1.0, "u": "\\u0000ü"}', before=b"[1]", failures=failures, attempts=2,
    )  # fmt: skip
    shown = admin("GET", f"/{identity}").json()
    assert shown["input"] == {"n": 9007199254740993, "f": 1.0, "u": "\0ü"}
    assert (shown["input_base64"], shown["before"], shown["key"], shown["version"]) == (None, [1], "a", 3)
    assert (shown["state"], shown["decided_by"], shown["redriven_as"], shown["redrives"]) == ("open", None, None, None)
    first, second = shown["failures"]
    assert first == {
        "at": "2026-01-01T00:00:00Z", "code": "script_runtime_error", "message": "first", "version": "ab" * 32,
        "script": "mailer", "line": 3, "traceback": ["mailer:3: in the main chunk"],
        "log": [{"level": "info", "message": "begins"}], "used": None,
    }  # fmt: skip
    assert (second["message"], second["used"], second["line"]) == ("ü </script>", used, None)
    [entry] = admin("GET").json()["dead_letters"]
    assert entry.items() <= shown.items()
    assert not {"input", "before", "failures"} & entry.keys()


@pytest.mark.parametrize(("payload", "is_json"), [
    (b"\xff\0", False), (b"text", False), (b"{", True), (b'"\\ud800"', True), (b"NaN", True), (b"[" * 10_000, True),
])  # fmt: skip
def test_what_is_no_json_comes_as_base64(admin: Admin, platform: Platform, payload: bytes, is_json: bool) -> None:
    identity = bury(platform, "blog", kind="kv", name="", key=b"\xff", payload=payload, is_json=is_json)
    shown = admin("GET", f"/{identity}").json()
    assert (shown["input"], base64.b64decode(shown["input_base64"])) == (None, payload)
    assert (shown["key"], base64.b64decode(shown["key_base64"])) == (None, b"\xff")


def test_letters_are_listed_by_what_the_query_says(admin: Admin, platform: Platform) -> None:
    ids = [str(bury(platform, "blog", message=f"number {n} %", trigger=f"t{n % 2}")) for n in range(5)]
    admin("POST", f"/{ids[0]}/discard")

    def found(query: str) -> list[str]:
        return [letter["id"] for letter in admin("GET", f"?{query}").json()["dead_letters"]]

    assert found("") == ids[:0:-1]
    assert found("state=all") == ids[::-1]
    assert found("state=discarded") == ids[:1]
    assert found("trigger=t1&kind=queue&code=script_runtime_error") == [ids[3], ids[1]]
    assert found("text=NUMBER%203") == [ids[3]]
    assert found("failed_before=2026-01-01T00:00:00Z") == []
    assert found("failed_after=2026-01-01T00:00:00%2B02:00&limit=2") == ids[:2:-1]
    page = admin("GET", "?limit=3").json()
    assert found(f"cursor={page['cursor']}") == [ids[1]]
    assert admin("GET", f"?cursor={page['cursor']}").json()["cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=gone", "state"), ("kind=mail", "kind"), ("limit=0", "limit"), ("limit=1001", "limit"),
        ("failed_after=2026-01-01T00:00:00", "failed_after"), ("failed_before=soon", "failed_before"),
        ("text=%00", "text"), (f"text={'x' * 1001}", "text"), ("color=red", "color"), ("cursor=1", "cursor"),
        ("trigger=" + "x" * 300, "trigger"),
    ],
)  # fmt: skip
def test_a_query_that_is_not_right_is_said(admin: Admin, query: str, field: str) -> None:
    answer = admin("GET", f"?{query}")
    assert answer.status == 400
    assert field in answer.error["message"]


def test_a_letter_is_redriven_once_with_or_without_a_body(admin: Admin, platform: Platform) -> None:
    first, second = (bury(platform, "blog") for _ in range(2))
    event = admin("POST", f"/{first}/redrive").json()["event_id"]
    assert admin("POST", f"/{second}/redrive", {}).status == 200
    assert event == str(events(platform)[0][0])
    again = admin("POST", f"/{first}/redrive", {"input": 1})
    assert (again.status, again.error["code"]) == (409, "conflict")
    assert f"has redriven the dead letter '{first}' already" in again.error["message"]
    assert admin("POST", f"/{first}/discard").status == 409
    shown = admin("GET", f"/{first}").json()
    assert (shown["state"], shown["redriven_as"]) == ("redriven", event)
    assert shown["decided_by"]
    assert shown["decided_at"]


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({"input": None}, (True, b"null")),
        ({"input": {"ü": [1, 2.0, "\0"]}}, (True, '{"ü":[1,2.0,"\\u0000"]}'.encode())),
        ({"input": 2**63 - 1}, (True, b"9223372036854775807")),
        ({"input_base64": base64.b64encode(b"\xff\0").decode()}, (False, b"\xff\0")),
        ({"input_base64": ""}, (False, b"")),
    ],
)  # fmt: skip
def test_a_letter_is_redriven_with_another_input(
    admin: Admin, platform: Platform, body: Any, stored: tuple[bool, bytes]
) -> None:
    identity = bury(platform, "blog")
    event = UUID(admin("POST", f"/{identity}/redrive", body).json()["event_id"])
    assert events(platform) == [(event, *stored)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"input": 1, "input_base64": ""}', "not both"),
        (b'{"input_base64": "x"}', "no Base64"),
        (b'{"input_base64": 1}', "input_base64"),
        (b'{"inptu": 1}', "inptu"),
        (b"[]", "body"),
        (b'{"input": 9223372036854775808}', "more than 64 bits"),
        (b'{"input": 1e999}', "not finite"),
        (b'{"input": ' + b"[" * 101 + b"]" * 101 + b"}", "levels"),
        (b'{"input": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
        (b'{"input": "' + b"x" * 2**18 + b'"}', "more than the 262144 allowed"),
        (b'{"input": "\\ud800"}', ""),
        (b'{"input": NaN}', ""),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_an_input_that_is_not_right_changes_nothing(admin: Admin, platform: Platform, body: bytes, says: str) -> None:
    identity = bury(platform, "blog")
    answer = admin("POST", f"/{identity}/redrive", body=body)
    assert answer.status == 400
    assert says in answer.error["message"]
    assert admin("GET", f"/{identity}").json()["state"] == "open"
    assert events(platform) == []


def test_what_is_not_there_is_404(admin: Admin, platform: Platform) -> None:
    theirs = bury(platform, "other")
    for letter in (str(NOWHERE), str(theirs), "x", "%00", str(theirs)[:8]):
        for method, path in (("GET", ""), ("POST", "/redrive"), ("POST", "/discard")):
            answer = admin(method, f"/{letter}{path}")
            assert (answer.status, answer.error["code"]) == (404, "not_found")
    bulk = admin("POST", "/redrive", {"ids": [str(theirs)]}).json()
    assert bulk == {"results": [{"id": str(theirs), "outcome": "not_found", "event_id": None}], "more": False}


def test_many_are_decided_over_by_id_or_filter_with_what_became_of_each(admin: Admin, platform: Platform) -> None:
    ids = [str(bury(platform, "blog", trigger=f"t{n % 2}")) for n in range(4)]
    assert admin("POST", f"/{ids[0]}/discard").status == 204
    done = admin("POST", "/redrive", {"ids": [ids[1], ids[0], str(NOWHERE), ids[1], ids[0]]}).json()
    assert [(result["id"], result["outcome"]) for result in done["results"]] == [
        (ids[1], "redriven"), (ids[0], "decided_before"), (str(NOWHERE), "not_found"),
    ]  # fmt: skip
    assert done["results"][0]["event_id"] == str(events(platform)[0][0])
    assert admin("POST", "/redrive", {"filter": {"trigger": "t2"}}).json() == {"results": [], "more": False}
    [left] = admin("POST", "/discard", {"filter": {"trigger": "t0"}}).json()["results"]
    assert left == {"id": ids[2], "outcome": "discarded", "event_id": None}
    [last] = admin("POST", "/redrive", {"filter": {}}).json()["results"]
    assert (last["id"], last["outcome"]) == (ids[3], "redriven")


@pytest.mark.parametrize(
    "body",
    [{}, None, {"ids": []}, {"ids": ["x"]}, {"ids": [str(NOWHERE)] * 1001}, {"ids": [str(NOWHERE)], "filter": {}},
     {"filter": {"state": "all"}}, {"filter": {"color": "red"}}, {"filter": None}, {"filter": {"text": "\0"}},
     {"filter": {"text": ""}}],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_many_must_be_meant(admin: Admin, platform: Platform, body: Any) -> None:
    bury(platform, "blog")
    for decide in ("redrive", "discard"):
        assert admin("POST", f"/{decide}", body).status == 400
    assert len(admin("GET").json()["dead_letters"]) == 1


def test_who_may_see_may_not_decide(client: Client, platform: Platform, make_token: TokenMaker) -> None:
    identity = bury(platform, "blog")
    reader = make_token("blog", Scope.DATA_READ)
    writer = make_token("blog", *(set(Scope) - {Scope.DATA_READ}))
    assert client("GET", f"{LETTERS}/{identity}", token=reader).status == 200
    for path in (f"/{identity}/redrive", f"/{identity}/discard", "/redrive", "/discard"):
        assert client("POST", LETTERS + path, token=reader, data={"filter": {}}).status == 403
    assert client("GET", f"{LETTERS}/{identity}", token=writer).status == 403
    assert client("GET", LETTERS, token=writer).status == 403
