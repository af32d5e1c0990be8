"""Dead letters: events a trigger could not take, kept until somebody decides over them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from picloud.errors import InvalidInput
from picloud.model.trigger import TriggerKind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


class LetterState(StrEnum):
    """What was decided over a dead letter."""

    OPEN = "open"
    """Nothing yet."""
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed."""

    at: datetime | None
    """When; None where nothing tells, as of a letter that came in with a file."""
    code: str
    message: str
    version: str | None
    """Of the script that ran; None: there was none."""
    script: str | None
    """Where the error is."""
    line: int | None
    """1-based."""
    traceback: tuple[str, ...]
    """One line per frame, innermost first."""
    log: tuple[Mapping[str, Any], ...]
    """The first lines of the run, with `level`, `message` and perhaps `fields`."""
    used: Mapping[str, Any] | None
    """What the run used, as a report of a run has it."""

    @classmethod
    def of(cls, attempt: object) -> Attempt:
        """Return the attempt of what the worker stored; what is missing or of another type counts as not known."""
        stored: Mapping[str, Any] = attempt if isinstance(attempt, dict) else {}
        version, script, line, used = (stored.get(name) for name in ("version", "script", "line", "used"))
        return cls(
            at=_time(stored.get("at")),
            code=str(stored.get("code", "")),
            message=str(stored.get("message", "")),
            version=version if isinstance(version, str) else None,
            script=script if isinstance(script, str) else None,
            line=line if type(line) is int else None,  # a truth value is another type
            traceback=tuple(map(str, _items(stored.get("traceback")))),
            log=tuple(entry for entry in _items(stored.get("log")) if isinstance(entry, dict)),
            used=used if isinstance(used, dict) else None,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event a trigger could not take."""

    id: UUID
    event_id: UUID
    """What scripts know as `event.id`."""
    trigger: str
    kind: TriggerKind
    name: str
    """Collection, queue or topic; the trigger of a tick or a dead letter."""
    operation: str | None
    key: bytes | None
    """Of the entry, or the document's id as UTF-8."""
    version: int | None
    """Of the entry or document after the change."""
    script: str
    """Which could not take it."""
    code: str
    message: str
    """What went wrong at the last attempt."""
    attempts: int
    sent_at: datetime
    failed_at: datetime
    state: LetterState
    decided_at: datetime | None
    decided_by: str | None
    redriven_as: UUID | None
    """The event its trigger got again."""
    redrives: UUID | None
    """The letter whose redrive this is the failure of."""
    is_json: bool
    """Whether the input is JSON; else it is a string of any bytes."""
    payload: bytes | None
    """The input: value, document after the change, message, tick or letter; None without one, or when not read."""
    before: bytes | None
    """The document before the change, as JSON; None without one, or when not read."""
    failures: tuple[Attempt, ...]
    """In their order; empty when not read."""

    @property
    def source(self) -> str:
        """What it is of, in a few words: `queue mails`, `kv user:1`."""
        told = self.name if self.key is None or self.kind is TriggerKind.DOCS else shown_key(self.key)
        return f"{self.kind} {told}".rstrip()

    @property
    def position(self) -> Position:
        """Where it stands in a list."""
        return Position(self.failed_at, self.id)


class Position(NamedTuple):
    """A place in a list of letters, newest first: a page goes on exactly where the one before ended."""

    failed_at: datetime
    id: UUID

    def cursor(self) -> str:
        """Return it as a text, with microseconds since 1970."""
        return f"{(self.failed_at - _EPOCH) // timedelta(microseconds=1)}/{self.id}"

    @classmethod
    def of(cls, cursor: str) -> Position:
        """Return the place a text stands for; raise `InvalidInput` when it is none."""
        found = _CURSOR.fullmatch(cursor)
        try:
            if found:
                return cls(_EPOCH + timedelta(microseconds=int(found[1])), UUID(found[2]))
        except OverflowError:  # beyond the years there are
            pass
        raise InvalidInput("the cursor is none that a list of dead letters gave")


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; None leaves a field out of account."""

    state: LetterState | None = LetterState.OPEN
    trigger: str | None = None
    kind: TriggerKind | None = None
    code: str | None = None
    """Of the last attempt's error."""
    text: str | None = None
    """What the last attempt's message holds, in capitals or not."""
    failed_after: datetime | None = None
    """With that moment."""
    failed_before: datetime | None = None
    """Without that moment."""
    ids: tuple[UUID, ...] | None = None

    def __post_init__(self) -> None:
        """Raise `InvalidInput` for an empty text, and for one that nothing in the database can be like."""
        for text in (self.trigger, self.code, self.text):
            if text is not None and ("\0" in text or text.encode(errors="replace").decode() != text):
                raise InvalidInput("what dead letters are looked for by must be text without NUL")
            if text == "":  # a variable that was not set: every message holds it, and all letters would be meant
                raise InvalidInput("what dead letters are looked for by must not be empty: leave it out")


def shown_key(key: bytes) -> str:
    """Return a key as text; bytes that are none as `\\xNN`."""
    return key.decode("utf-8", "backslashreplace")


def _time(value: Any) -> datetime | None:
    """Return a time that clocks of every zone can show."""
    try:
        at = datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return at if MINYEAR < at.year < MAXYEAR else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
