"""`hex`: bytes as hexadecimal digits (RFC 4648, section 8)."""

from __future__ import annotations

import binascii
from typing import Annotated

from picloud.errors import InvalidInput
from picloud.sdk.spec import Namespace

hex_ = Namespace("hex", "Bytes as hexadecimal digits ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648), section 8).")


@hex_.function(returns="lower-case digits, two per byte", example='hex.encode("hi\\0") --> "686900"')
def encode(data: Annotated[bytes, "any bytes"]) -> str:
    """Write bytes as digits."""
    return data.hex()


@hex_.function(
    returns="the bytes",
    errors={"invalid_input": "the text is not an even number of hexadecimal digits"},
    example='hex.decode("6869") --> "hi"',
)
def decode(text: Annotated[bytes, "digits of either case, without anything between them"]) -> bytes:
    """Read digits back."""
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        raise InvalidInput("not an even number of digits 0-9 and a-f, and nothing else") from None
