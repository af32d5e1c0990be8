"""Ids as people write them: whole, or as many of their first digits as tell one from the others."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from picloud.errors import InvalidInput

DIGITS_MIN: Final = 8
"""Hexadecimal digits an id is never shorter than."""
_DIGITS: Final = re.compile(f"[0-9a-f]{{{DIGITS_MIN},32}}")


def is_id(text: str) -> bool:
    """Tell whether an id may begin so."""
    return _DIGITS.fullmatch(_digits(text)) is not None


def short_id(identity: UUID) -> str:
    """Return the beginning of an id that lists show, and that is enough when no other begins so."""
    return identity.hex[:DIGITS_MIN]


def id_range(text: str, what: str) -> tuple[UUID, UUID]:
    """Return the lowest and highest id that begin as the text does; raise `InvalidInput` when none does.

    `what` names in the error what the id is of.
    """
    if not is_id(text):
        raise InvalidInput(
            f"{text[:60]!r} is no id of a {what}: give the whole id, or its first {DIGITS_MIN} characters or more."
        )
    digits = _digits(text)
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _digits(text: str) -> str:
    return text.lower().replace("-", "")
