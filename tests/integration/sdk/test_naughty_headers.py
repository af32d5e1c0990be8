"""Strings that break things, as headers: they arrive as they were, encoded or not, or are refused; never changed."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest

from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform
from picloud.web import create_app
from tests.integration.sdk.naughty import NAUGHTY
from tests.integration.web.conftest import Client

ECHO = """
local raw = request.headers["x-raw"]
return raw or "none", 200, {
  ["x-raw"] = raw,
  ["x-decoded"] = url.encode(url.decode(request.headers["x-encoded"] or "")),
  ["x-length"] = tostring(#url.decode(request.headers["x-encoded"] or "")),
}
"""
SPEAK = "return 'x', 200, { ['x-said'] = kv.get('naughty') }"
FIELD = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""What may stand in a header, as Latin-1."""


@pytest.fixture
def client(platform: Platform) -> Client:
    scripts = (Script("echo", ScriptKind.ENDPOINT, ECHO), Script("speak", ScriptKind.ENDPOINT, SPEAK))
    routes = (Route("GET", "/echo", "echo"), Route("GET", "/speak", "speak"))
    platform.publisher.publish("shop", Manifest(scripts, routes), author="test", create=True)
    return Client(create_app(platform))


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_encoded_it_goes_there_and_back(client: Client, text: str) -> None:
    if len(text) > 10_000:  # an answer has at most 64 KiB of headers
        text = text[:5000]
    answer = client("GET", "/run/shop/echo", headers={"X-Encoded": quote(text, safe="")})
    assert answer.status == 200
    assert unquote(answer.headers["x-decoded"]) == text
    assert int(answer.headers["x-length"]) == len(text.encode())


@pytest.mark.parametrize(
    "text", [t for t in NAUGHTY.values() if FIELD.fullmatch(t) and t.strip() == t and len(t) < 10_000]
)
def test_what_may_stand_in_a_header_arrives_unchanged(client: Client, text: str) -> None:
    answer = client("GET", "/run/shop/echo", headers={"X-Raw": text})
    assert answer.status == 200
    assert answer.headers.get("x-raw", "") == text


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_a_script_says_it_as_it_is_or_not_at_all(client: Client, platform: Platform, text: str) -> None:
    literal = "".join(f"\\{byte:03d}" for byte in text.encode())
    platform.interactive("shop", lambda _text: None).run(f'kv.set("naughty", "{literal}")')
    answer = client("GET", "/run/shop/speak")
    if FIELD.fullmatch(text) and len(text.encode()) <= 60_000:
        assert (answer.status, answer.headers["x-said"]) == (200, text)
    else:
        assert (answer.status, answer.error["code"]) == (500, "invalid_response")
