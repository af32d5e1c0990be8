"""Backfills: the ticks of a range that are run after all because somebody asks for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.cron import YEAR_MIN, CronExpression, ticks_between

BACKFILL_MAX: Final = 1000
"""Ticks of one trigger that a backfill runs, and that may wait of all backfills."""
LOOKED_AT_MAX: Final = 10_000
"""Ticks of a range that are looked at: a year of seconds has 31 million."""
_BEFORE: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class BackfillRange:
    """The moments from `start` to `end`, both included; they have a zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.year <= YEAR_MIN:
            raise InvalidInput(f"A range begins in the year {YEAR_MIN + 1} or later.")
        if self.end < self.start:
            raise InvalidInput(f"The range ends before it begins: is {self.end.isoformat()} its beginning?")

    def ticks(self, expression: CronExpression, zone: tzinfo) -> list[datetime]:
        """Return the ticks within, in order; raise `InvalidInput` when they are too many to look at."""
        found = list(islice(ticks_between(expression, zone, self.start - _BEFORE, self.end), LOOKED_AT_MAX + 1))
        if len(found) > LOOKED_AT_MAX:
            raise _too_many(f"more than {LOOKED_AT_MAX}", found, zone)
        return found


@dataclass(frozen=True, slots=True)
class Backfill:
    """What became of a wish for a backfill."""

    ticks: tuple[datetime, ...]
    """Those it runs, in order and in the schedule's zone."""
    ran_before: int
    """How many of the range it leaves out, since they ran."""

    def describe(self, *, dry_run: bool) -> str:
        """Say how many ticks are run, or would be."""
        count = len(self.ticks)
        what = f"{count} {'tick' if count == 1 else 'ticks'} {'would be run' if dry_run else 'will be run'}"
        return f"{what}, {self.ran_before} ran before: --again runs those, too." if self.ran_before else f"{what}."


def choose_ticks(ticks: Sequence[datetime], ran: Collection[datetime], zone: tzinfo) -> Backfill:
    """Leave out the ticks that ran; raise `InvalidInput` when more are left than one backfill runs."""
    left = [tick for tick in ticks if tick not in ran]
    if len(left) > BACKFILL_MAX:
        raise _too_many(str(len(left)), left, zone)
    return Backfill(tuple(tick.astimezone(zone) for tick in left), len(ticks) - len(left))


def _too_many(count: str, ticks: Sequence[datetime], zone: tzinfo) -> InvalidInput:
    last = ticks[BACKFILL_MAX - 1].astimezone(zone).isoformat()
    return InvalidInput(
        f"There are {count} ticks to run in this range, and a backfill runs {BACKFILL_MAX} at most: end it at {last} "
        "for the first of them, and do the rest when they are done."
    )
