"""Cron schedules: what an expression means, and when it ticks in a time zone.

The syntax is that of crontab(5): minute, hour, day of month, month, day of week, with a field for the second before
them where there are six, as Quartz, Spring, Cronos and cronsim have it. Beside numbers, names, lists, ranges and steps
there are `L` for the last day of a month, `L-3` for the third before it, `5L` for its last Friday, and `MON#2` for its
second Monday. A range may go round the end: `FRI-MON`, `22-2`. The days are those of Debian's cron: when both day
fields say something a day counts that is in either, and when one starts with `*` a day has to be in both.

A schedule follows the clocks on the wall, and so does Debian's cron when they change:

- an expression whose hour and minute (and second) are given ticks at the first moment the clocks show its time or a
  later one. It ticks once where they show the time twice, and where they skip it, when they skip it;
- an expression with one of these fields starting with `*` is an interval: it ticks whenever the clocks show its time,
  so twice where they show it twice and not at all where they never do.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.calendar import days_in_month, days_of

TEXT_MAX: Final = 600
"""Characters of an expression: enough to list every value of every field."""
QUIET_YEARS_MAX: Final = 50
"""Years without a tick after which there is none. The calendar leaves at most 40, between two 29ths of February on the
same weekday; clocks can leave more, when they always skip the interval an expression names."""
YEAR_MIN: Final = 2
YEAR_MAX: Final = MAXYEAR - 1
"""A year from the ends of Python's dates, so that they have room for every offset."""

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_OTHER_CHARACTER: Final = re.compile(r"[^0-9A-Za-z*?/,#@ \t-]")
_MONTH_LENGTHS: Final = (28, 29, 30, 31)
_EPOCH_WEEKDAY: Final = 4
"""1970-01-01 was a Thursday; Sunday is 0."""


@dataclass(frozen=True, slots=True)
class CronExpression:
    """When to tick, on a clock that shows a date and a time of day. `parse` makes one."""

    text: str
    """As it was written, with single spaces."""
    seconds: tuple[int, ...]
    """All tuples are in order, without repetition, and none is empty."""
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[tuple[int, ...], ...]
    """The days of a month, for each of the 28 forms a month has: see `_form`."""
    is_interval: bool
    """Whether it ticks at all times the clocks show, also twice; else once for each time of day it gives."""

    @classmethod
    def parse(cls, text: str) -> CronExpression:
        """Read five or six fields or one of `MACROS`; raise `InvalidInput` saying what is wrong, and where."""
        if len(text) > TEXT_MAX:
            raise InvalidInput(f"a schedule has at most {TEXT_MAX} characters, this one has {len(text)}")
        other = _OTHER_CHARACTER.search(text)
        if other is not None:
            raise InvalidInput(f"a schedule like '30 2 * * MON' has no {other[0]!r} in it")
        plain = " ".join(text.split())
        try:
            return _parse(plain)
        except InvalidInput as error:
            shown = plain if len(plain) <= 60 else f"{plain[:60]}..."
            raise InvalidInput(f"the schedule {shown!r}: {error.message}") from None


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field of an expression may say."""

    name: str
    low: int
    high: int
    period: int
    """How many different values there are: a range that goes round the end goes on after so many."""
    names: tuple[str, ...] = ()
    """Of the values from `low` on."""

    def expected(self) -> str:
        named = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{named}"


_SECOND: Final = _Field("second", 0, 59, 60)
_MINUTE: Final = _Field("minute", 0, 59, 60)
_HOUR: Final = _Field("hour", 0, 23, 24)
_DAY: Final = _Field("day of month", 1, 31, 31)
_MONTH: Final = _Field(
    "month", 1, 12, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
)
_WEEKDAY: Final = _Field("day of week", 0, 7, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))

_LAST: Final = -1
_EVERY: Final = 0
"""In the place of which one of a weekday's days in a month is meant."""


def _parse(text: str) -> CronExpression:
    fields = _fields(text.upper())
    second, minute, hour, day, month, weekday = fields
    months = _values(_MONTH, month)
    days = _days_by_form(day, weekday)
    if not any(days[_form(first, length)] for m in months for length in _lengths(m) for first in range(7)):
        raise InvalidInput("it never ticks, since no such day is in any year")
    return CronExpression(
        text=text,
        seconds=_values(_SECOND, second),
        minutes=_values(_MINUTE, minute),
        hours=_values(_HOUR, hour),
        months=months,
        days=days,
        is_interval=any(field.startswith("*") for field in (second, minute, hour)),
    )


def _fields(text: str) -> list[str]:
    """Return the six fields. Quartz has `?` where nothing is asked of a field."""
    if text.startswith("@"):
        text = _macro(text.lower())
    fields = ["*" if field == "?" else field for field in text.split()]
    if len(fields) not in (5, 6):
        raise InvalidInput(
            "it needs 5 fields (minute, hour, day of month, month, day of week), or 6 with the second before them, "
            f"and has {len(fields)}"
        )
    return fields if len(fields) == 6 else ["0", *fields]


def _macro(name: str) -> str:
    if name == "@reboot":
        raise InvalidInput("there is no reboot to wait for: give times, such as @daily")
    if name not in MACROS:
        raise InvalidInput(f"there are {', '.join(MACROS)} and no others that start with @")
    return MACROS[name]


def _values(field: _Field, text: str) -> tuple[int, ...]:
    return tuple(sorted({value for item in _items(field, text) for value in _range(field, item)}))


def _items(field: _Field, text: str) -> list[str]:
    items = text.split(",")
    if "" in items:
        raise InvalidInput(f"the {field.name} {text!r} has a comma without a value")
    return items


def _range(field: _Field, item: str) -> Iterator[int]:
    """Return the values of `*`, `5`, `1-5` and each with a step; a step after a single value goes on to the end."""
    span, slash, step_text = item.partition("/")
    step = _number(field, item, step_text, 1, field.high, "a step") if slash else 1
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.low, field.low + field.period - 1
    elif dash:
        first, last = _value(field, item, first_text), _value(field, item, last_text)
        if last < first:
            last += field.period
    else:
        first = _value(field, item, span)
        last = field.high if slash else first
    return ((value - field.low) % field.period + field.low for value in range(first, last + 1, step))


def _value(field: _Field, item: str, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        raise InvalidInput(f"the {field.name} {item!r} {_hint(field, item, text)}")
    return int(text)


def _hint(field: _Field, item: str, text: str) -> str:
    """Say what is wrong with a value."""
    if "?" in item:
        return "has a '?', which stands alone or not at all"
    if field is _DAY and item.endswith("W"):
        return "asks for the nearest working day, which there is not: give days of the month, or of the week as MON-FRI"
    if field is _DAY and "L" in item:
        return "is not like L for the last day or L-3 for the third before it"
    if field is _WEEKDAY and "L" in item:
        return "is not like 5L for the last Friday of a month"
    if not text:
        return f"lacks a value, which is in {field.expected()}"
    return f"{'' if text == item else f'has {text!r}, which '}is not in {field.expected()}"


def _number(field: _Field, item: str, text: str, low: int, high: int, what: str) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        raise InvalidInput(f"the {field.name} {item!r} is not right: {what} is from {low} to {high}")
    return int(text)


def _days_by_form(day: str, weekday: str) -> tuple[tuple[int, ...], ...]:
    days = {value for item in _items(_DAY, day) for value in _month_days(item)}
    weekdays = {value for item in _items(_WEEKDAY, weekday) for value in _weekdays(item)}
    both = day.startswith("*") or weekday.startswith("*")

    def matches(number: int, first: int, length: int) -> bool:
        name = (first + number - 1) % 7
        by_date = number in days or number - length - 1 in days
        is_last = number + 7 > length
        by_name = any((name, which) in weekdays for which in (_EVERY, (number + 6) // 7, *[_LAST] * is_last))
        return by_date and by_name if both else by_date or by_name

    return tuple(
        tuple(number for number in range(1, length + 1) if matches(number, first, length))
        for length in _MONTH_LENGTHS
        for first in range(7)
    )


def _month_days(item: str) -> Iterator[int]:
    """Return days of a month; those counted from its end are negative, -1 for the last."""
    if item == "L":
        return iter((-1,))
    if item.startswith("L-"):
        return iter((-1 - _number(_DAY, item, item[2:], 0, 30, "what L-... goes back"),))
    return _range(_DAY, item)


def _weekdays(item: str) -> Iterator[tuple[int, int]]:
    """Return weekdays, 0 for Sunday, and which one in the month is meant."""
    name, sharp, nth = item.partition("#")
    if sharp:
        which = _number(_WEEKDAY, item, nth, 1, 5, "what follows #")
        return iter(((_value(_WEEKDAY, item, name) % 7, which),))
    if item.endswith("L"):
        return iter(((_value(_WEEKDAY, item, item[:-1]) % 7, _LAST),))
    return ((value, _EVERY) for value in _range(_WEEKDAY, item))


def _form(first: int, length: int) -> int:
    """Number the months that start on the same weekday, 0 for Sunday, and are as long."""
    return (length - _MONTH_LENGTHS[0]) * 7 + first


def _lengths(month: int) -> set[int]:
    return {days_in_month(year, month) for year in (2000, 2001)}


def next_tick(expression: CronExpression, zone: tzinfo, after: datetime) -> datetime | None:
    """Return the first of `ticks_after`, None when there is none."""
    return next(ticks_after(expression, zone, after), None)


def ticks_between(expression: CronExpression, zone: tzinfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Return the ticks later than `after` and not later than `until`, as `ticks_after` does."""
    return takewhile(lambda at: at <= until, ticks_after(expression, zone, after))


def ticks_after(expression: CronExpression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Return the ticks later than `after`, in UTC, each later than the one before.

    They are found one by one as they are asked for, and end when there is none for `QUIET_YEARS_MAX` years. `after` has
    a zone, any; raises `InvalidInput` when it is not in the years from `YEAR_MIN` to `YEAR_MAX`.
    """
    if after.tzinfo is None:
        raise ValueError("a moment has a zone")
    if not YEAR_MIN <= after.year <= YEAR_MAX:
        raise InvalidInput(f"schedules tick in the years {YEAR_MIN} to {YEAR_MAX}, and {after.year} is not in them")
    return _ticks(expression, zone, after.astimezone(UTC))


def _ticks(expression: CronExpression, zone: tzinfo, last: datetime) -> Iterator[datetime]:
    for at in _moments(expression, zone, _start(zone, last)):
        if at > last:
            yield at
            last = at


def _start(zone: tzinfo, after: datetime) -> datetime:
    """Return what the clocks show then, or an earlier time if they show that once more later on."""
    local = after.astimezone(zone)
    first, second = _offsets(local)
    return local.replace(tzinfo=None) - max(first - second, timedelta(0))


def _moments(expression: CronExpression, zone: tzinfo, start: datetime) -> Iterator[datetime]:
    """Return when the clocks show the times of the expression, beginning with a time they show."""
    again: deque[datetime] = deque()
    """When they will show times once more."""
    year = start.year
    for wall in _walls(expression, start):
        if wall.year > year + QUIET_YEARS_MAX:
            break
        shown = _shown(wall, zone, expression.is_interval)
        if not shown:
            continue
        year = wall.year
        while again and again[0] < shown[0]:
            yield again.popleft()
        yield shown[0]
        again.extend(shown[1:])
    yield from again


def _shown(wall: datetime, zone: tzinfo, is_interval: bool) -> tuple[datetime, ...]:
    """Return when the clocks show a time: the moments of an interval, or the one of a time that is given."""
    first, second = _offsets(wall.replace(tzinfo=zone))
    utc = wall.replace(tzinfo=UTC)
    if first == second:
        return (utc - first,)
    if first > second:
        return (utc - first, utc - second) if is_interval else (utc - first,)
    return () if is_interval else (_change(utc - second, utc - first, zone),)


def _offsets(local: datetime) -> tuple[timedelta, timedelta]:
    """Return the offsets before and after a change of the clocks that concerns a time; the same when none does."""
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    assert first is not None and second is not None  # noqa: S101  (all zones here have offsets)
    return first, second


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the first second after `low` with another offset than there; it is not after `high`."""
    offset = low.astimezone(zone).utcoffset()

    def is_other(seconds: int) -> bool:
        return (low + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset

    return low + timedelta(seconds=bisect_left(range(int((high - low).total_seconds())), True, key=is_other))


def _walls(expression: CronExpression, start: datetime) -> Iterator[datetime]:
    """Return the dates and times of the expression, without a zone, from a time on."""
    for year in range(start.year, YEAR_MAX + 1):
        for month in expression.months:
            if (year, month) < (start.year, start.month):
                continue
            for day in _days(expression, year, month):
                midnight = datetime(year, month, day)  # noqa: DTZ001  (no zone: what any clock shows)
                if midnight.date() < start.date():
                    continue
                earliest = max(start, midnight)
                for hour, minute, second in _times(expression, earliest.hour, earliest.minute, earliest.second):
                    yield midnight.replace(hour=hour, minute=minute, second=second)


def _days(expression: CronExpression, year: int, month: int) -> tuple[int, ...]:
    first = (days_of(year, month, 1) + _EPOCH_WEEKDAY) % 7
    return expression.days[_form(first, days_in_month(year, month))]


def _times(expression: CronExpression, hour: int, minute: int, second: int) -> Iterator[tuple[int, int, int]]:
    """Return the times of day from a time on."""
    for h in _from(expression.hours, hour):
        for m in _from(expression.minutes, minute if h == hour else 0):
            for s in _from(expression.seconds, second if (h, m) == (hour, minute) else 0):
                yield h, m, s


def _from(values: tuple[int, ...], low: int) -> tuple[int, ...]:
    return values[bisect_left(values, low) :]
