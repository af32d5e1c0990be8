"""SQL statements kept in `sql/*.sql`, each in a block that begins with `-- name: get_app`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import LiteralString, cast

FOLDER = Path(__file__).parent / "sql"

_NAME = re.compile(r"^-- name: *([a-z][a-z0-9_]*) *$", re.MULTILINE)


@cache
def load(filename: str) -> Mapping[str, LiteralString]:
    """Return the statements of one file by name, read once per process; `ValueError` for a malformed file."""
    return parse((FOLDER / filename).read_text(encoding="utf-8"), filename)


def parse(text: str, filename: str) -> Mapping[str, LiteralString]:
    """Split a file's text into its named statements; what stands before the first name is commentary."""
    parts = _NAME.split(text)[1:]
    found: dict[str, LiteralString] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name in found or not statement.strip():
            raise ValueError(f"{filename}: statement {name!r} is empty or there twice")
        # A file of this package is as literal as a string in it; the type keeps request data out of statements.
        found[name] = cast("LiteralString", statement.strip())
    if not found:
        raise ValueError(f"{filename}: no '-- name: ...' line")
    return MappingProxyType(found)
