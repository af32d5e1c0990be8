"""Documents and questions about them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from picloud.errors import InvalidInput

PATH_MAX_BYTES: Final = 256
PATH_KEYS_MAX: Final = 16
_SHOWN: Final = 60

Path = tuple[str, ...]
"""The keys that lead to a value within a document, from outside in; at least one."""


class Operator(StrEnum):
    """How a value is compared with an operand."""

    EQ = "eq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    PREFIX = "prefix"
    CONTAINS = "contains"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Condition:
    """What the value at a path must be; one that is not there meets `exists = false` only."""

    path: Path
    operator: Operator
    operand: Any
    """Of `gt` to `lte` a number or a string, of `in` a list, of `prefix` a string, of `exists` a boolean."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when all parts do."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one of the parts does."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when the part does not."""

    part: Filter


Filter = Condition | AllOf | AnyOf | Not
EVERYTHING = AllOf(())


@dataclass(frozen=True, slots=True)
class Order:
    """By what documents are sorted."""

    path: Path
    descending: bool


class Position(NamedTuple):
    """Where a page ended."""

    keys: tuple[bytes, ...]
    """What the last document was sorted by."""
    id: str
    """Of that document."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which documents, in which order."""

    filter: Filter = EVERYTHING
    orders: tuple[Order, ...] = ()
    descending: bool = False
    """Whether ids, which decide last, are in descending order."""


class Document(NamedTuple):
    """One document."""

    id: str
    version: int
    created_at: str
    """RFC 3339, UTC, to the microsecond."""
    updated_at: str
    body: str
    """A JSON object."""


def parse_path(text: str) -> Path:
    r"""Read a path: keys with dots between them; a backslash takes the next character as it stands (`a\.b` is one key).

    Raises `InvalidInput`.
    """
    if len(text.encode()) > PATH_MAX_BYTES:
        raise InvalidInput(f"a path has at most {PATH_MAX_BYTES} bytes, this one begins with {shown(text)}")
    keys = [""]
    characters = iter(text)
    for character in characters:
        if character == ".":
            keys.append("")
            continue
        if character == "\\" and not (character := next(characters, "")):
            raise InvalidInput(f"the path {shown(text)} ends with a backslash, which takes the character after it")
        keys[-1] += character
    if len(keys) > PATH_KEYS_MAX:
        raise InvalidInput(f"a path has at most {PATH_KEYS_MAX} keys, {shown(text)} has {len(keys)}")
    return tuple(keys)


def path_text(path: Path) -> str:
    """Write a path in the one way `parse_path` reads it."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def shown(text: str) -> str:
    """Quote what a script gave, cut to a length for messages."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
