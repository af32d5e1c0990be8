"""Times are numbers; text, calendars and zones lead to them and back; only a test sets the clock."""

from __future__ import annotations

import json
import math
import re
import time as clock
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import InvalidInput, NotFound, ScriptRuntimeError
from picloud.model.release import TestSource
from picloud.platform import limits_of
from picloud.sdk.run import Run
from picloud.sdk.spec import Phase, Value
from picloud.sdk.time import add, advance, diff, format_, freeze, from_parts, monotonic, now, parse, parts
from picloud.settings import Settings

FIRST, LAST = -62167219200.0, 253402300799.0
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Monrovia"]

times = st.one_of(
    st.floats(FIRST, LAST),
    st.integers(int(FIRST), int(LAST)).map(float),
    st.integers(0, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000),
)
inner_times = times.map(lambda seconds: max(min(seconds, LAST - 10**9), FIRST + 10**9))
zones = st.sampled_from(ZONES)


def test_now_is_the_system_s_clock_to_the_microsecond() -> None:
    before = clock.time()
    found = now(Run(Phase.ENDPOINT))
    assert before - 1e-6 <= found <= clock.time() + 1e-6
    assert round(found, 6) == found


def test_monotonic_does_not_go_back() -> None:
    run = Run(Phase.ENDPOINT)
    found = [monotonic(run) for _ in range(1000)]
    assert sorted(found) == found
    assert found[0] < found[-1]


# text ---------------------------------------------------------------------------------------------------------------


@given(times)
@example(2**23 + 2**-29)
@example(FIRST)
@example(LAST)
@example(-0.0)
def test_what_is_written_is_read_as_the_same_number(seconds: float) -> None:
    """For nine digits, which a float nearer to 1970 than four months exceeds."""
    assert parse(format_(seconds))[0] == (seconds if abs(seconds) >= 2**23 else round(seconds, 9))


@given(inner_times, zones | st.none(), st.none() | st.integers(-1439, 1439))
def test_in_any_zone_and_at_any_offset(seconds: float, zone: str | None, minutes: int | None) -> None:
    text = format_(seconds, zone=zone) if zone else format_(seconds, offset=minutes and 60 * minutes)
    found, offset = parse(text)
    assert found == (seconds if abs(seconds) >= 2**23 else round(seconds, 9))
    assert offset == (60 * (minutes or 0) if zone is None else offset)


@given(inner_times, st.integers(0, 9))
def test_a_precision_cuts_off(seconds: float, precision: int) -> None:
    text = format_(seconds, precision=precision)
    assert len(text) == len("2026-07-31T12:00:00Z") + precision + bool(precision)
    assert format_(seconds, precision=9).startswith(text[:-1])


def test_digits_are_those_that_are_meant() -> None:
    """The float nearest to 1785499200.123 is a little less: cutting off its exact digits would give .122."""
    assert Fraction(1785499200.123) < Fraction("1785499200.123")
    assert format_(1785499200.123) == "2026-07-31T12:00:00.123Z"
    assert format_(1785499200.123, precision=3) == "2026-07-31T12:00:00.123Z"
    assert format_(253402300799.123, precision=3) == "9999-12-31T23:59:59.123Z"
    assert format_(-0.1) == "1969-12-31T23:59:59.9Z"
    assert format_(1e-300) == "1970-01-01T00:00:00Z"


def test_utc_is_z_and_an_offset_that_is_asked_for_is_written() -> None:
    assert format_(0) == format_(0, zone="UTC") == "1970-01-01T00:00:00Z"
    assert format_(0, offset=0) == format_(0, zone="Africa/Abidjan") == "1970-01-01T00:00:00+00:00"


def test_offsets_of_old_are_written_to_the_minute_and_mean_the_same() -> None:
    """Monrovia's clocks were 44 minutes and 30 seconds behind UTC until 1972."""
    text = format_(0, zone="Africa/Monrovia")
    assert text in ("1969-12-31T23:15:00-00:45", "1969-12-31T23:16:00-00:44")
    assert parse(text)[0] == 0


# numbers that are none ------------------------------------------------------------------------------------------------

BAD_TIMES = [math.nan, math.inf, -math.inf, 1e300, -1e300, 1e12, float(2**63), -float(2**63), LAST + 200_000]


@pytest.mark.parametrize("seconds", BAD_TIMES)
def test_what_is_beyond_the_years_is_refused_everywhere(seconds: float) -> None:
    calls: list[Any] = [
        lambda: format_(seconds), lambda: parts(seconds), lambda: add(seconds, days=1), lambda: add(0, hours=seconds),
        lambda: add(0, seconds=seconds), lambda: diff(seconds, 0), lambda: diff(0, seconds),
        lambda: advance(Run(Phase.TEST), seconds),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(InvalidInput, match="the years 0000 to 9999"):
            call()


@pytest.mark.parametrize("count", [10**5, -(10**5), 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("unit", ["years", "months", "weeks", "days"])
def test_no_step_leads_beyond_them(unit: str, count: int) -> None:
    options: dict[str, Any] = {unit: count if unit == "years" else count * 10**3 if abs(count) < 10**6 else count}
    with pytest.raises(InvalidInput, match="beyond the years 0000 to 9999"):
        add(0, **options)


def test_the_last_second_is_the_last() -> None:
    assert add(LAST, seconds=0.5) == LAST + 0.5
    with pytest.raises(InvalidInput, match="beyond the years"):
        add(LAST, seconds=1)
    with pytest.raises(InvalidInput, match="beyond the years"):
        add(FIRST, seconds=-0.5)


# calendars ----------------------------------------------------------------------------------------------------------


def fields(value: Value) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value)
    return found


@given(inner_times, zones | st.none(), st.none() | st.integers(-86340, 86340))
@example(65536.7507583935, None, None)
def test_parts_lead_back_to_their_time(seconds: float, zone: str | None, offset: int | None) -> None:
    """A float is taken as the shortest digits that mean it, so half a nanosecond is one in those digits."""
    found = fields(parts(seconds, zone=zone) if zone else parts(seconds, offset=offset))
    assert from_parts(**found) == (seconds if abs(seconds) >= 2**23 else float(round(Decimal(repr(seconds)), 9)))


@given(inner_times, inner_times, zones, st.sampled_from(["years", "months", "days", "hours", "minutes"]))
@example(1774742400.0, 1774746000.0, "Europe/Berlin", "days")
def test_adding_the_difference_leads_from_one_to_the_other(a: float, b: float, zone: str, largest: str) -> None:
    found = fields(diff(a, b, zone=zone, largest=largest))
    assert add(a, **found, zone=zone) == pytest.approx(b, abs=5e-10, rel=2**-52)
    assert all(value >= 0 for value in found.values()) or all(value <= 0 for value in found.values())
    above = list(found)[: list(found).index(largest)]
    assert all(found[unit] == 0 for unit in above)
    assert abs(found["seconds"]) < 60
    assert abs(found["minutes"]) < 60 or largest == "minutes"
    assert abs(found["months"]) < 12 or largest == "months"


@given(st.integers(-(10**11), 10**11), st.integers(-(10**9), 10**9))
def test_seconds_are_added_as_they_are(start: int, seconds: int) -> None:
    if FIRST <= start + seconds <= LAST and start >= FIRST:
        assert add(start, seconds=seconds) == start + seconds
        assert add(start, minutes=seconds / 60) == pytest.approx(start + seconds, abs=1e-5)
        assert fields(diff(start, start + seconds, largest="seconds"))["seconds"] == seconds


def test_whole_numbers_are_integers() -> None:
    values = [add(0.5, seconds=0.5), parse("1970-01-01T00:00:01.0Z")[0], from_parts(year=1970), now(frozen(17.0))]
    assert all(type(value) is int for value in values)
    assert type(add(0, seconds=0.5)) is float


def test_a_local_day_is_not_always_24_hours() -> None:
    noon = parse("2026-03-28T12:00:00+01:00")[0]
    assert add(noon, days=1, zone="Europe/Berlin") - noon == 23 * 3600
    assert add(noon, days=1) - noon == 24 * 3600
    assert add(noon, hours=24, zone="Europe/Berlin") - noon == 24 * 3600
    assert fields(diff(noon, noon + 23 * 3600, zone="Europe/Berlin"))["days"] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "2026-03-29T03:30:00+02:00"),
        ({"disambiguation": "later"}, "2026-03-29T03:30:00+02:00"),
        ({"disambiguation": "earlier"}, "2026-03-29T01:30:00+01:00"),
        ({"month": 10, "day": 25}, "2026-10-25T02:30:00+02:00"),
        ({"month": 10, "day": 25, "disambiguation": "earlier"}, "2026-10-25T02:30:00+02:00"),
        ({"month": 10, "day": 25, "disambiguation": "later"}, "2026-10-25T02:30:00+01:00"),
        ({"month": 10, "day": 25, "offset": 3600}, "2026-10-25T02:30:00+01:00"),
        ({"month": 10, "day": 25, "offset": 3600, "disambiguation": "reject"}, "2026-10-25T02:30:00+01:00"),
    ],
)
def test_what_clocks_skip_or_show_twice(options: dict[str, Any], text: str) -> None:
    given_: dict[str, Any] = {"year": 2026, "month": 3, "day": 29, "hour": 2, "minute": 30, "zone": "Europe/Berlin"}
    assert format_(from_parts(**{**given_, **options}), zone="Europe/Berlin") == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"year": -1}, "year must be from 0 to 9999, got -1"),
        ({"year": 10000}, "year must be from 0 to 9999, got 10000"),
        ({"month": 0}, "month must be from 1 to 12, got 0"),
        ({"month": 2**62}, "month must be from 1 to 12"),
        ({"month": 2, "day": 29}, "day must be from 1 to 28, got 29"),
        ({"day": 0}, "day must be from 1 to 31, got 0"),
        ({"hour": 24}, "hour must be from 0 to 23, got 24"),
        ({"minute": 60}, "minute must be from 0 to 59, got 60"),
        ({"second": 60}, "second must be from 0 to 59, got 60"),
        ({"nanosecond": 10**9}, "nanosecond must be from 0 to 999999999"),
        ({"offset": 86400}, "offset must be from -86340 to 86340, got 86400"),
        ({"zone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
        ({"zone": "Europe/Berlin", "disambiguation": "both"}, "disambiguation must be one of compatible, earlier,"),
        ({"zone": "Europe/Berlin", "month": 3, "day": 29, "hour": 2, "disambiguation": "reject"}, "never"),
    ],
)
def test_parts_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        from_parts(**{"year": 2026, **options})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: format_(0, precision=10), "precision must be from 0 to 9"),
        (lambda: format_(0, precision=-1), "precision must be from 0 to 9"),
        (lambda: format_(0, offset=90), "offset must be a multiple of 60"),
        (lambda: format_(0, offset=60, zone="UTC"), "zone and offset exclude each other"),
        (lambda: parts(0, offset=-86341), "offset must be from -86340"),
        (lambda: parts(0, zone=""), "there is no time zone ''"),
        (lambda: diff(0, 0, largest="weeks"), "largest must be one of years, months,"),
        (lambda: format_(LAST + 1), "beyond the years"),
    ],
)
def test_it_says_what_is_wrong(call: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()


# the clock of a test ------------------------------------------------------------------------------------------------


def frozen(now_s: float) -> Run:
    run = Run(Phase.TEST)
    run.freeze(now_s)
    return run


def test_a_stopped_clock_moves_when_it_is_moved() -> None:
    run = frozen(1000.25)
    assert (now(run), now(run), monotonic(run)) == (1000.25, 1000.25, 0)
    advance(run, 0.5)
    assert (now(run), monotonic(run)) == (1000.75, 0.5)
    freeze(run, Value('"1970-01-01T00:00:10+00:00"'))
    assert (now(run), monotonic(run)) == (10, 0.5)
    freeze(run)
    assert now(run) == 10
    freeze(run, Value("-5.5"))
    assert now(run) == -5.5


def test_a_tenth_of_a_second_ten_times_is_a_second() -> None:
    run = frozen(1785499200.0)
    for _ in range(10):
        advance(run, 0.1)
    assert now(run) == 1785499201


@pytest.mark.parametrize("at", ['"tomorrow"', "true", "null", "[1]", "{}", "1e300", "253402500000"])
def test_the_clock_is_not_set_to_what_is_no_time(at: str) -> None:
    run = frozen(7.0)
    with pytest.raises(InvalidInput):
        freeze(run, Value(at))
    assert now(run) == 7


def test_it_is_not_advanced_backwards_or_beyond_the_years() -> None:
    run = frozen(LAST)
    for seconds, message in ((-1.0, "must not be negative"), (1.0, "beyond the years")):
        with pytest.raises(InvalidInput, match=message):
            advance(run, seconds)
    assert now(run) == LAST


# from Lua -----------------------------------------------------------------------------------------------------------


def nothing_published(_name: str) -> Published:
    raise NotFound


SESSION = Interactive(nothing_published, Executor(limits_of(Settings(run_memory_mb=8))), "shop", lambda _text: None)


def test_scripts_get_integers_and_floats_as_they_are() -> None:
    source = """
    expect(math.type(time.parse("2026-07-31T12:00:00Z"))):equals("integer")
    expect(math.type(time.parse("2026-07-31T12:00:00.5Z"))):equals("float")
    expect(select("#", time.parse("2026-07-31T12:00:00-00:00"))):equals(2)
    expect((select(2, time.parse("2026-07-31T12:00:00-00:00")))):is_nil()
    expect(time.format(time.add(os.time({ year = 2026, month = 1, day = 31 }), { months = 1 }))):matches("^2026%-02%-2")
    expect(time.from_parts(time.parts(0, { offset = 3600 }))):equals(0)
    expect(time.monotonic()):equals(0)
    local apart = time.diff(0, 90061.5)
    expect(apart):equals({ years = 0, months = 0, days = 1, hours = 1, minutes = 1, seconds = 1.5 })
    expect(math.type(apart.days)):equals("integer")
    expect(time.diff(90061.5, 0, { largest = "seconds" }).seconds):equals(-90061.5)
    expect(string.format("%02d:%02d", time.parts(90).minute, time.parts(90.5).second)):equals("01:30")
    """
    result = SESSION.test(TestSource("numbers", source))
    assert result.error is None, result.error


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("time.parse('now')", "time.parse: 'now' is not like 2026-07-31T14:00:00Z"),
        ("time.parse('\\xff')", "time.parse: text is not UTF-8"),
        ("time.parse(5)", "time.parse: text must be a string, got number"),
        ("time.format()", "time.format: at must be a number, got nil"),
        ("time.format(0/0)", "time.format: at must be seconds since 1970 within the years 0000 to 9999"),
        (
            "time.format(0, { tz = 'UTC' })",
            "time.format: there is no option 'tz'; the options are offset, precision, zone",
        ),
        ("time.add(0, { day = 1 })", "time.add: there is no option 'day'"),
        ("time.from_parts({})", "time.from_parts: year must be an integer, got nil"),
        ("time.from_parts()", "time.from_parts: year must be an integer, got nil"),
        ("time.freeze(0)", "time.freeze can be called in tests only"),
        ("time.advance(1)", "time.advance can be called in tests only"),
    ],
)
def test_scripts_are_told_what_is_wrong(source: str, message: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=re.escape(message)):
        SESSION.run(source)
