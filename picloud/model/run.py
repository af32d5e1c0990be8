"""Runs: what one execution of a script used, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from picloud.model.app import AppId


@dataclass(frozen=True, slots=True)
class RunReport:
    """The limit report of one run."""

    wall_ms: float
    """From the start to the end of the run, host calls included."""
    cpu_ms: float
    """CPU time of Lua code, host calls left out."""
    peak_bytes: int
    """The most Lua memory seen beyond what the state held before: looked at when host calls begin, when the run ends
    and every 20 ms, so a short peak in between can be missed."""
    calls: int
    """SDK calls."""
    calls_ms: float
    """Wall-clock time spent in them."""
    cached: int
    """Scripts of the run whose compiled code was there already."""
    compiled: int
    """Scripts that had to be compiled."""
    compiled_bytes: int
    """Bytes of their sources."""
    compile_ms: float
    """Wall-clock time that took."""
    dropped: int
    """Compiled scripts that made room for them."""

    def __str__(self) -> str:
        """Say it in one line, for people."""
        parts = [f"{self.wall_ms:.1f} ms", f"CPU {self.cpu_ms:.1f} ms", f"memory {_size(self.peak_bytes)}"]
        if self.calls:
            parts.append(f"{self.calls} SDK call{'s' * (self.calls != 1)} {self.calls_ms:.1f} ms")
        if scripts := self.cached + self.compiled:
            parts.append(f"{self.cached} of {scripts} scripts cached")
        return ", ".join(parts)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


class RunStatus(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """By an error of the script, or at one of its limits."""
    REFUSED = "refused"
    """The caller sent what the script could not read."""
    INTERRUPTED = "interrupted"
    """From outside: a later tick took its place, or its worker had to stop."""
    FAULT = "fault"
    """By a fault of the platform, or because it interrupted the run."""


DAYS_MAX: Final = 36_500
"""That runs can be kept."""
ENDPOINT: Final = "endpoint"
"""The kind of a run that answers a request; others have the kind of their trigger."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the history keeps of one run, or of many that were alike."""

    id: UUID
    app_id: AppId
    kind: str
    """`ENDPOINT`, or the kind of the trigger."""
    script: str
    version: str
    """Of the script: hex SHA-256."""
    revision: int
    """Of the app."""
    trigger: str | None
    """None: it answered a request."""
    subject: str
    """The request or the event in short: `GET /hello/ada`, `set user:ada`."""
    principal: str | None
    """Who made the request; None: nobody known, or an event."""
    request_id: str | None
    events: tuple[UUID, ...]
    redrives: UUID | None
    """The dead letter that was delivered again."""
    status: RunStatus
    code: str | None
    """Of the error."""
    message: str | None
    http_status: int | None
    """Of the answer; None: an event, or there was none."""
    started_at: datetime
    duration_ms: float
    """Wall-clock; the mean of those that were alike."""
    alike: int
    """How many runs it stands for. More than one: the others have rows of their own."""
    details: Mapping[str, Any]
    """Place of the error (`script`, `line`), `traceback`, `log`, and what the run `used` (a `RunReport`)."""
    input: bytes | None
    """None: it was too large to keep, or the record stands for many."""
    input_bytes: int
