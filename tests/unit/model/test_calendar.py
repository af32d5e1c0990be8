"""The calendar is Python's where Python has one, goes on beyond it, and has an answer where clocks skip or repeat."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.model.calendar import (
    DAY,
    DAY_S,
    INSTANT_MAX,
    INSTANT_MIN,
    SECOND,
    Disambiguation,
    Reading,
    abbreviation,
    date_of,
    days_in_month,
    days_of,
    difference,
    fixed,
    instant_of,
    offset_s,
    reading,
    shift,
    zone,
    zone_names,
)

CYCLE = 146_097 * DAY
HOUR = 3600 * SECOND
BERLIN, APIA, UTC_ZONE = zone("Europe/Berlin"), zone("Pacific/Apia"), zone("UTC")
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu"]
ODD_ZONES = [
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "America/Nuuk",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Africa/Monrovia",
]

instants = st.one_of(
    st.integers(days_of(0, 1, 3) * DAY, days_of(9999, 12, 29) * DAY),
    st.integers(days_of(1880, 1, 1) * DAY, days_of(2100, 1, 1) * DAY),
)
whole_hours = st.integers(days_of(1900, 1, 1) * 24, days_of(2100, 1, 1) * 24).map(lambda hour: hour * HOUR)
zones = st.sampled_from([*ZONES, *ODD_ZONES]).map(zone)


def at(tz: tzinfo, *fields: int) -> int:
    """Return the instant of year, month, day, hour and minute in a zone, the earlier one of two."""
    year, month, day, hour, minute = (*fields, 0, 0)[:5]
    return instant_of(Reading(year, month, day, (hour * 60 + minute) * 60 * SECOND), tz)


def shown(instant: int, tz: tzinfo) -> Reading:
    return reading(instant, offset_s(instant, tz))


@given(st.integers(date.min.toordinal(), date.max.toordinal()))
@example(date(2000, 2, 29).toordinal())
@example(date(1900, 3, 1).toordinal())
def test_dates_are_python_s(ordinal: int) -> None:
    expected = date.fromordinal(ordinal)
    days = ordinal - date(1970, 1, 1).toordinal()
    assert date_of(days) == (expected.year, expected.month, expected.day)
    assert days_of(*date_of(days)) == days
    found = Reading(*date_of(days), 0)
    assert (found.days, found.weekday, found.yearday) == (days, expected.isoweekday(), expected.timetuple().tm_yday)


@given(st.integers(-10_000_000, 10_000_000))
def test_beyond_python_s_years_the_calendar_repeats(days: int) -> None:
    year, month, day = date_of(days)
    assert days_of(year, month, day) == days
    assert date_of(days + 146_097) == (year + 400, month, day)
    assert 1 <= day <= days_in_month(year, month)


def test_months_have_their_days() -> None:
    assert [days_in_month(2023, month) for month in range(1, 13)] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert [days_in_month(year, 2) for year in (0, 4, 100, 400, 1900, 2000, 2024, 2100)] == [
        29, 29, 28, 29, 28, 29, 29, 28,
    ]  # fmt: skip


def test_all_zones_of_the_package_can_be_read() -> None:
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"} <= zone_names()
    for name in zone_names():
        assert abs(offset_s(0, zone(name))) < DAY_S


@pytest.mark.parametrize(
    "name",
    ["", "europe/berlin", "Europe", "Europe/", "../UTC", "/etc/passwd", "Europe/../UTC", "UTC\0", "zone.tab", "a" * 999,
     "posix/UTC", "localtime", "tzdata.zi", "Europe/Berlin ", "Ünïcode", "CON", "."],
)  # fmt: skip
def test_no_other_name_is_a_zone(name: str) -> None:
    with pytest.raises(InvalidInput, match="there is no time zone") as refused:
        zone(name)
    assert len(refused.value.message) < 200


def test_zones_are_those_of_the_package_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ("/nowhere",))
    assert offset_s(at(UTC_ZONE, 2026, 7, 1), zone("Asia/Tokyo")) == 9 * 3600


@given(instants, zones)
def test_offsets_are_python_s_and_repeat_beyond_its_years(instant: int, tz: tzinfo) -> None:
    assume(abs(instant) < days_of(9000, 1, 1) * DAY and instant > days_of(2, 1, 1) * DAY)
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant // SECOND)
    expected = utc.astimezone(tz)
    assert timedelta(seconds=offset_s(instant, tz)) == expected.utcoffset()
    assert abbreviation(instant, tz) == expected.tzname()


@given(st.integers(INSTANT_MIN, days_of(60, 1, 1) * DAY), zones)
def test_before_the_first_change_of_clocks_nothing_changes(instant: int, tz: tzinfo) -> None:
    assert offset_s(instant, tz) == offset_s(instant + CYCLE, tz)


@given(st.integers(days_of(9893, 1, 1) * DAY, INSTANT_MAX), zones)
def test_after_the_last_change_of_rules_the_offsets_repeat_with_the_calendar(instant: int, tz: tzinfo) -> None:
    assert offset_s(instant, tz) == offset_s(instant - CYCLE, tz)


@given(instants, zones)
def test_a_reading_leads_back_to_its_instant(instant: int, tz: tzinfo) -> None:
    there = offset_s(instant, tz)
    found = reading(instant, there)
    assert instant_of(found, tz, near_s=there) == instant
    both = {instant_of(found, tz, which) for which in (Disambiguation.EARLIER, Disambiguation.LATER)}
    assert instant in both
    assert instant_of(found, tz) == min(both)


def test_of_a_time_shown_twice_the_first_is_meant_unless_something_is_said() -> None:
    """Berlin's clocks went back from 03:00 to 02:00 on 2026-10-25."""
    twice = Reading(2026, 10, 25, 2 * HOUR + HOUR // 2)
    first, second = at(UTC_ZONE, 2026, 10, 25, 0, 30), at(UTC_ZONE, 2026, 10, 25, 1, 30)
    assert instant_of(twice, BERLIN) == first
    assert instant_of(twice, BERLIN, Disambiguation.EARLIER) == first
    assert instant_of(twice, BERLIN, Disambiguation.LATER) == second
    assert instant_of(twice, BERLIN, near_s=7200) == first
    assert instant_of(twice, BERLIN, near_s=3600) == second
    assert instant_of(twice, BERLIN, Disambiguation.REJECT, near_s=3600) == second
    assert instant_of(twice, BERLIN, Disambiguation.LATER, near_s=0) == second
    with pytest.raises(InvalidInput, match="twice"):
        instant_of(twice, BERLIN, Disambiguation.REJECT)


def test_a_time_never_shown_is_as_much_later_as_the_clocks_go_forward() -> None:
    """Berlin's clocks went forward from 02:00 to 03:00 on 2026-03-29."""
    never = Reading(2026, 3, 29, 2 * HOUR + HOUR // 2)
    assert shown(instant_of(never, BERLIN), BERLIN).ns == 3 * HOUR + HOUR // 2
    assert instant_of(never, BERLIN, Disambiguation.LATER) == instant_of(never, BERLIN)
    assert shown(instant_of(never, BERLIN, Disambiguation.EARLIER), BERLIN).ns == HOUR + HOUR // 2
    assert instant_of(never, BERLIN, near_s=3600) == instant_of(never, BERLIN)
    with pytest.raises(InvalidInput, match="never"):
        instant_of(never, BERLIN, Disambiguation.REJECT)


def test_a_day_can_be_skipped() -> None:
    """Samoa went from the 29th of December 2011 to the 31st."""
    before = at(APIA, 2011, 12, 29, 10)
    assert shown(before + DAY, APIA).day == 31
    assert shown(at(APIA, 2011, 12, 30, 10), APIA) == Reading(2011, 12, 31, 10 * HOUR)
    assert shift(before, APIA, 0, 1) == before + DAY
    assert shift(before, APIA, 0, 2) == before + DAY
    with pytest.raises(InvalidInput, match="never"):
        shift(before, APIA, 0, 1, Disambiguation.REJECT)


def test_days_have_23_or_25_hours_where_clocks_change() -> None:
    assert shift(at(BERLIN, 2026, 3, 28, 12), BERLIN, 0, 1) - at(BERLIN, 2026, 3, 28, 12) == 23 * HOUR
    assert shift(at(BERLIN, 2026, 10, 24, 12), BERLIN, 0, 1) - at(BERLIN, 2026, 10, 24, 12) == 25 * HOUR


def test_no_step_stays_where_it_is_also_where_a_time_is_shown_twice() -> None:
    second = at(UTC_ZONE, 2026, 10, 25, 1, 30)
    assert shift(second, BERLIN, 0, 0) == second


@pytest.mark.parametrize(
    ("start", "months", "days", "end"),
    [
        ((2026, 1, 31), 1, 0, (2026, 2, 28)),
        ((2024, 1, 31), 1, 0, (2024, 2, 29)),
        ((2024, 2, 29), 12, 0, (2025, 2, 28)),
        ((2024, 2, 29), 48, 0, (2028, 2, 29)),
        ((2024, 2, 29), -12, 0, (2023, 2, 28)),
        ((2026, 1, 31), 1, 1, (2026, 3, 1)),
        ((2026, 12, 31), 2, 0, (2027, 2, 28)),
        ((2026, 1, 1), -1, 0, (2025, 12, 1)),
        ((2026, 1, 1), 0, -1, (2025, 12, 31)),
        ((0, 1, 1), 12 * 9999 + 11, 30, (9999, 12, 31)),
        ((9999, 12, 31), -12 * 9999 - 11, -30, (0, 1, 1)),
    ],
)
def test_months_first_and_then_days(start: tuple[int, ...], months: int, days: int, end: tuple[int, int, int]) -> None:
    assert shift(at(UTC_ZONE, *start), UTC_ZONE, months, days) == at(UTC_ZONE, *end)


@pytest.mark.parametrize(
    "steps", [(1, 0), (0, 1), (2**63, 0), (0, 2**63), (-(2**63), 0), (12 * 10**4, 0), (-(10**6), 0)]
)
def test_no_step_leads_out_of_the_years(steps: tuple[int, int]) -> None:
    for start in (at(UTC_ZONE, 9999, 12, 31), at(UTC_ZONE, 0, 1, 1)):
        if start > 0 or steps not in ((1, 0), (0, 1)):
            with pytest.raises(InvalidInput, match="beyond the years 0000 to 9999"):
                shift(start, UTC_ZONE, *steps)


@given(st.one_of(instants, whole_hours), st.one_of(instants, whole_hours), zones, st.booleans(), st.booleans())
@example(at(BERLIN, 2026, 3, 28, 2, 30), at(BERLIN, 2026, 3, 29, 3, 10), BERLIN, True, True)
@example(at(APIA, 2011, 12, 29), at(APIA, 2011, 12, 31), APIA, False, True)
def test_the_difference_leads_from_one_to_the_other(
    start: int, end: int, tz: tzinfo, by_months: bool, by_days: bool
) -> None:
    months, days, rest = difference(start, end, tz, by_months=by_months, by_days=by_days)
    assert shift(start, tz, months, days) + rest == end
    steps = (months, days, rest)
    assert all(step >= 0 for step in steps) if end >= start else all(step <= 0 for step in steps)
    assert by_months or months == 0
    assert by_days or days == 0
    if by_days:
        assert abs(rest) < 50 * HOUR  # Samoa's day, and the one it skipped
        assert abs(rest) < 26 * HOUR or tz is APIA
        assert abs(days) <= 31 or not by_months


@given(instants, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_in_utc_days_are_days(instant: int, first: int, second: int) -> None:
    assume(days_of(10, 1, 1) * DAY < instant < days_of(9990, 1, 1) * DAY)
    assert shift(instant, UTC_ZONE, 0, first) == instant + first * DAY
    assert shift(shift(instant, UTC_ZONE, 0, first), UTC_ZONE, 0, second) == instant + (first + second) * DAY


def test_a_difference_across_all_years_is_found_at_once() -> None:
    first, last = days_of(0, 1, 1) * DAY, days_of(10000, 1, 1) * DAY - 1
    assert difference(first, last, UTC_ZONE, by_months=True, by_days=True) == (119_999, 30, DAY - 1)
    assert difference(last, first, UTC_ZONE, by_months=True, by_days=True)[0] == -119_999


def test_a_fixed_zone_is_less_than_a_day_from_utc() -> None:
    assert offset_s(0, fixed(-86340)) == -86340
    assert fixed(3600) == timezone(timedelta(hours=1))
    for offset in (86400, -86400, 86341, 2**63):
        with pytest.raises(InvalidInput, match="an offset is from"):
            fixed(offset)


def test_the_clocks_agree_with_the_machine_s_database_where_it_is_as_new() -> None:
    instant = at(UTC_ZONE, 2020, 7, 1)
    assert offset_s(instant, BERLIN) == offset_s(instant, ZoneInfo("Europe/Berlin"))
