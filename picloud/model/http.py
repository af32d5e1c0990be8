"""What goes into a run of an endpoint and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as a script sees it."""

    method: str
    path: str
    """Below the app, percent-decoded, starting with `/`."""
    id: str
    """Correlation id, also in the log and in error responses."""
    query: tuple[tuple[str, str], ...] = ()
    """Decoded pairs in their order; names may repeat."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""
    principal: str | None = None
    """Who called, e.g. `token:ci`; None for anonymous."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response as a script gave it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Lower-case names; `content-type` is there when there is a body."""
    body: bytes
