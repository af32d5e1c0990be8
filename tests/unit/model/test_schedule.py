"""Every tick is accounted for once: run in time, caught up with, skipped or missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import InvalidInput
from picloud.model.calendar import zone
from picloud.model.cron import CronExpression, ticks_between
from picloud.model.schedule import (
    ACCOUNT_MAX,
    CATCH_UP_MAX,
    Account,
    CatchUp,
    DueTick,
    LatePolicy,
    Outcome,
    PassedTicks,
    account,
)

START = datetime(2026, 10, 24, 20, tzinfo=UTC)  # clocks in Berlin go back at 01:00 on the 25th
BERLIN = zone("Europe/Berlin")
MINUTELY = CronExpression.parse("* * * * *")
NONE, LAST, ALL = (LatePolicy(catch_up, late_max_ms=30_000, catch_up_max=3) for catch_up in CatchUp)

policies = st.builds(LatePolicy, st.sampled_from(CatchUp), st.integers(0, 7_200_000), st.integers(1, 50))


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def decide(accounted: datetime, now: datetime, policy: LatePolicy) -> Account:
    return account(MINUTELY, BERLIN, accounted, now, policy)


@pytest.mark.parametrize("policy", [NONE, LAST, ALL])
def test_a_tick_in_time_is_run_whatever_the_policy(policy: LatePolicy) -> None:
    assert decide(START, minute(1.5), policy) == Account(None, (DueTick(minute(1), 30_000, False),), minute(1.5))
    assert decide(START, minute(1), policy) == Account(None, (DueTick(minute(1), 0, False),), minute(1))


@pytest.mark.parametrize("policy", [NONE, LAST, ALL])
def test_nothing_is_due_before_the_first_tick(policy: LatePolicy) -> None:
    assert decide(START, minute(0.9), policy) == Account(None, (), minute(0.9))


def test_without_catching_up_late_ticks_are_missed() -> None:
    missed = PassedTicks(minute(1), minute(9), 9, Outcome.TOO_LATE)
    assert decide(START, minute(10.1), NONE) == Account(missed, (DueTick(minute(10), 6_000, False),), minute(10.1))
    assert decide(START, minute(9.9), NONE) == Account(missed, (), minute(9.9))


def test_the_last_of_late_ticks_is_run_if_none_in_time_follows() -> None:
    skipped = PassedTicks(minute(1), minute(8), 8, Outcome.SUPERSEDED)
    assert decide(START, minute(9.9), LAST) == Account(skipped, (DueTick(minute(9), 54_000, True),), minute(9.9))
    in_time = decide(START, minute(10.1), LAST)
    assert in_time.passed == PassedTicks(minute(1), minute(9), 9, Outcome.SUPERSEDED)
    assert in_time.due == (DueTick(minute(10), 6_000, False),)


def test_all_late_ticks_are_run_or_as_many_of_the_newest_as_the_policy_says() -> None:
    found = decide(START, minute(9.9), ALL)
    assert found.passed == PassedTicks(minute(1), minute(6), 6, Outcome.TOO_MANY)
    assert [(tick.at, tick.is_caught_up) for tick in found.due] == [(minute(at), True) for at in (7, 8, 9)]
    assert decide(START, minute(2.9), ALL).passed is None
    assert len(decide(START, minute(2.9), ALL).due) == 2


def test_only_what_the_policy_wants_is_skipped() -> None:
    assert [outcome for outcome in Outcome if outcome.is_skipped] == [Outcome.SUPERSEDED, Outcome.OVERLAP]


@given(policies, st.integers(0, 3600))
def test_a_clock_that_went_back_decides_nothing_twice(policy: LatePolicy, back_s: int) -> None:
    accounted = minute(60)
    assert decide(accounted, accounted - timedelta(seconds=back_s), policy) == Account(None, (), accounted)


@given(policies, st.lists(st.integers(-1800, 7200), max_size=12), st.sampled_from(["* * * * *", "*/20 0-59/7 * * * *"]))
def test_every_tick_is_accounted_for_once_however_often_one_looks(
    policy: LatePolicy, steps: list[int], text: str
) -> None:
    """Steps back are clocks set back; each account begins where the one before ended, as after a restart."""
    expression, now, accounted = CronExpression.parse(text), START, START
    seen: list[datetime] = []
    for step in steps:
        now += timedelta(seconds=step)
        found = account(expression, BERLIN, accounted, now, policy)
        assert found.until == max(accounted, now)
        if found.passed:
            between = found.passed.first - timedelta(seconds=1)
            passed = list(ticks_between(expression, BERLIN, between, found.passed.last))
            assert len(passed) == found.passed.count
            seen += passed
        for tick in found.due:
            assert tick.late_ms == (now - tick.at) // timedelta(milliseconds=1)
            assert tick.is_caught_up is (tick.late_ms > policy.late_max_ms)
        seen += [tick.at for tick in found.due]
        accounted = found.until
    assert seen == list(ticks_between(expression, BERLIN, START, accounted))


@given(policies, st.integers(0, 5 * 3600))
def test_ticks_in_time_are_run_and_late_ones_as_the_policy_says(policy: LatePolicy, gap_s: int) -> None:
    now = START + timedelta(seconds=gap_s)
    ticks = list(ticks_between(MINUTELY, BERLIN, START, now))
    late = [at for at in ticks if now - at > timedelta(milliseconds=policy.late_max_ms)]
    kept = {CatchUp.NONE: 0, CatchUp.LAST: 1, CatchUp.ALL: policy.catch_up_max}[policy.catch_up]
    run = [at for at in ticks if at not in late or ticks.index(at) >= len(ticks) - kept]
    assert [tick.at for tick in decide(START, now, policy).due] == run


@pytest.mark.parametrize("policy", [NONE, LAST, ALL])
@pytest.mark.parametrize("more", [-1, 0, 1, 2, 3, 4])
def test_a_long_absence_is_accounted_for_in_parts(policy: LatePolicy, more: int) -> None:
    expression, now = CronExpression.parse("* * * * * *"), START + timedelta(seconds=ACCOUNT_MAX + more)
    policy = LatePolicy(policy.catch_up, late_max_ms=0, catch_up_max=3)
    parts = [account(expression, BERLIN, START, now, policy)]
    while parts[-1].until < now:
        parts.append(account(expression, BERLIN, parts[-1].until, now, policy))
    assert len(parts) == (2 if more > 0 else 1)
    assert sum(part.passed.count for part in parts if part.passed) + sum(len(part.due) for part in parts) == (
        ACCOUNT_MAX + more
    )
    run = [tick.at for part in parts for tick in part.due]
    expected = max(1, policy.kept)
    assert run == [now - timedelta(seconds=back) for back in reversed(range(expected))]


@pytest.mark.parametrize(("late_max_ms", "catch_up_max"), [(-1, 1), (0, 0), (0, CATCH_UP_MAX + 1)])
def test_a_policy_has_bounds(late_max_ms: int, catch_up_max: int) -> None:
    with pytest.raises(InvalidInput):
        LatePolicy(CatchUp.ALL, late_max_ms, catch_up_max)
