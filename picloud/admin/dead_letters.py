"""Dead letters as people look at them and decide over them; whoever calls has made sure that they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.app import AppId
from picloud.model.dead_letter import DeadLetter, LetterFilter, LetterState, Position
from picloud.model.identity import id_range
from picloud.sdk.letter_input import check_input
from picloud.storage.dead_letters import DeadLetterRepository, Decided
from picloud.storage.kv import Content

DECIDED_MAX: Final = 1000
"""Letters one transaction decides over."""


class DeadLetterAdministration:
    """The use cases around dead letters."""

    def __init__(self, letters: DeadLetterRepository) -> None:
        self._letters = letters

    def page(
        self, app_id: AppId, wanted: LetterFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[DeadLetter], str | None]:
        """Return letters, newest first, without inputs and attempts, and a cursor when there are more."""
        after = None if cursor is None else Position.of(cursor)
        letters, end = self._letters.of(app_id).page(wanted, limit=limit, after=after)
        return letters, end.cursor() if end else None

    def resolve(self, app_id: AppId, text: str) -> UUID:
        """Return the id of the one letter whose id begins so.

        Raises `NotFound` without one, `InvalidInput` when there are several or the text cannot begin an id.
        """
        found = self._letters.begin_with(app_id, *id_range(text, "dead letter"))
        if not found:
            raise _unknown(text)
        if len(found) > 1:
            raise InvalidInput(f"Several dead letters begin with {text[:60]!r}: give more of the id.")
        return found[0]

    def get(self, app_id: AppId, identity: UUID) -> DeadLetter:
        """Return one letter with its input and attempts, whatever was decided over it; raise `NotFound`."""
        letter = self._letters.of(app_id).get(identity)
        if letter is None:
            raise _unknown(str(identity))
        return letter

    def redrive(self, app_id: AppId, identity: UUID, *, by: str, edited: Content | None = None) -> UUID:
        """Let the trigger take the letter again, as that is now, perhaps with another input; return the event it gets.

        Raises `NotFound`; `Conflict` when somebody has decided over it; `InvalidInput` for an input it cannot have.
        """
        letters = self._letters.of(app_id)
        if edited is not None:
            check_input(self.get(app_id, identity), edited)
        event = letters.redrive(identity, by=by, edited=edited)
        if event is None:
            raise _decided(self.get(app_id, identity))
        return event

    def discard(self, app_id: AppId, identity: UUID, *, by: str) -> None:
        """Leave the letter as it is; raise `NotFound`, or `Conflict` when somebody has decided over it."""
        if not self._letters.of(app_id).discard(identity, by=by):
            raise _decided(self.get(app_id, identity))

    def redrive_many(self, app_id: AppId, wanted: LetterFilter, *, by: str) -> Decided:
        """Let triggers take open letters again, the oldest `DECIDED_MAX`: all of those or, when it raises, none."""
        return self._letters.redrive_many(app_id, wanted, limit=DECIDED_MAX, by=by)

    def discard_many(self, app_id: AppId, wanted: LetterFilter, *, by: str) -> Decided:
        """Leave open letters as they are, the oldest `DECIDED_MAX`: all of those or, when it raises, none."""
        return self._letters.discard_many(app_id, wanted, limit=DECIDED_MAX, by=by)

    def until_now(self, app_id: AppId, wanted: LetterFilter) -> LetterFilter:
        """Return a filter for those of the letters that are there now, and none that will fail later.

        It goes by the time the newest failed, not by a clock: those of workers may be ahead.
        """
        newest, _ = self.page(app_id, wanted, limit=1)
        if not newest:
            return replace(wanted, ids=())
        return replace(wanted, failed_before=newest[0].failed_at + timedelta(microseconds=1))

    def redrive_all(self, app_id: AppId, wanted: LetterFilter, *, by: str) -> int:
        """Let triggers take all open letters again that are there now; return how many.

        Each `DECIDED_MAX` are a transaction; what fails again meanwhile is another letter, and not meant.
        """
        return _repeat(lambda until_now: self.redrive_many(app_id, until_now, by=by), self.until_now(app_id, wanted))

    def discard_all(self, app_id: AppId, wanted: LetterFilter, *, by: str) -> int:
        """Leave all open letters as they are that are there now; return how many. Otherwise as `redrive_all`."""
        return _repeat(lambda until_now: self.discard_many(app_id, until_now, by=by), self.until_now(app_id, wanted))

    def states(self, app_id: AppId, ids: tuple[UUID, ...]) -> dict[UUID, LetterState]:
        """Return what was decided over those of these letters that there are."""
        letters, _ = self.page(app_id, LetterFilter(state=None, ids=ids), limit=max(1, len(ids)))
        return {letter.id: letter.state for letter in letters}


def _repeat(decide: Callable[[LetterFilter], Decided], wanted: LetterFilter) -> int:
    total = 0
    while True:
        decided = decide(wanted)
        total += len(decided.events)
        if not decided.more:
            return total


def _unknown(text: str) -> NotFound:
    return NotFound(f"There is no dead letter {text[:60]!r}.")


def _decided(letter: DeadLetter) -> Conflict:
    who, when = letter.decided_by or "somebody", letter.decided_at
    at = f" at {when:%Y-%m-%d %H:%M:%S %Z}" if when else ""
    return Conflict(f"{who} has {letter.state} the dead letter {str(letter.id)!r} already{at}: nothing was done.")
