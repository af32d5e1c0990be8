"""A schedule ticks at the times of its fields as a zone's clocks show them, once each, whatever the clocks do."""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.model.calendar import zone, zone_names
from picloud.model.cron import (
    MACROS,
    QUIET_YEARS_MAX,
    TEXT_MAX,
    YEAR_MAX,
    YEAR_MIN,
    CronExpression,
    next_tick,
    ticks_after,
    ticks_between,
)

BERLIN, UTC_ZONE = zone("Europe/Berlin"), zone("UTC")
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
parse = CronExpression.parse

ODD_ZONES = [
    "Africa/Casablanca", "Africa/Monrovia", "America/Caracas", "America/Nuuk", "America/Santiago", "America/Sao_Paulo",
    "America/St_Johns", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Manila", "Asia/Pyongyang",
    "Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Europe/London", "Pacific/Apia",
    "Pacific/Kiritimati", "Pacific/Kwajalein",
]  # fmt: skip
"""Whose clocks changed by half an hour, by two, at midnight, by a day, in both directions, and in winter."""


def ticks(text: str, tz: tzinfo, after: datetime, count: int) -> list[datetime]:
    return list(islice(ticks_after(parse(text), tz, after), count))


# What is read


@pytest.mark.parametrize(("text", "minutes"), [
    ("5", [5]), ("5,7,5", [5, 7]), ("5-8", [5, 6, 7, 8]), ("*/20", [0, 20, 40]), ("1-10/3", [1, 4, 7, 10]),
    ("5/15", [5, 20, 35, 50]), ("58-2", [0, 1, 2, 58, 59]), ("50-10/10", [0, 10, 50]), ("07", [7]), ("*/59", [0, 59]),
    ("3-3", [3]), ("3-3/7", [3]), ("*", list(range(60))), ("?", list(range(60))), ("59/59", [59]),
    ("7,*", list(range(60))),
])  # fmt: skip
def test_fields_are_values_lists_ranges_and_steps(text: str, minutes: list[int]) -> None:
    assert list(parse(f"{text} * * * *").minutes) == minutes
    assert list(parse(f"{text} * * * * *").seconds) == minutes


def test_the_second_comes_first_where_there_is_one() -> None:
    six, five = parse("1 2 3 4 5 *"), parse("2 3 4 5 *")
    assert (six.seconds, six.minutes, six.hours, six.months) == ((1,), (2,), (3,), (5,))
    assert (five.seconds, five.minutes, five.hours, five.months) == ((0,), (2,), (3,), (5,))


@pytest.mark.parametrize(("month", "weekday"), [("JAN-MAR", "MON,WED"), ("jan-mar", "mon,wed"), ("Jan-Mar", "mOn,3")])
def test_names_are_read_in_any_case(month: str, weekday: str) -> None:
    named, numbered = parse(f"0 0 * {month} {weekday}"), parse("0 0 * 1-3 1,3")
    assert (named.months, named.days) == (numbered.months, numbered.days)


@pytest.mark.parametrize("name", MACROS)
def test_macros_are_what_they_stand_for(name: str) -> None:
    written, meant = parse(f" {name.title()} "), parse(MACROS[name])
    assert (written.minutes, written.hours, written.days, written.months, written.is_interval) == (
        meant.minutes, meant.hours, meant.days, meant.months, meant.is_interval,
    )  # fmt: skip
    assert written.text == name.title()


def test_sunday_is_0_and_7_and_ranges_go_round_it() -> None:
    for same in (
        ["0", "7", "SUN", "*/7", "0,7", "7-7"],
        ["5-7", "FRI-SUN", "FRI-0", "5,6,0"],
        ["6-1", "SAT-MON", "0-1,6"],
        ["*", "0-7", "0-6", "1-7", "1-0", "3-2", "?"],
    ):
        assert len({parse(f"0 0 ? * {text}").days for text in same}) == 1, same


@pytest.mark.parametrize(("text", "interval"), [
    ("0 2 * * *", False), ("* 2 * * *", True), ("0 * * * *", True), ("*/5 2 * * *", True), ("0-59 2 * * *", False),
    ("0 0-23 * * *", False), ("0 0/2 * * *", False), ("0 2,* * * *", False), ("0 0 2 * * *", False),
    ("*/10 0 2 * * *", True), ("@hourly", True), ("@daily", False), ("0 2 */2 */2 */2", False),
])  # fmt: skip
def test_an_interval_has_a_star_at_the_start_of_a_field_of_the_time(text: str, interval: bool) -> None:
    assert parse(text).is_interval is interval


@pytest.mark.parametrize(("text", "says"), [
    ("61 * * * *", "the schedule '61 * * * *': the minute '61' is not in 0 to 59"),
    ("* 5-70 * * *", "the hour '5-70' has '70', which is not in 0 to 23"),
    ("* * * FOO *", "the month 'FOO' is not in 1 to 12, or JAN to DEC"),
    ("* * * * MONDAY", "the day of week 'MONDAY' is not in 0 to 7, or SUN to SAT"),
    ("*/90 * * * *", "the minute '*/90' is not right: a step is from 1 to 59"),
    ("1,,2 * * * *", "the minute '1,,2' has a comma without a value"),
    ("1- * * * *", "the minute '1-' lacks a value"),
    ("0 0 15W * *", "nearest working day"),
    ("0 0 LW * *", "nearest working day"),
    ("0 0 L-31 * *", "from 0 to 30"),
    ("0 0 3L * *", "L for the last day"),
    ("0 0 * * L", "5L for the last Friday"),
    ("0 0 * * MON#6", "from 1 to 5"),
    ("0 0 ?,1 * *", "'?', which stands alone"),
    ("* * * *", "needs 5 fields"),
    ("0 0 0 1 1 ? 2026", "and has 7"),
    ("", "and has 0"),
    ("@reboot", "no reboot"),
    ("@every 5m", "@hourly"),
    ("0 0 30 2 *", "never ticks"),
    ("0 0 L-30 2,4 *", "never ticks"),
    ("0 0 * 2 0#5,8#1", "'8#1' has '8'"),
    ("0\0 * * * *", "no '\\x00' in it"),
    ("\u017fun * * * *", "no '\u017f' in it"),  # its upper case is SUN
    ("٣ * * * *", "no '٣' in it"),
    ("0 0 * * *\n", "no '\\n' in it"),
    ("0\u00a00 * * *", "in it"),
    ("1," * TEXT_MAX, f"at most {TEXT_MAX} characters"),
    ("a" * TEXT_MAX, "a..."),
])  # fmt: skip
def test_what_is_wrong_is_said_in_a_short_sentence(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert says in refused.value.message
    assert len(refused.value.message) < 300


def test_every_value_can_be_listed() -> None:
    fields = [range(60), range(60), range(24), range(1, 32), range(1, 13), range(8)]
    text = " ".join(",".join(str(value) for value in field) for field in fields)
    assert len(text) <= TEXT_MAX
    assert len(parse(text).seconds) == 60


@given(st.text(alphabet="0123456789*/,-?#@LWMONJAFRI \t\n\0é", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_schedule_that_ticks_or_is_refused(text: str) -> None:
    try:
        expression = parse(text)
    except InvalidInput:
        return
    assert next_tick(expression, UTC_ZONE, datetime(2026, 1, 1, tzinfo=UTC)) is not None
    assert parse(expression.text) == expression


# Which days


@given(
    st.sets(st.integers(1, 31), min_size=1, max_size=3),
    st.integers(0, 30),
    st.sets(st.integers(0, 6), min_size=1, max_size=2),
    st.integers(1, 5),
    st.sampled_from(["*", "days", "back"]),
    st.sampled_from(["*", "names", "nth", "last"]),
    st.dates(date(1900, 1, 1), date(2200, 1, 1)),
)
def test_days_are_those_either_field_has_and_both_when_one_has_a_star(
    days: set[int], back: int, names: set[int], nth: int, dates: str, weekdays: str, day: date
) -> None:
    last = monthrange(day.year, day.month)[1]
    name = day.isoweekday() % 7
    by_date = {"*": True, "days": day.day in days, "back": day.day == last - back}[dates]
    by_name = {
        "*": True,
        "names": name in names,
        "nth": name in names and (day.day - 1) // 7 == nth - 1,
        "last": name in names and day.day > last - 7,
    }[weekdays]
    date_text = {"*": "*", "days": ",".join(map(str, days)), "back": f"L-{back}" if back else "L"}[dates]
    suffix = {"names": "", "nth": f"#{nth}", "last": "L"}.get(weekdays, "")
    name_text = "*" if weekdays == "*" else ",".join(f"{value}{suffix}" for value in names)
    is_day = by_date and by_name if "*" in (dates, weekdays) else by_date or by_name
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = next_tick(parse(f"0 0 {date_text} * {name_text}"), UTC_ZONE, midnight - SECOND)
    assert found is not None
    assert (found == midnight) is is_day


def test_the_rarest_day_comes_within_the_quiet_years() -> None:
    rarest = parse("0 0 29 2 */7")  # the 29th of February on a Sunday
    found = list(ticks_between(rarest, UTC_ZONE, datetime(1996, 1, 1, tzinfo=UTC), datetime(2400, 12, 31, tzinfo=UTC)))
    assert max(later.year - earlier.year for earlier, later in pairwise(found)) == 40 < QUIET_YEARS_MAX
    assert len(found) == len(
        [year for year in range(1996, 2401) if monthrange(year, 2)[1] == 29 and date(year, 2, 29).isoweekday() == 7]
    )


# What clocks do


@cache
def changes(name: str) -> list[datetime]:
    """Return when the clocks of a zone changed or will change, from 1900 to 2060."""
    tz, start = zone(name), datetime(1900, 1, 1, tzinfo=UTC)
    days = [start + day * DAY for day in range(160 * 365)]
    return [change(tz, day) for day in days if offset(tz, day) != offset(tz, day + DAY)]


def change(tz: tzinfo, day: datetime) -> datetime:
    """Return when the clocks change in the day that follows."""
    return day + SECOND * bisect_left(
        range(86_401), True, key=lambda second: offset(tz, day + second * SECOND) != offset(tz, day)
    )


def offset(tz: tzinfo, at: datetime) -> timedelta | None:
    return at.astimezone(tz).utcoffset()


def by_definition(expression: CronExpression, tz: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Look at the clock of a zone every second: at an interval's times, and whenever it passes a time that is given."""

    def has(wall: datetime) -> bool:
        return wall.second in expression.seconds and wall.minute in expression.minutes and wall.hour in expression.hours

    latest = start.astimezone(tz).replace(tzinfo=None)
    at = start + SECOND
    while at <= end:
        wall = at.astimezone(tz).replace(tzinfo=None)
        if expression.is_interval:
            if has(wall):
                yield at
        elif wall > latest:
            if any(has(latest + SECOND * step) for step in range(1, int((wall - latest).total_seconds()) + 1)):
                yield at
            latest = wall
        at += SECOND


times = st.one_of(
    st.builds(
        lambda minutes, hours: f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *",
        st.sets(st.integers(0, 59), min_size=1, max_size=3),
        st.sets(st.sampled_from([0, 0, 1, 2, 3, 23]), min_size=1),
    ),
    st.sampled_from([
        "* * * * *", "*/7 * * * *", "0 */2 * * *", "30 */3 * * *", "*/20 0-3 * * *", "* 0,23 * * *", "@hourly",
        "@daily", "*/9 */7 * * * *", "59 59 1,23 * * *", "0,30 0-59 0-3 * * *", "0-59 0 0-4 * * *", "*/15 30 2 * * *",
    ]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)  # it looks 18000 times
@given(times, st.sampled_from(ODD_ZONES), st.integers(0, 10_000), st.integers(0, 5 * 3600))
def test_ticks_are_those_a_look_at_the_clock_every_second_finds(text: str, name: str, which: int, after_s: int) -> None:
    expression, tz, all_changes = parse(text), zone(name), changes(name)
    change = all_changes[which % len(all_changes)]
    start, end = change - 2 * HOUR, change + 3 * HOUR
    expected = list(by_definition(expression, tz, start, end))
    assert list(ticks_between(expression, tz, start, end)) == expected
    after = start + timedelta(seconds=after_s)
    assert list(ticks_between(expression, tz, after, end)) == [at for at in expected if at > after]


@settings(max_examples=200)
@given(times, st.sampled_from(sorted(zone_names())), st.integers(-120 * 365 * 86400, 180 * 365 * 86400))
def test_each_tick_is_later_and_is_the_next_after_the_one_before(text: str, name: str, after_s: int) -> None:
    expression, tz, after = parse(text), zone(name), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=after_s)
    found = ticks(text, tz, after, 20)
    assert len(found) == 20
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    assert all(at.tzinfo is UTC and at.microsecond == 0 for at in found)
    for earlier, later in pairwise(found):
        assert next_tick(expression, tz, earlier) == later
        assert next_tick(expression, tz, later - timedelta(microseconds=1)) == later


CLOCKS = {
    # Forward from 02:00+01 to 03:00+02 on 2026-03-29, back from 03:00+02 to 02:00+01 on 2026-10-25.
    "Europe/Berlin": """
        30 2 * * *    | 2026-03-28T00:00+01 | 28T02:30+01 29T03:00+02 30T02:30+02
        0 2 * * *     | 2026-03-28T00:00+01 | 28T02:00+01 29T03:00+02 30T02:00+02
        0,30 2 * * *  | 2026-03-28T12:00+01 | 29T03:00+02 30T02:00+02 30T02:30+02
        30 2,3 * * *  | 2026-03-28T12:00+01 | 29T03:00+02 29T03:30+02 30T02:30+02
        30 * * * *    | 2026-03-29T01:00+01 | 29T01:30+01 29T03:30+02 29T04:30+02
        */20 2 * * *  | 2026-03-28T12:00+01 | 30T02:00+02 30T02:20+02 30T02:40+02
        30 2 * * *    | 2026-10-24T12:00+02 | 25T02:30+02 26T02:30+01 27T02:30+01
        30 2 * * *    | 2026-10-25T02:00+01 | 26T02:30+01 27T02:30+01 28T02:30+01
        30 * * * *    | 2026-10-25T01:00+02 | 25T01:30+02 25T02:30+02 25T02:30+01 25T03:30+01
        0 2,3 * * *   | 2026-10-24T12:00+02 | 25T02:00+02 25T03:00+01 26T02:00+01
        */30 2 * * *  | 2026-10-24T12:00+02 | 25T02:00+02 25T02:30+02 25T02:00+01 25T02:30+01 26T02:00+01
        @daily        | 2026-10-24T12:00+02 | 25T00:00+02 26T00:00+01
    """,
    # Forward from 02:00-05 to 03:00-04 on 2026-03-08, back from 02:00-04 to 01:00-05 on 2026-11-01.
    "America/New_York": """
        15 2 * * *    | 2026-03-07T00:00-05 | 07T02:15-05 08T03:00-04 09T02:15-04
        0 2 8 3 *     | 2026-03-07T00:00-05 | 08T03:00-04
        15 2 * * SUN  | 2026-03-07T00:00-05 | 08T03:00-04 15T02:15-04
        15 */2 * * *  | 2026-03-08T00:00-05 | 08T00:15-05 08T04:15-04
        45 1 * * *    | 2026-11-01T00:00-04 | 01T01:45-04 02T01:45-05
        45 * * * *    | 2026-11-01T00:50-04 | 01T01:45-04 01T01:45-05 01T02:45-05
        0 0 2 * * *   | 2026-11-01T00:50-04 | 01T02:00-05 02T02:00-05
    """,
    # Forward from 02:00+10:30 to 02:30+11 on 2026-10-04, back from 02:00+11 to 01:30+10:30 on 2026-04-05.
    "Australia/Lord_Howe": """
        15 2 * * *    | 2026-10-03T00:00+1030 | 03T02:15+1030 04T02:30+11 05T02:15+11
        45 2 * * *    | 2026-10-03T00:00+1030 | 03T02:45+1030 04T02:45+11 05T02:45+11
        */15 * * * *  | 2026-10-04T01:40+1030 | 04T01:45+1030 04T02:30+11 04T02:45+11
        45 1 * * *    | 2026-04-04T00:00+11 | 04T01:45+11 05T01:45+11 06T01:45+1030
        */15 * * * *  | 2026-04-05T01:25+11 | 05T01:30+11 05T01:45+11 05T01:30+1030 05T01:45+1030 05T02:00+1030
        @hourly       | 2026-04-05T00:30+11 | 05T01:00+11 05T02:00+1030
    """,
    # Forward from 00:00+02 to 01:00+03 on 2026-03-29, back from 00:00+03 to 23:00+02 of the day before on 2026-10-25.
    "Asia/Beirut": """
        @daily        | 2026-03-28T12:00+02 | 29T01:00+03 30T00:00+03
        30 0 * * *    | 2026-03-28T12:00+02 | 29T01:00+03 30T00:30+03
        0 0 29 * *    | 2026-03-28T12:00+02 | 29T01:00+03
        @hourly       | 2026-03-28T22:30+02 | 28T23:00+02 29T01:00+03
        30 23 * * *   | 2026-10-24T12:00+03 | 24T23:30+03 25T23:30+02
        @daily        | 2026-10-24T12:00+03 | 25T00:00+02 26T00:00+02
        */30 * * * *  | 2026-10-24T23:10+03 | 24T23:30+03 24T23:00+02 24T23:30+02 25T00:00+02
        */30 * 24 * * | 2026-10-24T23:10+03 | 24T23:30+03 24T23:00+02 24T23:30+02
    """,
    # Forward from 00:00-03 to 01:00-02 on 2018-11-04, back from 00:00-02 to 23:00-03 of the day before on 2019-02-17.
    "America/Sao_Paulo": """
        @daily        | 2018-11-03T12:00-03 | 04T01:00-02 05T00:00-02
        0 0 * * SUN   | 2018-11-03T12:00-03 | 04T01:00-02 11T00:00-02
        15,45 0 * * * | 2018-11-03T12:00-03 | 04T01:00-02 05T00:15-02
        0 23 * * *    | 2019-02-16T12:00-02 | 16T23:00-02 17T23:00-03
        @hourly       | 2019-02-16T22:30-02 | 16T23:00-02 16T23:00-03 17T00:00-03
    """,
    # The day 2011-12-30 was skipped: after 23:59-10 on the 29th came 00:00+14 on the 31st.
    "Pacific/Apia": """
        0 9 * * *     | 2011-12-29T00:00-10 | 29T09:00-10 31T00:00+14 31T09:00+14
        0 9 30 * *    | 2011-12-01T00:00-10 | 31T00:00+14
        0 9 * * FRI   | 2011-12-29T00:00-10 | 31T00:00+14
        0 */6 * * *   | 2011-12-29T17:00-10 | 29T18:00-10 31T00:00+14 31T06:00+14
        @daily        | 2011-12-29T12:00-10 | 31T00:00+14
    """,
    # The day 1969-09-30 was shown twice: after 24:00+11 came 01:00-12 of the same day.
    "Pacific/Kwajalein": """
        0 9 * * *     | 1969-09-29T12:00+11 | 30T09:00+11
        0 */12 * * *  | 1969-09-29T18:00+11 | 30T00:00+11 30T12:00+11 30T12:00-12
    """,
    "UTC": """
        30 2 * * *    | 2026-03-28T00:00+00 | 28T02:30+00 29T02:30+00 30T02:30+00
        */30 2 * * *  | 2026-10-24T12:00+00 | 25T02:00+00 25T02:30+00 26T02:00+00
    """,
}
"""By hand: an expression, a moment, and the next ticks of that month, as the clocks show them."""


@pytest.mark.parametrize(
    ("name", "row"), [(name, row.strip()) for name, table in CLOCKS.items() for row in table.strip().splitlines()]
)
def test_clocks_that_change_are_followed_as_debian_s_cron_does(name: str, row: str) -> None:
    text, after, expected = (cell.strip() for cell in row.split("|"))
    found = ticks(text, zone(name), datetime.fromisoformat(after), len(expected.split()))
    assert found == [datetime.fromisoformat(after[:8] + at) for at in expected.split()]


def test_an_interval_the_clocks_always_skip_has_no_tick() -> None:
    assert next_tick(parse("*/5 2 * 3 SUNL"), BERLIN, datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert next_tick(parse("*/5 2 * 3 SUNL"), UTC_ZONE, datetime(2026, 1, 1, tzinfo=UTC)) is not None


def test_a_zone_may_be_a_fixed_offset() -> None:
    found = next_tick(parse("0 9 * * *"), timezone(HOUR * 5.5), datetime(2026, 1, 1, tzinfo=UTC))
    assert found == datetime(2026, 1, 1, 3, 30, tzinfo=UTC)


# Bounds


def test_ticks_between_leave_out_the_first_moment_and_have_the_last() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 3, tzinfo=UTC)
    found = list(ticks_between(parse("* * * * *"), UTC_ZONE, start, end))
    assert found == [start + MINUTE, start + 2 * MINUTE, end]
    assert list(ticks_between(parse("* * * * *"), UTC_ZONE, end, start)) == []
    assert list(ticks_between(parse("* * * * *"), UTC_ZONE, end, end)) == []


def test_a_moment_may_be_in_any_zone_but_has_one() -> None:
    local = datetime(2026, 7, 1, 8, 59, tzinfo=BERLIN)
    assert next_tick(parse("0 9 * * *"), BERLIN, local) == datetime(2026, 7, 1, 7, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        ticks_after(parse("0 9 * * *"), BERLIN, datetime(2026, 7, 1))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_years_have_ends(name: str) -> None:
    first, last = datetime(YEAR_MIN, 1, 1, tzinfo=UTC), datetime(YEAR_MAX, 12, 31, 23, 59, 59, tzinfo=UTC)
    for text in ("* * * * *", "0 0 1 1 *", "0 12 * * *"):
        assert next_tick(parse(text), zone(name), first) is not None
        assert len(ticks(text, zone(name), last - 400 * DAY, 3)) >= 1
        assert len(ticks(text, zone(name), last, 2000)) < 2000
    for beyond in (first - SECOND, last + SECOND, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        with pytest.raises(InvalidInput, match="years"):
            ticks_after(parse("* * * * *"), zone(name), beyond)


def test_the_page_on_schedules_shows_what_is_read() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/schedules.md").read_text()
    table = page.split("| example | ticks |")[1].split("\n\n")[0]
    examples = [text for row in table.splitlines() for text in re.findall(r"`([^`]+)`", row.rpartition(" | ")[0])]
    assert set(MACROS) < set(examples)
    for text in examples:
        assert next_tick(parse(text), BERLIN, datetime(2026, 1, 1, tzinfo=UTC))
