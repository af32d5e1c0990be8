"""Scripts: the Lua sources of an app, and the immutable versions a run uses."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from picloud.errors import InvalidInput

MODULE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
SCRIPT_NAME = re.compile(r"[^\s/\x00-\x1f\x7f](?:[^\x00-\x1f\x7f/]{0,126}[^\s/\x00-\x1f\x7f])?")
SOURCE_MAX_BYTES = 256 * 1024
"""Lua's compiler is quadratic in places and cannot be interrupted: this keeps the worst text below a second."""

RESERVED_MODULE_NAMES = frozenset(
    {"kv", "docs", "dead_letters", "log", "regex", "random", "time", "json", "base64", "hex", "url", "http"}
    | {"files", "pubsub", "secrets", "email", "users", "queue"}
)
"""SDK namespaces, present and coming: a module of the same name would only confuse its author."""


class ScriptKind(StrEnum):
    """What a script is for."""

    ENDPOINT = "endpoint"
    MODULE = "module"


@dataclass(frozen=True, slots=True)
class Script:
    """One version of a script: what it is called and what it says."""

    name: str
    kind: ScriptKind
    source: str
    """Lua 5.4 text, without the notebook's magic line."""

    @property
    def version(self) -> str:
        """Hex SHA-256 over kind, name and source: equal versions behave equally."""
        digest = hashlib.sha256(f"{self.kind}\0{self.name}\0".encode())
        digest.update(self.source.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def check_script_name(name: str, kind: ScriptKind) -> str:
    """Return `name` when it may name a script of this kind, else raise `InvalidInput`."""
    if kind is ScriptKind.MODULE:
        if not MODULE_NAME.fullmatch(name):
            raise InvalidInput(
                f"{name[:80]!r} cannot name a module: use 1 to 64 letters, digits and '_', not starting with a digit."
            )
        if name in RESERVED_MODULE_NAMES:
            raise InvalidInput(f"{name!r} is the name of an SDK namespace: choose another name for the module.")
    elif not SCRIPT_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name an endpoint: use 1 to 128 characters without '/' or control characters."
        )
    return name


@dataclass(frozen=True, slots=True)
class LinkedScript:
    """A script with what it requires, ready to run."""

    script: Script
    imports: tuple[str, ...]
    """Names of the modules it requires, whether they exist or not."""
    key: bytes = b""
    """The script's version as the engine's caches use it; worked out once."""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.script.version.encode())
