"""What becomes of a schedule's ticks: each one is run, skipped or missed, once, however often anyone looks.

The decision takes moments and returns values. Who stores `Account.until` in the transaction that stores the rest, and
begins the next account there, accounts for every tick exactly once: across restarts, with several schedulers, and when
the machine's clock goes forward, which makes ticks late, or back a little, which makes nothing happen until it has
caught up. When it goes back by more than `CLOCK_BACK_MAX`, an account begins at the clock, and what ran is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.cron import CronExpression, ticks_between

CATCH_UP_MAX: Final = 1000
"""Ticks that `CatchUp.ALL` makes up for at most."""
ACCOUNT_MAX: Final = 10_000
"""Ticks that one account has; what is left is for the next. A year without a scheduler has 31 million seconds."""
CLOCK_BACK_MAX: Final = timedelta(seconds=60)
"""A clock that was set back by more is not waited for: ticks go on at once."""
_MS: Final = timedelta(milliseconds=1)


class CatchUp(StrEnum):
    """Which of the ticks that are too late are run after all."""

    NONE = "none"
    LAST = "last"
    """The last one, if no later tick is due."""
    ALL = "all"
    """The newest of them, as many as the policy says."""


@dataclass(frozen=True, slots=True)
class LatePolicy:
    """What to do about ticks that nobody was there to run in time."""

    catch_up: CatchUp
    late_max_ms: int
    """A tick later than this is too late; one that is not is run in any case."""
    catch_up_max: int = CATCH_UP_MAX
    """How many ticks, counted back from the newest one due, `CatchUp.ALL` runs although they are too late."""

    def __post_init__(self) -> None:
        if self.late_max_ms < 0:
            raise InvalidInput("how late a tick may be is 0 ms or more")
        if not 1 <= self.catch_up_max <= CATCH_UP_MAX:
            raise InvalidInput(f"the ticks to catch up with are 1 to {CATCH_UP_MAX}")

    @property
    def kept(self) -> int:
        """How many of the newest ticks are run, be they too late or not."""
        return {CatchUp.NONE: 0, CatchUp.LAST: 1, CatchUp.ALL: self.catch_up_max}[self.catch_up]


class Outcome(StrEnum):
    """Why ticks are not run."""

    SUPERSEDED = "superseded"
    """Skipped: the policy has a later tick run in their place."""
    TOO_LATE = "too_late"
    """Missed: nobody was there in time, and the policy does not catch up."""
    TOO_MANY = "too_many"
    """Missed: more ticks were too late than the policy catches up with."""
    OVERLAP = "overlap"
    """Skipped: the runs of ticks before it are not done."""

    @property
    def is_skipped(self) -> bool:
        """Whether the policy wants it so; else something was missed."""
        return self in (Outcome.SUPERSEDED, Outcome.OVERLAP)


_OUTCOMES: Final = {
    CatchUp.NONE: Outcome.TOO_LATE,
    CatchUp.LAST: Outcome.SUPERSEDED,
    CatchUp.ALL: Outcome.TOO_MANY,
}


@dataclass(frozen=True, slots=True)
class DueTick:
    """A tick to run now."""

    at: datetime
    late_ms: int
    is_caught_up: bool
    """Whether it is too late, and is run because the policy catches up."""


@dataclass(frozen=True, slots=True)
class PassedTicks:
    """Ticks that follow one another and are not run."""

    first: datetime
    last: datetime
    count: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Account:
    """What becomes of all ticks between two moments."""

    passed: PassedTicks | None
    """The ticks before those of `due`, which are the older and so the later ones."""
    due: tuple[DueTick, ...]
    """In order."""
    until: datetime
    """The ticks up to here are accounted for; before `now` when there are more than one account has."""


def account(
    expression: CronExpression, zone: tzinfo, accounted: datetime, now: datetime, policy: LatePolicy
) -> Account:
    """Decide about all ticks later than `accounted` and not later than `now`, but about `ACCOUNT_MAX` at most.

    `accounted` is `until` of the account before, or when the schedule was made. While `now` is not later, as when the
    clock went back, there is nothing to decide.
    """
    if now <= accounted:
        return Account(None, (), accounted)
    ticks = list(islice(ticks_between(expression, zone, accounted, now), ACCOUNT_MAX + max(1, policy.kept)))
    decided = [(at, (now - at) // _MS) for at in ticks[:ACCOUNT_MAX]]
    too_late = sum(late_ms > policy.late_max_ms for _, late_ms in decided)
    passed = min(too_late, max(0, len(ticks) - policy.kept))
    due = (DueTick(at, late_ms, late_ms > policy.late_max_ms) for at, late_ms in decided[passed:])
    until = now if len(ticks) == len(decided) else decided[-1][0]
    return Account(_passed(ticks[:passed], policy), tuple(due), until)


def _passed(ticks: list[datetime], policy: LatePolicy) -> PassedTicks | None:
    return PassedTicks(ticks[0], ticks[-1], len(ticks), _OUTCOMES[policy.catch_up]) if ticks else None
