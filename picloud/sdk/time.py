"""`time`: the clock, dates as text (RFC 3339) and calendars in all time zones."""

from __future__ import annotations

import json
import math
from datetime import tzinfo
from decimal import Decimal
from typing import Annotated, Any, Final

from picloud.errors import InvalidInput
from picloud.model import calendar, rfc3339
from picloud.model.calendar import DAY, INSTANT_MAX, INSTANT_MIN, SECOND, YEAR_MAX, YEAR_MIN, Disambiguation, Reading
from picloud.sdk.run import CLOCK_DIGITS, Run
from picloud.sdk.spec import Namespace, Phase, Value

SPAN_MAX_S: Final = 400_000_000_000
"""More than all years there are."""
TESTS: Final = frozenset({Phase.TEST})
UNITS: Final = ("years", "months", "days", "hours", "minutes", "seconds")
_HOUR, _MINUTE = 3600 * SECOND, 60 * SECOND

time_ = Namespace(
    "time",
    f"""The clock, dates as text, and calendars in all time zones.

A time is a number, seconds since 1970-01-01T00:00:00Z with a fraction, as `os.time()` has them: compare and subtract
times as numbers. Leap seconds are not counted, as everywhere in computing. A number holds microseconds until the year
2106; these functions work in nanoseconds, within the years {YEAR_MIN:04} to {YEAR_MAX}, with the Gregorian calendar for
all of them. What is read or computed is an integer when it is a whole number.

A `zone` is a name of the [tz database](https://www.iana.org/time-zones), such as `Europe/Berlin`; PiCloud brings its
own copy. An `offset` is the number of seconds that clocks are ahead of UTC. Where clocks are put forward they skip an
hour, and where they are put back they show one twice: `disambiguation` then says which time is meant, as in
ECMAScript's Temporal.

- `compatible`, the default: of two times the earlier one; a skipped time counts on from before the gap, so 02:30
  becomes 03:30.
- `earlier` and `later`: of two times that one; a skipped time moves back or forward by the length of the gap.
- `reject`: an error.

In a test the clock stands still, at the time the test began, also in the endpoints it calls, and so do `os.time`,
`os.date` and `os.clock`. `time.freeze` and `time.advance` set it.""",
)

At = Annotated[float, "a time in seconds since 1970"]
Zone = Annotated[str | None, "name of a time zone, such as `Europe/Berlin`; left out: `UTC`"]
Offset = Annotated[int | None, "in place of a zone, seconds that clocks are ahead of UTC"]
Which = Annotated[
    str, "which time is meant when clocks show it twice or never: `compatible`, `earlier`, `later` or `reject`"
]
Given = Annotated[Value | None, "as `time.parts` gives it; not looked at"]


@time_.function(
    returns="seconds since 1970, to the microsecond",
    example="""
    time.freeze("2026-07-31T12:00:00Z")
    time.now() --> 1785499200
    time.format(time.now()) --> "2026-07-31T12:00:00Z"
    """,
)
def now(run: Run) -> float:
    """Return what time it is."""
    seconds = round(run.now_s(), CLOCK_DIGITS)
    return int(seconds) if seconds.is_integer() else seconds


@time_.function(
    returns="seconds since some moment, which is another one in other runs",
    example="""
    local started = time.monotonic()
    time.monotonic() - started >= 0 --> true
    """,
)
def monotonic(run: Run) -> float:
    """Return seconds for measuring how long something takes: unlike `time.now` they never go back.

    In a test they stand still but for `time.advance`, as `os.clock` does.
    """
    return run.monotonic_s()


@time_.function(
    returns="seconds since 1970; and the offset of the text from UTC in seconds, nil for `-00:00`",
    example="""
    time.parse("2026-07-31T14:00:00.25+02:00") --> 1785499200.25
    local seconds, offset = time.parse("2026-07-31T14:00:00.25+02:00")
    offset --> 7200
    """,
)
def parse(
    text: Annotated[str, f"such as `2026-07-31T14:00:00.25+02:00`; at most {rfc3339.TEXT_MAX} characters"],
) -> tuple[float, int | None]:
    """Read a time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) writes it, and nothing else.

    `T` and `Z` may be lower case, a fraction may have any number of digits. `-00:00` says that the local time is not
    known (section 4.3). A leap second is accepted where there can be one, at 23:59:60 UTC on the last day of a month,
    and is the same number as the second after it.
    """
    seconds, offset = rfc3339.read(text)
    return (seconds.numerator if seconds.denominator == 1 else float(seconds)), offset


@time_.function(
    name="format",
    returns="such as `2026-07-31T12:00:00Z`, or `2026-07-31T14:00:00+02:00` with a zone or an offset",
    example="""
    time.format(1785499200) --> "2026-07-31T12:00:00Z"
    time.format(1785499200.25, { zone = "Europe/Berlin" }) --> "2026-07-31T14:00:00.25+02:00"
    time.format(1785499200.25, { offset = -3600, precision = 3 }) --> "2026-07-31T11:00:00.250-01:00"
    """,
)
def format_(
    at: At,
    *,
    zone: Zone = None,
    offset: Offset = None,
    precision: Annotated[
        int | None,
        f"digits of the fraction, from 0 to {rfc3339.PRECISION_MAX}, the rest is cut off; left out: all there are",
    ] = None,
) -> str:
    """Write a time as RFC 3339 does; `time.parse` gives the same time again.

    Texts in UTC with the same `precision` sort like the times. An offset is written in whole minutes: clocks of a zone
    that were at other offsets, as most before 1900, are written at the nearest one.
    """
    if precision is not None and not 0 <= precision <= rfc3339.PRECISION_MAX:
        raise InvalidInput(f"precision must be from 0 to {rfc3339.PRECISION_MAX}")
    instant = _instant(at)
    if offset is not None and offset % 60:
        raise InvalidInput("offset must be a multiple of 60 here: RFC 3339 writes minutes")
    tz = _tz(zone, offset)
    utc = offset is None and zone in (None, "UTC")
    return rfc3339.write(instant, None if utc else calendar.offset_s(instant, tz), precision)


@time_.function(
    returns="the new time",
    example="""
    local noon = time.parse("2026-01-31T12:00:00+01:00")
    time.format(time.add(noon, { months = 1 })) --> "2026-02-28T11:00:00Z"
    local later = time.add(noon, { months = 3, days = 1, hours = 1.5, zone = "Europe/Berlin" })
    time.format(later, { zone = "Europe/Berlin" }) --> "2026-05-01T13:30:00+02:00"
    """,
)
def add(
    at: At,
    *,
    years: Annotated[int, "12 months each"] = 0,
    months: Annotated[int, "a day the month does not have becomes its last"] = 0,
    weeks: Annotated[int, "7 days each"] = 0,
    days: Annotated[int, "at the same time of day in the zone, even if that is 23 or 25 hours later"] = 0,
    hours: Annotated[float, "3600 seconds each; a fraction will do"] = 0.0,
    minutes: Annotated[float, "60 seconds each; a fraction will do"] = 0.0,
    seconds: Annotated[float, "a fraction will do"] = 0.0,
    zone: Zone = None,
    disambiguation: Which = Disambiguation.COMPATIBLE.value,
) -> float:
    """Go forward from a time, or back with negative numbers.

    First years and months together, then weeks and days, on the calendar of the zone; then hours, minutes and seconds
    as time that passes.
    """
    spans = ((hours, _HOUR, "hours"), (minutes, _MINUTE, "minutes"), (seconds, SECOND, "seconds"))
    passing = sum(_nanoseconds(value, unit, name) for value, unit, name in spans)
    reached = calendar.shift(
        _instant(at), _tz(zone, None), 12 * years + months, 7 * weeks + days, _which(disambiguation)
    )
    return _number(reached + passing)


@time_.function(
    returns="`years`, `months`, `days`, `hours`, `minutes` and `seconds`, none of them of another sign than the others",
    example="""
    local from, to = time.parse("2026-01-31T00:00:00Z"), time.parse("2026-03-01T06:00:00Z")
    time.diff(from, to) --> { years = 0, months = 1, days = 1, hours = 6, minutes = 0, seconds = 0 }
    time.diff(from, to, { largest = "days" }).days --> 29
    time.add(from, time.diff(from, to)) == to --> true
    """,
)
def diff(
    a: Annotated[float, "the time to start at, in seconds since 1970"],
    b: Annotated[float, "the time to reach; all is negative when it is before `a`"],
    *,
    zone: Zone = None,
    largest: Annotated[str, "the largest unit counted: the ones above it are 0"] = UNITS[0],
) -> Value:
    """Tell what to add to a time on the calendar of a zone to reach another; `b - a` is the seconds between them.

    As many of the larger units as fit come first. `time.add` with the result and the same zone gives `b`.
    """
    if largest not in UNITS:
        raise InvalidInput(f"largest must be one of {', '.join(UNITS)}, got {largest[:60]!r}")
    rank = UNITS.index(largest)
    months, days, rest = calendar.difference(
        _instant(a, "a"), _instant(b, "b"), _tz(zone, None),
        by_months=rank <= UNITS.index("months"), by_days=rank <= UNITS.index("days"),
    )  # fmt: skip
    years, months = _split(months, 12) if rank == 0 else (0, months)
    hours, rest = _split(rest, _HOUR) if rank <= UNITS.index("hours") else (0, rest)
    minutes, rest = _split(rest, _MINUTE) if rank <= UNITS.index("minutes") else (0, rest)
    return _value(dict(zip(UNITS, (years, months, days, hours, minutes, _seconds(rest)), strict=True)))


@time_.function(
    returns="`year`, `month`, `day`, `hour`, `minute`, `second` and `nanosecond`, all integers; `weekday`, 1 for "
    "Monday to 7 for Sunday; `yearday`, 1 for the first of January; `offset` in seconds; with a zone its name as "
    "`zone` and the `abbreviation` of its time",
    example="""
    local parts = time.parts(1785499200.25, { zone = "Europe/Berlin" })
    parts.hour --> 14
    parts.nanosecond --> 250000000
    parts.weekday --> 5
    parts.abbreviation --> "CEST"
    parts.offset --> 7200
    """,
)
def parts(at: At, *, zone: Zone = None, offset: Offset = None) -> Value:
    """Tell what calendar and clock show at a time."""
    instant, tz = _instant(at), _tz(zone, offset)
    there = calendar.offset_s(instant, tz)
    shown = calendar.reading(instant, there)
    seconds, nanosecond = divmod(shown.ns, SECOND)
    fields: dict[str, int | str] = {
        "year": shown.year, "month": shown.month, "day": shown.day,
        "hour": seconds // 3600, "minute": seconds // 60 % 60, "second": seconds % 60, "nanosecond": nanosecond,
        "weekday": shown.weekday, "yearday": shown.yearday, "offset": there,
    }  # fmt: skip
    if offset is None:
        fields |= {"zone": zone or "UTC", "abbreviation": calendar.abbreviation(instant, tz)}
    return _value(fields)


@time_.function(
    returns="seconds since 1970",
    example="""
    time.from_parts({ year = 2026, month = 7, day = 31, hour = 14, zone = "Europe/Berlin" }) --> 1785499200
    local parts = time.parts(1785499200, { zone = "Europe/Berlin" })
    parts.day = 1
    time.format(time.from_parts(parts)) --> "2026-07-01T12:00:00Z"
    """,
)
def from_parts(
    *,
    year: Annotated[int, f"from {YEAR_MIN} to {YEAR_MAX}"],
    month: Annotated[int, "from 1 to 12"] = 1,
    day: Annotated[int, "from 1 to the month's last"] = 1,
    hour: Annotated[int, "from 0 to 23"] = 0,
    minute: Annotated[int, "from 0 to 59"] = 0,
    second: Annotated[int, "from 0 to 59"] = 0,
    nanosecond: Annotated[int, "from 0 to 999999999"] = 0,
    zone: Zone = None,
    offset: Annotated[
        int | None,
        "seconds that clocks are ahead of UTC; together with a zone it only says which time is meant when the clocks "
        "show it twice",
    ] = None,
    disambiguation: Which = Disambiguation.COMPATIBLE.value,
    weekday: Given = None,  # noqa: ARG001  what `parts` gives is taken as it is
    yearday: Given = None,  # noqa: ARG001
    abbreviation: Given = None,  # noqa: ARG001
) -> float:
    """Tell which time it is when calendar and clock show this: the inverse of `time.parts`."""
    clock = (("hour", hour, 23), ("minute", minute, 59), ("second", second, 59), ("nanosecond", nanosecond, SECOND - 1))
    for name, value, most in (("year", year, YEAR_MAX), *clock):
        _check_range(name, value, 0, most)
    _check_range("month", month, 1, 12)
    _check_range("day", day, 1, calendar.days_in_month(year, month))
    shown = Reading(year, month, day, (hour * 60 + minute) * _MINUTE + second * SECOND + nanosecond)
    if zone is None:
        return _seconds(shown.days * DAY + shown.ns - _fixed_s(offset) * SECOND)
    return _seconds(calendar.instant_of(shown, calendar.zone(zone), _which(disambiguation), offset))


@time_.function(
    phases=TESTS,
    example="""
    time.freeze("2026-12-31T23:59:59Z")
    os.date("!%Y-%m-%d") --> "2026-12-31"
    time.freeze(1785499200)
    os.time() --> 1785499200
    """,
)
def freeze(
    run: Run,
    at: Annotated[Value | None, "seconds since 1970, or text as for `time.parse`; left out: where it is"] = None,
) -> None:
    """Set the clock, for this test and the endpoints it calls. It stands still."""
    if at is None:
        return run.freeze(run.now_s())
    given = json.loads(at)
    if isinstance(given, str):
        return run.freeze(float(rfc3339.read(given)[0]))
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InvalidInput("at must be seconds since 1970 or text such as 2026-07-31T14:00:00Z")
    return run.freeze(_instant(float(given)) / SECOND)


@time_.function(
    phases=TESTS,
    example="""
    local started = time.now()
    time.advance(90)
    time.now() - started --> 90
    """,
)
def advance(run: Run, seconds: Annotated[float, "not negative; microseconds count"]) -> None:
    """Put the clock forward, for this test and the endpoints it calls."""
    span = _nanoseconds(seconds, SECOND, "seconds")
    if span < 0:
        raise InvalidInput("seconds must not be negative: time.freeze sets the clock back")
    _number(_instant(run.now_s()) + span)
    run.advance(span / SECOND)


def _instant(seconds: float, name: str = "at") -> int:
    """Return a script's time in nanoseconds; a float is taken as the shortest digits that mean it."""
    if not INSTANT_MIN <= seconds * SECOND <= INSTANT_MAX:  # also when it is no number
        raise InvalidInput(f"{name} must be seconds since 1970 within the years {YEAR_MIN:04} to {YEAR_MAX}")
    return _nanoseconds(seconds, SECOND, name)


def _nanoseconds(value: float, unit: int, name: str) -> int:
    if not math.isfinite(value) or abs(value) * unit > SPAN_MAX_S * SECOND:
        raise InvalidInput(f"{name} must be a number that stays within the years {YEAR_MIN:04} to {YEAR_MAX}")
    return int((Decimal(repr(value)) * unit).to_integral_value())


def _seconds(nanoseconds: int) -> float:
    """Return nanoseconds as scripts see them."""
    whole, rest = divmod(nanoseconds, SECOND)
    return whole if rest == 0 else nanoseconds / SECOND


def _number(instant: int) -> float:
    """Return an instant as scripts see it, if it is within the years there are in UTC."""
    calendar.reading(instant, 0)
    return _seconds(instant)


def _split(amount: int, unit: int) -> tuple[int, int]:
    """Return how often the unit fits and what is left, both with the sign of the amount."""
    count, rest = divmod(abs(amount), unit)
    return (count, rest) if amount >= 0 else (-count, -rest)


def _tz(zone: str | None, offset: int | None) -> tzinfo:
    if zone is not None and offset is not None:
        raise InvalidInput("zone and offset exclude each other")
    return calendar.fixed(_fixed_s(offset)) if zone is None else calendar.zone(zone)


def _fixed_s(offset: int | None) -> int:
    _check_range("offset", offset or 0, -calendar.OFFSET_MAX_S, calendar.OFFSET_MAX_S)
    return offset or 0


def _which(disambiguation: str) -> Disambiguation:
    try:
        return Disambiguation(disambiguation)
    except ValueError:
        names = ", ".join(Disambiguation)
        raise InvalidInput(f"disambiguation must be one of {names}, got {disambiguation[:60]!r}") from None


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{name} must be from {least} to {most}, got {value}")


def _value(fields: dict[str, Any]) -> Value:
    return Value(json.dumps(fields))
