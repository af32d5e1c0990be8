"""Text and instants: what is written is read again, and hostile text is refused. The RFC has a suite of its own."""

from __future__ import annotations

import re
from datetime import date, datetime
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.model.calendar import DAY, SECOND, days_of
from picloud.model.rfc3339 import TEXT_MAX, read, write

instants = st.integers(days_of(0, 1, 2) * DAY, days_of(9999, 12, 31) * DAY)
offsets = st.integers(-86399, 86399)
FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


@given(instants, st.none() | st.integers(-1439, 1439).map(lambda minutes: 60 * minutes))
def test_what_is_written_is_read_as_it_was(instant: int, offset: int | None) -> None:
    text = write(instant, offset)
    seconds, found = read(text)
    assert seconds == Fraction(instant, SECOND)
    assert found == (offset or 0)
    assert FORM.fullmatch(text)


@given(instants, offsets)
@example(0, -29)
@example(0, -20)
def test_an_offset_with_seconds_is_written_at_the_nearest_minute_and_means_the_same(instant: int, offset: int) -> None:
    if abs(offset) > 86369:
        return  # the nearest minute is a day
    seconds, found = read(write(instant, offset))
    assert seconds == Fraction(instant, SECOND)
    assert found is not None  # never -00:00, which says that nothing is known
    assert abs(found - offset) <= 30


@given(instants, st.integers(0, 9))
def test_a_precision_cuts_off_and_texts_sort_like_times(instant: int, precision: int) -> None:
    text = write(instant, precision=precision)
    unit = 10 ** (9 - precision)
    assert read(text)[0] == Fraction(instant // unit * unit, SECOND)
    assert (text < write(instant + unit, precision=precision)) is True
    assert len(text) == len("2026-07-31T12:00:00Z") + precision + bool(precision)


@given(st.datetimes(), st.integers(-1439, 1439))
def test_what_python_writes_is_read_as_python_means_it(local: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    text = f"{local.isoformat()}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    days = local.toordinal() - date(1970, 1, 1).toordinal()
    whole = days * 86400 + local.hour * 3600 + (local.minute - minutes) * 60 + local.second
    assert read(text)[0] == whole + Fraction(local.microsecond, 10**6)


@given(
    st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{8,12}[Zz+-][0-9:]*", fullmatch=True)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds, _ = read(text)
    except InvalidInput as error:
        assert len(error.message) < 400
    else:
        assert text.isascii()
        assert read(write(int(seconds * SECOND)))[0] == Fraction(int(seconds * SECOND), SECOND)


def test_a_fraction_may_be_as_long_as_the_text() -> None:
    digits = "9" * (TEXT_MAX - len("1970-01-01T00:00:00.Z"))
    assert read(f"1970-01-01T00:00:00.{digits}Z")[0] == 1 - Fraction(1, 10 ** len(digits))
    with pytest.raises(InvalidInput, match="longer than"):
        read(f"1970-01-01T00:00:00.{digits}9Z")
    with pytest.raises(InvalidInput, match="longer than"):
        read("1" * 10**7)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1970-13-01T00:00:00Z", "a month is from 01 to 12"),
        ("2023-02-29T00:00:00Z", "the days of this month are from 01 to 28"),
        ("1970-01-01T24:00:00Z", "a time is from 00:00:00 to 23:59:59"),
        ("1970-01-01T00:00:00+24:00", "an offset is from -23:59 to [+]23:59"),
        ("1970-01-01T00:00:60Z", "a leap second comes at 23:59:60 UTC on the last day of a month"),
        ("tomorrow", "'tomorrow' is not like 2026-07-31T14:00:00Z"),
    ],
)
def test_it_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(text)


@pytest.mark.parametrize("instant", [days_of(0, 1, 1) * DAY - 1, days_of(10000, 1, 1) * DAY])
def test_what_four_digits_cannot_say_is_not_written(instant: int) -> None:
    with pytest.raises(InvalidInput, match="beyond the years 0000 to 9999"):
        write(instant)
    assert write(instant, 3600 if instant < 0 else -3600)
