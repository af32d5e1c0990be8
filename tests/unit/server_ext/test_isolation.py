"""What may pass between a browser logged in to Jupyter and a script (D9)."""

from __future__ import annotations

import pytest

from server_ext import isolation

TOKEN = "8f2c1d"


def sent(*headers: tuple[str, str], token: str = TOKEN) -> list[tuple[str, str]]:
    return isolation.request_headers(headers, jupyter_token=token)


@pytest.mark.parametrize(
    "name", ["Cookie", "cookie", "X-XSRFToken", "Authorization", "Proxy-Authorization", "Upgrade", "TE"]
)
def test_session_and_hop_by_hop_headers_never_reach_a_script(name: str) -> None:
    assert sent((name, "anything"), ("Accept", "text/html")) == [("Accept", "text/html")]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_picloud_token_reaches_the_script_route(scheme: str) -> None:
    assert sent(("Authorization", f"{scheme} pic_abc")) == [("Authorization", f"{scheme} pic_abc")]


@pytest.mark.parametrize("value", [f"token {TOKEN}", f"Bearer {TOKEN}", "Basic cGljXw==", "Bearer xpic_abc", ""])
def test_any_other_credential_does_not(value: str) -> None:
    assert sent(("Authorization", value)) == []


@pytest.mark.parametrize(
    "value", [f"http://localhost:8888/lab?token={TOKEN}", "http://localhost:8888/lab?token=%38f2c1d"]
)
def test_a_header_that_quotes_the_jupyter_token_is_dropped(value: str) -> None:
    assert sent(("Referer", value)) == []
    assert sent(("Referer", value), token="") == [("Referer", value)]


def test_headers_named_by_connection_are_dropped() -> None:
    assert sent(("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-End", "2")) == [("X-End", "2")]


def test_repeated_headers_keep_their_order() -> None:
    headers = [("X-A", "1"), ("X-B", "2"), ("X-A", "3")]
    assert sent(*headers) == headers
    assert isolation.response_headers(headers)[:3] == headers


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie",
        "set-cookie",
        "Clear-Site-Data",
        "Service-Worker-Allowed",
        "Strict-Transport-Security",
        "Alt-Svc",
        "NEL",
    ],
)
def test_headers_that_act_on_the_whole_origin_are_dropped(name: str) -> None:
    assert isolation.response_headers([(name, "x")]) == list(isolation.PAGE_HEADERS)


def test_a_scripts_own_policy_is_replaced_by_the_sandbox() -> None:
    answer = isolation.response_headers(
        [("Content-Security-Policy", "sandbox allow-same-origin"), ("content-security-policy", "default-src *")]
    )
    policies = [value for name, value in answer if name.lower() == "content-security-policy"]
    assert len(policies) == 1
    assert policies[0].startswith("sandbox ")
    assert "allow-same-origin" not in policies[0]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"token={TOKEN}", ""),
        (f"a=1&token={TOKEN}&b=2", "a=1&b=2"),
        ("a=1&token=%38f2c1d", "a=1"),
        (f"%74oken={TOKEN}", ""),
        (f"token={TOKEN}&token=other", "token=other"),
        ("token=other", "token=other"),
        ("a=%2f&&b=+%20", "a=%2f&&b=+%20"),
        ("", ""),
    ],
)
def test_the_jupyter_token_leaves_the_query_and_all_else_stays(raw: str, expected: str) -> None:
    assert isolation.query(raw, jupyter_token=TOKEN) == expected


def test_without_a_jupyter_token_an_empty_argument_stays() -> None:
    assert isolation.query("token=", jupyter_token="") == "token="


def test_a_target_keeps_its_escapes_and_encodes_raw_bytes() -> None:
    assert isolation.target("/run/a/%2F%c3%A4/\xff?x=%20") == "/run/a/%2F%c3%A4/%FF?x=%20"
