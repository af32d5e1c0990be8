"""Which ticks a backfill runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from picloud.errors import InvalidInput
from picloud.model.backfill import BACKFILL_MAX, LOOKED_AT_MAX, Backfill, BackfillRange, choose_ticks
from picloud.model.cron import CronExpression
from picloud.model.rfc3339 import moment

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = CronExpression.parse("30 2 * * *")


def test_a_range_has_both_its_ends() -> None:
    wanted = BackfillRange(moment("2026-03-27T02:30:00+01:00"), moment("2026-03-30T02:30:00+02:00"))
    shown = [tick.astimezone(BERLIN).isoformat() for tick in wanted.ticks(NIGHT, BERLIN)]
    assert shown == [
        "2026-03-27T02:30:00+01:00", "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]  # fmt: skip
    just_inside = BackfillRange(wanted.start + timedelta(microseconds=1), wanted.end - timedelta(microseconds=1))
    assert len(just_inside.ticks(NIGHT, BERLIN)) == 2


def test_a_range_may_be_one_moment_and_may_have_no_tick() -> None:
    at = moment("2026-03-27T02:30:00Z")
    assert BackfillRange(at, at).ticks(NIGHT, UTC) == [at]
    later = at + timedelta(seconds=1)
    assert BackfillRange(later, later).ticks(NIGHT, UTC) == []


def test_a_range_that_is_reversed_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"ends before it begins: is 2026-03-01T00:00:00\+00:00 its beginning"):
        BackfillRange(moment("2026-03-02T00:00:00Z"), moment("2026-03-01T00:00:00Z"))


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0002-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"]
)
def test_moments_beyond_the_years_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="year"):
        BackfillRange(moment(text), moment(text))


def test_ticks_are_counted_as_far_as_they_are_looked_at() -> None:
    seconds = CronExpression.parse("* * * * * *")
    start = moment("2016-01-01T00:00:00Z")
    with pytest.raises(
        InvalidInput, match=r"more than 10000 ticks .* runs 1000 at most: end it at 2016-01-01T00:16:39"
    ):
        BackfillRange(start, start + timedelta(days=3650)).ticks(seconds, UTC)
    exactly = BackfillRange(start, start + timedelta(seconds=LOOKED_AT_MAX - 1)).ticks(seconds, UTC)
    with pytest.raises(InvalidInput, match=r"There are 10000 ticks to run .* end it at 2016-01-01T00:16:39\+00:00"):
        choose_ticks(exactly, (), UTC)
    assert len(choose_ticks(exactly[:BACKFILL_MAX], (), UTC).ticks) == BACKFILL_MAX


def test_a_rare_schedule_over_all_years_is_looked_at_soon() -> None:
    rare = CronExpression.parse("0 0 */29 2 MON")
    wanted = BackfillRange(datetime(3, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert 10 < len(wanted.ticks(rare, UTC)) < BACKFILL_MAX


def test_what_ran_is_left_out_and_does_not_count() -> None:
    ticks = [moment("2026-03-01T00:00:00Z") + timedelta(minutes=minute) for minute in range(BACKFILL_MAX + 2)]
    made = choose_ticks(ticks, {ticks[0], ticks[5]}, BERLIN)
    assert len(made.ticks) == BACKFILL_MAX
    assert made.ran_before == 2
    assert made.ticks[0].isoformat() == "2026-03-01T01:01:00+01:00"


def test_it_is_said_as_one_reads_it() -> None:
    at = moment("2026-03-01T00:00:00Z")
    assert Backfill((at,), 0).describe(dry_run=False) == "1 tick will be run."
    told = "2 ticks would be run, 3 ran before: --again runs those, too."
    assert Backfill((at, at), 3).describe(dry_run=True) == told
