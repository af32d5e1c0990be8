"""Events: what happened in an app, as the script of a trigger gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from picloud.model.trigger import TriggerKind


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    id: UUID
    """The same at each attempt and for each trigger: what a script may use to do a thing once only."""
    kind: TriggerKind
    name: str
    """Collection, queue or topic; the trigger of a tick or a dead letter."""
    operation: str | None
    key: bytes | None
    """Of the entry, or the document's id as UTF-8."""
    is_json: bool
    """Whether the payload is JSON; else it is a string of any bytes."""
    payload: bytes | None
    """The entry's value, the document after the change, the message, the tick or the dead letter."""
    before: bytes | None
    """The document before the change, as JSON."""
    version: int | None
    """Of the entry or document after the change."""
    sent_s: float
    """When it happened, in seconds since 1970."""
    depth: int
    """How many triggers led to it."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event at one attempt to take it."""

    event: Event
    attempt: int
    """1 for the first."""


@dataclass(slots=True)
class Verdicts:
    """What a script has said of the messages it got, by their place from 0. It counts also when the run fails later."""

    acked: set[int] = field(default_factory=set)
    """Those it is done with."""
    retried: dict[int, float] = field(default_factory=dict)
    """Those that are to come again, after so many seconds."""
