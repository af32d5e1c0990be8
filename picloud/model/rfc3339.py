"""Dates and times as text, after RFC 3339: `2026-07-31T14:00:00.25+02:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.calendar import DAY_S, SECOND, date_of, days_in_month, days_of, reading

TEXT_MAX: Final = 1024
"""Characters of a text that is read."""
PRECISION_MAX: Final = 9
"""Digits of a fraction that is written."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def read(text: str) -> tuple[Fraction, int | None]:
    """Return seconds since 1970 and the offset from UTC in seconds, None for `-00:00`: the local time is not known.

    A leap second counts as the second after it, as POSIX has it; it can only be at the end of a month in UTC. Raises
    `InvalidInput` for all that is not exactly the `date-time` of section 5.6.
    """
    if len(text) > TEXT_MAX:
        raise InvalidInput(f"the text is longer than {TEXT_MAX} characters")
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{_shown(text)} is not like 2026-07-31T14:00:00Z or 2026-07-31T14:00:00.25+02:00")
    try:
        return _value(found)
    except InvalidInput as error:
        raise InvalidInput(f"{_shown(text)}: {error.message}") from None


def moment(text: str) -> datetime:
    """Return the moment a text names, in UTC, what is below a microsecond cut off; raises `InvalidInput` as `read`."""
    seconds, _ = read(text)
    try:
        return _EPOCH + timedelta(microseconds=int(seconds * 10**6 // 1))
    except OverflowError:
        raise InvalidInput(f"{_shown(text)} is beyond the years there are") from None


def _value(found: re.Match[str]) -> tuple[Fraction, int | None]:
    year, month, day, hour, minute, second = (int(digits) for digits in found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    _check_date(year, month, day)
    if hour > 23 or minute > 59 or second > 60:
        raise InvalidInput("a time is from 00:00:00 to 23:59:59")
    offset = _offset(sign, int(offset_hours), int(offset_minutes)) if sign else 0
    seconds = days_of(year, month, day) * DAY_S + (hour * 60 + minute) * 60 + second - offset
    if second == 60 and not _starts_month(seconds):
        raise InvalidInput("a leap second comes at 23:59:60 UTC on the last day of a month")
    exact = Fraction(int(fraction), 10 ** len(fraction)) if fraction else Fraction(0)
    return seconds + exact, None if sign == "-" and offset == 0 else offset


def _check_date(year: int, month: int, day: int) -> None:
    if not 1 <= month <= 12:
        raise InvalidInput("a month is from 01 to 12")
    last = days_in_month(year, month)
    if not 1 <= day <= last:
        raise InvalidInput(f"the days of this month are from 01 to {last}")


def _offset(sign: str, hours: int, minutes: int) -> int:
    if hours > 23 or minutes > 59:
        raise InvalidInput("an offset is from -23:59 to +23:59")
    return (-60 if sign == "-" else 60) * (60 * hours + minutes)


def _starts_month(seconds: int) -> bool:
    days, rest = divmod(seconds, DAY_S)
    return rest == 0 and date_of(days)[2] == 1


def write(instant: int, offset: int | None = None, precision: int | None = None) -> str:
    """Return an instant in nanoseconds as text: in UTC with a `Z`, or as clocks show it `offset` seconds east.

    The offset is written in minutes, so one that is none (there were such before 1972) is taken as the nearest minute:
    the text means the same instant. `precision` is how many digits the fraction has, the rest is cut off; None for as
    many as there are. Raises `InvalidInput` beyond the years there are.
    """
    minutes = (abs(offset or 0) + 30) // 60
    sign = "-" if offset is not None and offset < 0 and minutes else "+"
    shown = reading(instant, -60 * minutes if sign == "-" else 60 * minutes)
    seconds, ns = divmod(shown.ns, SECOND)
    digits = f"{ns:09}"
    digits = digits.rstrip("0") if precision is None else digits[:precision]
    where = "Z" if offset is None else f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return (
        f"{shown.year:04}-{shown.month:02}-{shown.day:02}"
        f"T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{'.' if digits else ''}{digits}{where}"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
