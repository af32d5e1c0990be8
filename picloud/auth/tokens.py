"""How a token looks, how it is made, and what of it is stored."""

from __future__ import annotations

import hashlib
import re
import secrets

from picloud.errors import InvalidInput

PREFIX = "pic_"
SECRET_BYTES = 32
"""256 random bits: 43 characters of URL-safe base64, beyond guessing, so a plain SHA-256 is enough to store it."""

_TOKEN = re.compile(r"pic_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)


def make_token() -> str:
    """Return a new token, to be shown once and stored as its hash only."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def hash_token(token: str) -> bytes:
    """Return what is stored of a token: its SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_token(text: str) -> bool:
    """Tell whether the text has the form of a token; whether it is one, only the database knows."""
    return _TOKEN.fullmatch(text) is not None


def bearer_token(authorization: str | None) -> str | None:
    """Return the PiCloud token of an `Authorization` header (RFC 6750), None when it holds none.

    A script may use bearer tokens of its own; those have another form and are its own business.
    """
    if not authorization:
        return None
    scheme, _, credentials = authorization.partition(" ")
    credentials = credentials.strip()
    return credentials if scheme.lower() == "bearer" and is_token(credentials) else None


def check_token_name(name: str) -> str:
    """Return `name` when it may name a token, else raise `InvalidInput`."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a token: use 1 to 64 letters, digits, '.', '_' and '-', "
            "starting and ending with a letter or digit."
        )
    return name
