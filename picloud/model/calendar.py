"""Dates and clocks of the proleptic Gregorian calendar, in any zone of the tz database.

An instant is an integer, nanoseconds since 1970-01-01T00:00:00Z without leap seconds, as POSIX counts. The zones are
those of the `tzdata` package and never the machine's, so that every node of an installation says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import tzdata

from picloud.errors import InvalidInput

SECOND: Final = 10**9
DAY_S: Final = 86400
DAY: Final = DAY_S * SECOND
YEAR_MIN: Final = 0
"""RFC 3339 has this year, the one before the year 1."""
YEAR_MAX: Final = 9999
OFFSET_MAX_S: Final = DAY_S - 60
"""What RFC 3339 can write: 23:59."""
SHIFT_MAX: Final = 12 * (YEAR_MAX + 1) * 31
"""Months, or days, that one step may go: more leaves the years there are in any case."""

_CYCLE_DAYS: Final = 146_097
"""The calendar, its weekdays included, repeats after 400 years of so many days."""
_CYCLE_S: Final = _CYCLE_DAYS * DAY_S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Disambiguation(StrEnum):
    """Which instant a reading means that a zone's clocks show twice, or skip: as in ECMAScript's Temporal."""

    COMPATIBLE = "compatible"
    """The earlier of two; of a skipped reading the one as much later as the clocks go forward."""
    EARLIER = "earlier"
    LATER = "later"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Reading:
    """What calendar and clock show."""

    year: int
    month: int
    day: int
    ns: int
    """Nanoseconds since the midnight before, as the clock shows them."""

    @property
    def days(self) -> int:
        """Days of the date since 1970-01-01."""
        return days_of(self.year, self.month, self.day)

    @property
    def weekday(self) -> int:
        """1 for Monday to 7 for Sunday (ISO 8601)."""
        return (self.days + 3) % 7 + 1

    @property
    def yearday(self) -> int:
        """1 for the first of January."""
        return self.days - days_of(self.year, 1, 1) + 1


def days_of(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date. Months and days beyond their ends count on.

    Howard Hinnant's days_from_civil (https://howardhinnant.github.io/date_algorithms.html), where years start in March.
    """
    year, month = year + (month - 3) // 12, (month - 3) % 12
    era, of_era = divmod(year, 400)
    of_year = (153 * month + 2) // 5 + day - 1
    return era * _CYCLE_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of what `days_of` returns."""
    era, of_era = divmod(days + 719_468, _CYCLE_DAYS)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return year + era * 400 + (month >= 10), month + 3 if month < 10 else month - 9, day


def days_in_month(year: int, month: int) -> int:
    """Return the number of days a month has."""
    return days_of(year, month + 1, 1) - days_of(year, month, 1)


INSTANT_MIN: Final = (days_of(YEAR_MIN, 1, 1) - 1) * DAY
INSTANT_MAX: Final = (days_of(YEAR_MAX + 1, 1, 1) + 1) * DAY
"""A day beyond the years at each end, since a date of RFC 3339 with an offset can be there."""


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(resources.files(tzdata).joinpath("zones").read_text(encoding="ascii").split())


def zone(name: str) -> tzinfo:
    """Return a zone by its name, such as `Europe/Berlin`; raise `InvalidInput` when there is none."""
    if name not in zone_names():
        raise InvalidInput(f"there is no time zone {name[:60]!r}: names are like 'UTC' and 'Europe/Berlin'")
    return _zone(name)


@cache  # the names that get here are those of the database
def _zone(name: str) -> ZoneInfo:
    path = resources.files(tzdata).joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def fixed(offset_s: int) -> tzinfo:
    """Return the zone that is always so far east of UTC; raise `InvalidInput` for a day or more."""
    if not -OFFSET_MAX_S <= offset_s <= OFFSET_MAX_S:
        raise InvalidInput(f"an offset is from {-OFFSET_MAX_S} to {OFFSET_MAX_S} seconds")
    return timezone(timedelta(seconds=offset_s))


def offset_s(instant: int, tz: tzinfo) -> int:
    """Return how far east of UTC a zone's clocks are at an instant."""
    return _seconds(_at(instant, tz).utcoffset())


def abbreviation(instant: int, tz: tzinfo) -> str:
    """Return what a zone's time is called at an instant, such as `CEST`."""
    return _at(instant, tz).tzname() or ""


def _at(instant: int, tz: tzinfo) -> datetime:
    seconds = instant // SECOND
    if not -60_000_000_000 < seconds < 250_000_000_000:  # years 68 to 9892: Python has no others than 1 to 9999
        seconds += _CYCLE_S if seconds < 0 else -_CYCLE_S
    return tz.fromutc((_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=tz))


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None  # noqa: S101  (all zones here have one)
    return offset.days * DAY_S + offset.seconds


def reading(instant: int, offset: int) -> Reading:
    """Return what clocks show that are `offset` seconds east; raise `InvalidInput` beyond the years there are."""
    days, ns = divmod(instant + offset * SECOND, DAY)
    year, month, day = date_of(days)
    _check_year(year)
    return Reading(year, month, day, ns)


def instant_of(
    shown: Reading, tz: tzinfo, disambiguation: Disambiguation = Disambiguation.COMPATIBLE, near_s: int | None = None
) -> int:
    """Return when a zone's clocks show this.

    `near_s` is an offset that decides between two, where the zone has it then. Raises `InvalidInput` when
    `disambiguation` says so.
    """
    wall = shown.days * DAY + shown.ns
    before, after = (wall - offset * SECOND for offset in _offsets(wall, tz))
    if before == after:
        return before
    if before < after:  # shown twice
        for found in (before, after):
            if near_s is not None and wall - found == near_s * SECOND:
                return found
    if disambiguation is Disambiguation.REJECT:
        how = "twice" if before < after else "never"
        raise InvalidInput(f"the clocks of this zone show this time {how}: say which is meant, or add to another time")
    if disambiguation is Disambiguation.COMPATIBLE:
        return before
    return (min if disambiguation is Disambiguation.EARLIER else max)(before, after)


def _offsets(wall: int, tz: tzinfo) -> tuple[int, int]:
    """Return the offsets before and after a change of the clocks that concerns a reading; the same when none does."""
    seconds = wall // SECOND
    if not -60_000_000_000 < seconds < 250_000_000_000:
        seconds += _CYCLE_S if seconds < 0 else -_CYCLE_S
    shown = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=tz)
    return _seconds(shown.utcoffset()), _seconds(shown.replace(fold=1).utcoffset())


def shift(
    instant: int, tz: tzinfo, months: int, days: int, disambiguation: Disambiguation = Disambiguation.COMPATIBLE
) -> int:
    """Go so many months and then days further on a zone's calendar, at the same time of day.

    A day the month does not have becomes its last. Raises `InvalidInput` beyond the years there are.
    """
    if months == 0 and days == 0:
        return instant
    if max(abs(months), abs(days)) > SHIFT_MAX:
        raise InvalidInput(_BEYOND)
    shown = reading(instant, offset_s(instant, tz))
    year, month = divmod(shown.year * 12 + shown.month - 1 + months, 12)
    _check_year(year)
    day = min(shown.day, days_in_month(year, month + 1))
    year, month, day = date_of(days_of(year, month + 1, day) + days)
    _check_year(year)
    return instant_of(Reading(year, month, day, shown.ns), tz, disambiguation)


def difference(start: int, end: int, tz: tzinfo, *, by_months: bool, by_days: bool) -> tuple[int, int, int]:
    """Return the months, days and nanoseconds that lead from one instant to another, all of one sign.

    `shift` by the months and days, then adding the nanoseconds, gives `end`. Months, and days, are as many as fit.
    """
    sign = 1 if end >= start else -1
    first, last = (reading(instant, offset_s(instant, tz)) for instant in (start, end))
    months = 0
    if by_months:
        months = _most(start, end, sign * ((last.year - first.year) * 12 + last.month - first.month), sign, tz, 0)
    days = 0
    if by_days:
        middle = shift(start, tz, months, 0)
        apart = last.days - reading(middle, offset_s(middle, tz)).days
        days = _most(start, end, sign * apart, sign, tz, months, of_days=True)
    return months, days, end - shift(start, tz, months, days)


def _most(start: int, end: int, guess: int, sign: int, tz: tzinfo, months: int, *, of_days: bool = False) -> int:
    """Return the most steps in the direction of `sign` that do not go past `end`; the guess is one off at most."""
    for count in range(guess + 1, 0, -1):
        try:
            reached = shift(start, tz, *((months, sign * count) if of_days else (sign * count, 0)))
        except InvalidInput:  # beyond the years there are
            continue
        if sign * (end - reached) >= 0:
            return sign * count
    return 0


_BEYOND: Final = f"this is beyond the years {YEAR_MIN:04} to {YEAR_MAX}"


def _check_year(year: int) -> None:
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise InvalidInput(_BEYOND)
