"""Random schedules in random zones tick when cronsim says so.

cronsim is the reference: it is kept by a service whose business is to know when cron jobs should have run, and holds
every difference from Debian's cron for a bug. `CRON_CASES=100000` makes this as many cases as a release is measured by.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, zip_longest
from typing import Final

import pytest
from cronsim import CronSim, CronSimError

from picloud.errors import InvalidInput
from picloud.model.calendar import zone, zone_names
from picloud.model.cron import CronExpression, ticks_after

CASES: Final = int(os.environ.get("CRON_CASES", "3000"))
TICKS: Final = 4
STEPS_MAX: Final = 300_000
ZONES: Final = sorted(zone_names())
START: Final = datetime(1975, 1, 1, tzinfo=UTC)
SPAN_S: Final = int((datetime(2040, 1, 1, tzinfo=UTC) - START).total_seconds())
MONTHS: Final = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS: Final = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def number(rng: random.Random, low: int, high: int, names: list[str]) -> tuple[int, str]:
    value = rng.randint(low, high)
    named = names and value - low < len(names) and rng.random() < 0.3
    return value, rng.choice([str.lower, str.upper, str.title])(names[value - low]) if named else str(value)


def item(rng: random.Random, low: int, high: int, names: list[str]) -> str:
    first, first_text = number(rng, low, high, names)
    last, last_text = number(rng, low, high, names)
    step = f"/{rng.randint(1, high)}"
    kind = rng.random()
    if kind < 0.5:
        return first_text
    if kind < 0.6:
        return first_text + step
    if kind < 0.7:
        return "*" + step
    span = f"{first_text}-{last_text}" if first <= last else f"{last_text}-{first_text}"
    return span + step if kind > 0.85 and first != last else span  # for cronsim 5-5/10 is 5/10


def field(rng: random.Random, low: int, high: int, names: list[str], *, free: float) -> str:
    if rng.random() < free:
        return "*"
    return ",".join(item(rng, low, high, names) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def hour(rng: random.Random) -> str:
    """Return an hour, often one in which clocks change."""
    return str(rng.randint(0, 3)) if rng.random() < 0.3 else field(rng, 0, 23, [], free=0.4)


def day(rng: random.Random) -> str:
    return "L" if rng.random() < 0.1 else field(rng, 1, 31, [], free=0.5)


def weekday(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.1:
        return f"{rng.randint(0, 7)}L"
    if kind < 0.2:
        return f"{number(rng, 0, 7, WEEKDAYS)[1]}#{rng.randint(1, 5)}"
    return field(rng, 0, 7, WEEKDAYS, free=0.5)


def schedule(rng: random.Random) -> str:
    fields = [
        field(rng, 0, 59, [], free=0.2),
        hour(rng),
        day(rng),
        field(rng, 1, 12, MONTHS, free=0.6),
        weekday(rng),
    ]
    if rng.random() < 0.25:
        fields.insert(0, field(rng, 0, 59, [], free=0.2))
    return " ".join(fields)


def moment(rng: random.Random, tz: tzinfo) -> datetime:
    """Return any moment, or one in the two days before the clocks of a zone change."""
    at = START + timedelta(seconds=rng.randrange(SPAN_S))
    offset = at.astimezone(tz).utcoffset()
    if rng.random() < 0.5:
        for _ in range(366):
            if (at + timedelta(days=1)).astimezone(tz).utcoffset() != offset:
                return at - timedelta(seconds=rng.randrange(86400))
            at += timedelta(days=1)
    return at


def ours(text: str, tz: tzinfo, after: datetime) -> list[datetime]:
    """Return the first ticks, none for what is refused because it never ticks."""
    try:
        return list(islice(ticks_after(CronExpression.parse(text), tz, after), TICKS))
    except InvalidInput as refused:
        assert "never ticks" in refused.message
        return []


class EndlessError(Exception):
    """cronsim goes round in circles."""


class Bounded(CronSim):
    """cronsim, which does not come back when an interval meets clocks that go back over midnight."""

    steps = 0

    def tick(self, seconds: int = 1) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise EndlessError
        super().tick(seconds)


def theirs(text: str, tz: tzinfo, after: datetime) -> list[datetime]:
    try:
        return [at.astimezone(UTC) for at in islice(Bounded(text, after.astimezone(tz)), TICKS)]
    except CronSimError as refused:
        assert str(refused) == "Bad day-of-month"  # of the expressions made here: no month has it
        return []


def decided(text: str, tz: tzinfo, disputed: datetime, is_tick: bool) -> str | None:
    """Return why a moment is a tick for one of the two only, None when there is no reason for that."""
    days = (disputed + timedelta(days=days) for days in (-1, 0, 1))
    if len({at.astimezone(tz).utcoffset() for at in days}) == 1:
        return None  # all reasons are in changes of the clocks
    simulator, local = CronSim(text, START), disputed.astimezone(tz)
    if len(text.split()) == 6 and not CronExpression.parse(text).is_interval:
        return "cronsim takes all expressions with seconds as intervals, here those with a time are not"
    shows = (
        local.second in simulator.seconds
        and local.minute in simulator.minutes
        and local.hour in simulator.hours
        and local.month in simulator.months
        and simulator.match_day(local.date())
    )
    if CronExpression.parse(text).is_interval and is_tick is shows:
        return "cronsim's search, which goes by hours and midnights, misses what its fields say"
    return None


@pytest.mark.timeout(180 + CASES // 50)
def test_ticks_are_those_of_cronsim() -> None:
    rng = random.Random(20261124)  # the cases are the same in every run
    disputes: Counter[str] = Counter()
    for _ in range(CASES):
        text, name = schedule(rng), rng.choice(ZONES)
        tz = zone(name)
        after = moment(rng, tz)
        here = ours(text, tz, after)
        try:
            there = theirs(text, tz, after)
        except EndlessError:
            disputes["cronsim does not come back"] += 1
            continue
        if here != there:
            disputed = min(at for pair in zip_longest(here, there) if pair[0] != pair[1] for at in pair if at)
            reason = decided(text, tz, disputed, disputed in here)
            assert reason, f"{text!r} in {name} after {after}: {here}, and cronsim {there}"
            disputes[reason] += 1
    assert disputes.total() < CASES / 200, disputes
    print(f"{CASES} cases, {dict(disputes)}")  # noqa: T201  (the figure of a long run; seen with -s)
