"""Base64: what is written comes back, and each sequence of bytes has one text."""

from __future__ import annotations

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.sdk.base64 import decode, encode, url_decode, url_encode
from tests.unit.sdk.conftest import Lua

NOT_BASE64 = [
    "a", "aG", "aGk", "aGk==", "=", "==", "====", "a===", "aGk=aGk=", "aGk=\n", " aGk=", "aG k", "aG\nk=", "aGk\0",
    "aGl=", "aB==", "-_==", "aGk!", "aé==", "\ufeffaGk=", "aGk=\0", "=aGk", "a=Gk", "aGk=====", "Zm9v\r\n",
]  # fmt: skip
NOT_FOR_URLS = [
    "a",
    "abcde",
    "+/8=",
    "+/8",
    "aGk= ",
    "aGk==",
    "__=",
    "__4==",
    "__5",
    "=",
    "==",
    "a=",
    "aG=k",
    "_ _4",
    "__4\n",
]


@given(st.binary())
def test_what_is_written_comes_back(data: bytes) -> None:
    assert decode(encode(data)) == data
    assert url_decode(url_encode(data)) == data
    assert encode(data) == base64.b64encode(data)
    assert url_decode(base64.urlsafe_b64encode(data)) == data
    assert b"=" not in url_encode(data)


@given(st.text("ABab01+/-_= \n", max_size=9) | st.text(max_size=9))
def test_a_text_that_is_read_is_the_one_that_is_written(text: str) -> None:
    for read, write in ((decode, encode), (url_decode, url_encode)):
        try:
            data = read(text.encode())
        except InvalidInput:
            continue
        assert write(data) == (text.rstrip("=") if read is url_decode else text).encode()


@pytest.mark.parametrize("text", NOT_BASE64)
def test_anything_else_is_refused(lua: Lua, text: str) -> None:
    assert lua.error("base64.decode(a)", text).startswith("invalid_input base64.decode: not A-Z")


@pytest.mark.parametrize("text", NOT_FOR_URLS)
def test_the_alphabet_for_urls_is_as_strict(lua: Lua, text: str) -> None:
    assert lua.error("base64.url_decode(a)", text).startswith("invalid_input base64.url_decode: not A-Z")


def test_a_mebibyte_goes_through_lua(lua: Lua) -> None:
    data = bytes(range(256)) * 4096
    assert lua.call("base64.decode(base64.encode(a)) == a and base64.url_decode(base64.url_encode(a)) == a", data)
    assert lua.data("base64.encode(a)", data) == binascii.b2a_base64(data, newline=False)
    assert "not A-Z" in lua.error("base64.decode(a)", b"A" * 2**20 + b"*")


def test_other_types_are_refused(lua: Lua) -> None:
    assert lua.error("base64.encode(1)") == "invalid_input base64.encode: data must be a string, got number"
    assert lua.error("base64.decode()") == "invalid_input base64.decode: text must be a string, got nil"
