"""What is in the books after the drill, and what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import psycopg

from tests.faults.app import SCHEDULES, duties
from tests.faults.load import Fate

OWN_FAULTS: Final = {"flaky": "script_runtime_error", "doomed": "script_runtime_error", "many": "retry_asked"}
"""Triggers whose scripts fail by themselves, and how."""
MOURNER: Final = "mourner"
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Note:
    """What a run said when it began, or when it was done with an event."""

    trigger: str
    event: str
    attempt: int
    request: str
    part: int
    key: str | None = None
    seq: int = 0
    order: int = 0
    """Of runs of one trigger for one key."""
    delay: float = 0.0
    """Seconds since the event, when it was done."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    id: str
    trigger: str
    request: str
    attempts: int
    codes: tuple[str, ...]
    """Of the failures that were charged."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of ticks of a schedule that follow one another."""

    first_at: datetime
    last_at: datetime
    count: int
    since: datetime
    event: str | None
    is_cancelled: bool
    """Whether a later tick ended its run, which may have been done by then."""


@dataclass(frozen=True, slots=True)
class Books:
    """All there is to account for."""

    ledger: Mapping[str, tuple[int, bool]]
    """By request: how often scripts are to fail, and whether there is an event that is to die."""
    starts: Sequence[Note]
    """In the order they were noted."""
    done: Sequence[Note]
    letters: Sequence[Letter]
    ticks: Mapping[str, Sequence[Tick]]
    """By trigger."""
    left: Mapping[str, int]
    """What should be gone: how many there are."""


def read_books(connection: psycopg.Connection[Any]) -> Books:
    """Read what a system that has stopped has left."""

    def rows(statement: str) -> list[Any]:
        return connection.execute(statement.encode()).fetchall()

    body = "SELECT id, body FROM documents WHERE collection = '{}' ORDER BY id"
    ledger = {request: json.loads(entry) for request, entry in rows(body.format("ledger"))}
    return Books(
        {request: (entry["fails"], entry["doomed"]) for request, entry in ledger.items()},
        [Note(**json.loads(entry)) for _, entry in rows(body.format("starts"))],
        [Note(**json.loads(bytes(value))) for (value,) in rows(DONE)],
        [_letter(*row) for row in rows(LETTERS)],
        {trigger: [Tick(*row) for row in rows(TICKS.format(trigger))] for trigger in SCHEDULES},
        {what: rows(f"SELECT count(*) FROM {what}")[0][0] for what in LEFT},
    )


DONE: Final = "SELECT value FROM kv_entries WHERE encode(key, 'escape') LIKE 'done/%'"
LETTERS: Final = "SELECT id, trigger, payload, attempts, failures FROM dead_letters"
TICKS: Final = (
    "SELECT first_at, last_at, count, since, event_id::text, cancelled_at IS NOT NULL "
    "FROM ticks WHERE trigger = '{}' ORDER BY number"
)
LEFT: Final = (
    "deliveries",
    "deliveries WHERE taken_by IS NOT NULL",
    "procrastinate_jobs WHERE task_name = 'picloud.deliver'",
    "events WHERE kind = 'queue'",
)


def _letter(number: object, trigger: str, payload: bytes, attempts: int, failures: list[dict[str, Any]]) -> Letter:
    request = json.loads(bytes(payload)).get("request", "")
    return Letter(str(number), trigger, request, attempts, tuple(failure["code"] for failure in failures))


def audit(books: Books, fates: Mapping[str, Fate]) -> list[str]:
    """Return all that is wrong, as sentences; nothing when every event is accounted for."""
    return [
        *_wrong_requests(books, fates),
        *_wrong_ends(books),
        *_wrong_letters(books),
        *_wrong_attempts(books),
        *_wrong_order(books),
        *_wrong_ticks(books),
        *(f"{count} left of {what}" for what, count in books.left.items() if count),
    ]


def _wrong_requests(books: Books, fates: Mapping[str, Fate]) -> Iterator[str]:
    for request, fate in fates.items():
        if fate is Fate.ACKNOWLEDGED and request not in books.ledger:
            yield f"the request {request} was acknowledged and is lost"
        if fate is Fate.REFUSED and request in books.ledger:
            yield f"the request {request} was refused and happened"
    for request in books.ledger.keys() - fates.keys():
        yield f"nobody made the request {request}"


def _wrong_ends(books: Books) -> Iterator[str]:
    """Compare what must come of the ledger with what is done or dead."""
    expected = Counter(
        (duty.trigger, request, duty.part, duty.dies)
        for request, (fails, doomed) in books.ledger.items()
        for duty in duties(request, fails, doomed)
    )
    expected.update((MOURNER, letter.id, 1, False) for letter in books.letters)
    ticked = [(name, tick) for name, ticks in books.ticks.items() for tick in ticks if tick.event]
    expected.update((name, _second(tick), 1, False) for name, tick in ticked if not tick.is_cancelled)
    cancelled = {(name, _second(tick)) for name, tick in ticked if tick.is_cancelled}
    found = Counter(
        (note.trigger, note.request, note.part, False)
        for note in books.done
        if (note.trigger, note.request) not in cancelled
    )
    found.update((letter.trigger, letter.request, 1, True) for letter in books.letters)
    for what in expected.keys() | found.keys():
        if expected[what] != found[what]:
            trigger, request, part, dies = what
            end = "dead" if dies else "done"
            yield f"{trigger} of {request}/{part} is {end} {found[what]} times in place of {expected[what]}"


def _second(tick: Tick) -> str:
    return str(round(tick.first_at.timestamp()))


def _wrong_letters(books: Books) -> Iterator[str]:
    for letter in books.letters:
        if letter.codes != (OWN_FAULTS.get(letter.trigger),) * letter.attempts:
            yield f"{letter.trigger} of {letter.request} was charged {letter.codes} in {letter.attempts} attempts"


def _wrong_attempts(books: Books) -> Iterator[str]:
    """Find attempts that were not charged for the script's own failures, or that go back."""
    failures = {
        (duty.trigger, request, duty.part): duty.failures
        for request, (fails, doomed) in books.ledger.items()
        for duty in duties(request, fails, doomed)
    }
    for note in books.done:
        charged = failures.get((note.trigger, note.request, note.part), 0)
        if note.attempt != charged + 1:
            yield f"{note.trigger} of {note.request}/{note.part} was done in attempt {note.attempt}, not {charged + 1}"
    attempts = defaultdict(list)
    for start in books.starts:
        attempts[start.trigger, start.event].append(start.attempt)
    for (trigger, event), seen in attempts.items():
        if sorted(set(seen)) != list(range(1, max(seen) + 1)) or seen != sorted(seen):
            yield f"the attempts of {trigger} at {event} were {seen}"


def _wrong_order(books: Books) -> Iterator[str]:
    keys = defaultdict(list)
    for start in books.starts:
        if start.key is not None:
            keys[start.trigger, start.key].append((start.order, start.seq))
    for (trigger, key), runs in keys.items():
        for (_, before), (order, after) in pairwise(sorted(runs)):
            if after not in {before, before + 1}:
                yield f"{trigger} for {key}: change {after} came after {before}, in run {order}"


def _wrong_ticks(books: Books) -> Iterator[str]:
    for name, ticks in books.ticks.items():
        if not ticks or not ticks[0].since < ticks[0].first_at <= ticks[0].since + SECOND:
            yield f"the first tick of {name} is missing"
        for tick in ticks:
            if tick.last_at - tick.first_at != (tick.count - 1) * SECOND:
                yield f"{name} has {tick.count} ticks from {tick.first_at} to {tick.last_at}"
        for before, after in pairwise(ticks):
            if after.first_at - before.last_at != SECOND:
                yield f"{name} ticked at {before.last_at} and then at {after.first_at}"
