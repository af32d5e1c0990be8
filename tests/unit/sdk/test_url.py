"""Addresses: no part leaks into another, and what is read is what is built."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.sdk.spec import Value
from picloud.sdk.url import FIELDS_MAX, TEXT_MAX, build, decode, decode_query, encode, encode_query, join, parse
from tests.unit.sdk.conftest import Lua

NO_ADDRESSES = [
    "",
    "x",
    "/a",
    "//h/a",
    "http://",
    "https://a b/",
    "http://h:99999/",
    "http://[::1",
    "http://h\0/",
    "1:x",
    "::",
]
NO_HOSTS = [
    "",
    "a/b",
    "a?b",
    "a#b",
    "u@h",
    "h:80",
    "a\\b",
    "a b",
    "a\tb",
    "a\nb",
    "\0",
    "[::1",
    "[::1]:80",
    "%2f",
    "a%00b",
    "h\r",
]
HOSTILE = st.text(st.sampled_from("a/?#@:\\%.&=+;[] \t\r\n\0é中~\x7f\"'<>")) | st.text()


def parts(text: str) -> dict[str, Any]:
    found = parse(text)
    assert found is not None
    return dict(json.loads(found))


def made(**given: Any) -> str:
    return build(Value(json.dumps(given)))


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_nil(lua: Lua, text: str) -> None:
    assert lua.call("url.parse(a) == nil and url.join(a, 'x') == nil", text) is True


def test_parts_that_are_not_there_are_nil(lua: Lua) -> None:
    absent = "(function(u) return { u.port == nil, u.query == nil, u.fragment == nil, u.username } end)"
    assert lua.call(f"{absent}(url.parse(a))", "https://example.com:443/") == [True, True, True, ""]
    assert lua.call("{ url.parse(a).query, url.parse(a).fragment }", "http://h/?#") == ["", ""]
    assert lua.call("{ url.parse(a).port }", "http://h:8080") == [8080]
    assert lua.call("url.parse(a).hostname == nil and url.parse(a).origin == nil", "mailto:a@b") is True


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_part_ends_early_and_begins_another(path: str, query: str, fragment: str, user: str, password: str) -> None:
    text = made(
        scheme="https", hostname="h.example", port=8443, path=path, query=query, fragment=fragment, username=user,
        password=password,
    )  # fmt: skip
    found = parts(text)
    assert (found["scheme"], found["hostname"], found["port"]) == ("https", "h.example", 8443)
    assert (decode(found["username"].encode()), decode(found["password"].encode())) == (
        decode(user.encode()),
        decode(password.encode()),
    )
    assert decode(found["query"].encode()) == decode(query.encode())
    assert decode(found["fragment"].encode()) == decode(fragment.encode())
    assert build(Value(json.dumps(found))) == text == found["href"]
    assert text.isascii()


@given(st.sampled_from(["data", "x", "web+a", "mailto"]), HOSTILE, HOSTILE)
def test_without_a_hostname_a_path_never_makes_one(scheme: str, path: str, query: str) -> None:
    found = parts(made(scheme=scheme, path=path, query=query))
    assert "hostname" not in found
    assert decode(found["query"].encode()) == decode(query.encode())


@pytest.mark.parametrize("hostname", NO_HOSTS)
def test_a_hostname_that_is_more_than_one_is_refused(lua: Lua, hostname: str) -> None:
    assert lua.error('url.build{ scheme = "https", hostname = a }', hostname).startswith("invalid_input url.build: ")


@given(HOSTILE)
def test_a_hostname_leads_to_that_host_or_nowhere(hostname: str) -> None:
    try:
        found = parts(made(scheme="https", hostname=hostname, path="/p", query="q"))
    except InvalidInput:
        return
    assert (found["path"], found["query"], found["username"]) == ("/p", "q", "")
    assert "port" not in found


@pytest.mark.parametrize(
    ("given_parts", "message"),
    [
        ("{}", "scheme must be"),
        ('{ scheme = "ht tp", hostname = "h" }', "scheme must be"),
        ('{ scheme = "https" }', "needs a hostname"),
        ('{ scheme = "https", path = "//evil.example/" }', "needs a hostname"),
        ('{ scheme = "https", hostname = "h", port = 65536 }', "port must be"),
        ('{ scheme = "https", hostname = "h", port = "80" }', "port must be"),
        ('{ scheme = "https", hostname = "h", port = true }', "port must be"),
        ('{ scheme = "file", hostname = "h", port = 80 }', "has no port"),
        ('{ scheme = "mailto", path = "a", username = "u" }', "need a hostname"),
        ('{ scheme = "https", hostname = "h", pathname = "/" }', "there is no part 'pathname'"),
        ('{ scheme = "https", hostname = "h", path = 1 }', "path must be a string"),
        ('{ scheme = "https", hostname = "h", query = 1 }', "a query must be"),
        ('{ "https", "h" }', "parts must be a table"),
        ('"https://h"', "parts must be a table"),
    ],
)
def test_parts_that_make_no_address_are_refused(lua: Lua, given_parts: str, message: str) -> None:
    error = lua.error(f"url.build({given_parts})")
    assert error.startswith("invalid_input url.build: ")
    assert message in error


@given(st.binary())
def test_any_bytes_can_be_encoded_and_come_back(data: bytes) -> None:
    text = encode(data)
    assert decode(text.encode()) == data
    assert all(c.isalnum() or c in "-._~%" for c in text)
    assert text.isascii()


@pytest.mark.parametrize("text", ["%", "%%", "%4", "%zz", "100%", "%g1%41", "+", "a+b"])
def test_a_broken_escape_stands_for_itself(lua: Lua, text: str) -> None:
    assert lua.data("url.decode(a)", text) == text.replace("%41", "A").encode()


scalars = st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans()


def text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(st.dictionaries(st.text(), scalars | st.lists(scalars, min_size=1)))
def test_fields_come_back_in_sorted_order(fields: dict[str, Any]) -> None:
    lists = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    text = encode_query(Value(json.dumps(fields)))
    expected = [(name, text_of(item)) for name in sorted(lists) for item in lists[name]]
    assert parse_qsl(text, keep_blank_values=True) == expected
    assert json.loads(decode_query(text.encode(), all=True)) == {
        name: [text_of(item) for item in items] for name, items in lists.items()
    }
    assert json.loads(decode_query(text.encode())) == {name: text_of(items[0]) for name, items in lists.items()}


def test_what_was_sent_never_changes_the_type(lua: Lua) -> None:
    assert lua.call("url.decode_query(a)", "a=1&a=2&a[]=3&&=x&b&c==&%ff=%zz+%20") == {
        "a": "1", "a[]": "3", "": "x", "b": "", "c": "=", "�": "%zz  ",
    }  # fmt: skip
    assert lua.call("url.decode_query(a, { all = true })", "a=1&a=2&b") == {"a": ["1", "2"], "b": [""]}
    assert lua.call("url.decode_query(a)", "") == {}


@pytest.mark.parametrize("fields", ["{ a = json.null }", "{ a = { b = 1 } }", "{ a = { { 1 } } }", "{ 'a' }"])
def test_fields_of_other_types_are_refused(lua: Lua, fields: str) -> None:
    assert lua.error(f"url.encode_query({fields})").startswith("invalid_input url.encode_query: ")


def test_what_is_too_long_is_refused_and_what_is_not_is_read() -> None:
    assert parse("http://h/" + "a" * (TEXT_MAX - 9)) is not None
    for call in (
        lambda: parse("http://h/" + "a" * TEXT_MAX),
        lambda: join("http://h/" + "a" * (TEXT_MAX // 2), "b" * (TEXT_MAX // 2)),
        lambda: encode(b"a" * (TEXT_MAX + 1)),
        lambda: decode(b"a" * (TEXT_MAX + 1)),
        lambda: decode_query(b"a" * (TEXT_MAX + 1)),
        lambda: decode_query(b"&".join([b"a"] * (FIELDS_MAX + 1))),
        lambda: encode_query(Value(json.dumps({"a": "é" * (TEXT_MAX // 3)}))),
        lambda: made(scheme="https", hostname="h", path="a" * TEXT_MAX),
    ):
        with pytest.raises(InvalidInput, match="more than"):
            call()


@pytest.mark.parametrize("piece", ["a/../", "@", ":", "[", "%", "\t", "é", "xn--", ".", "?", "#", "//", "中"])
def test_a_mebibyte_of_anything_is_read_or_refused(piece: str) -> None:
    times = TEXT_MAX // (2 * len(piece))
    for text in ("http://" + piece * times, "http://h/" + piece * times, "x:" + piece * times):
        assert parse(text) is None or parse(text)
    assert decode(encode(piece.encode() * times if times * 4 < TEXT_MAX else b"%" * TEXT_MAX).encode()[:TEXT_MAX])
