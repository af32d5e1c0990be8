"""`base64`: bytes as text of 64 characters (RFC 4648, sections 4 and 5), read back strictly.

A decoder that lets several texts mean the same bytes lets one signature or key have several spellings, so the texts
read here are those that are written here and no others (RFC 4648, sections 3.2, 3.3 and 3.5).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Final

from picloud.errors import InvalidInput
from picloud.sdk.spec import Namespace

base64_ = Namespace(
    "base64",
    "Bytes as text of 64 characters ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648), sections 4 and 5). "
    "Reading is strict: each sequence of bytes has one text only.",
)

_STANDARD: Final = "A-Z, a-z, 0-9, + and /"
_URL_SAFE: Final = "A-Z, a-z, 0-9, - and _"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_ERRORS: Final = {
    "invalid_input": "another character, whitespace included; the wrong padding; bits left over that are not 0"
}


@base64_.function(returns="the text, padded with '='", example='base64.encode("hi") --> "aGk="')
def encode(data: Annotated[bytes, "any bytes"]) -> bytes:
    """Write bytes with the standard alphabet: four characters for three bytes, with padding."""
    return base64.b64encode(data)


@base64_.function(returns="the bytes", errors=_ERRORS, example='base64.decode("aGk=") --> "hi"')
def decode(text: Annotated[bytes, "the standard alphabet, with its padding and without anything else"]) -> bytes:
    """Read what `base64.encode` writes, and nothing else."""
    return _decode(text, base64.b64encode, _STANDARD)


@base64_.function(returns="the text, without padding", example='base64.url_encode("\\xff\\xfe") --> "__4"')
def url_encode(data: Annotated[bytes, "any bytes"]) -> bytes:
    """Write bytes with the alphabet for URLs and file names, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@base64_.function(returns="the bytes", errors=_ERRORS, example='base64.url_decode("__4") --> "\\xff\\xfe"')
def url_decode(text: Annotated[bytes, "the alphabet for URLs, with all of its padding or none of it"]) -> bytes:
    """Read what `base64.url_encode` writes; all the padding may be there too."""
    if not text.endswith(b"="):
        text += b"=" * (-len(text) % 4)
    return _decode(text, base64.urlsafe_b64encode, _URL_SAFE)


def _decode(text: bytes, encode: Callable[[bytes], bytes], alphabet: str) -> bytes:
    """Read padded text; what does not come out again when it is written was not written here."""
    try:
        data = binascii.a2b_base64(text.translate(_TO_STANDARD))
    except binascii.Error:
        data = b""
    if encode(data) != text:
        raise InvalidInput(f"not {alphabet} with the right padding and nothing else")
    return data
