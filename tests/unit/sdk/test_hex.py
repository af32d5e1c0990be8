"""`hex` against RFC 4648 and Python's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.sdk.hex import decode, encode

VECTORS = {b"": "", b"f": "66", b"fo": "666F", b"foo": "666F6F", b"foob": "666F6F62", b"foobar": "666F6F626172"}
"""RFC 4648, section 10."""


@pytest.mark.parametrize(("data", "text"), VECTORS.items())
def test_the_vectors_of_the_rfc(data: bytes, text: str) -> None:
    assert encode(data) == text.lower()
    assert decode(text.encode()) == data  # as hex.decode in a script


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    assert decode(encode(data).encode()) == data


@pytest.mark.parametrize(
    "text", [b"6", b"0x66", b"66 66", b"66\n", b"6g", b" 66", b"\xff\xff", "\uff16\uff16".encode(), b"66\0"]
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="digits"):
        decode(text)
