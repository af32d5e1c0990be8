"""Backfills: ticks of a range are run after all, once, in order, and beside nothing they may not run beside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.backfill import BACKFILL_MAX, Backfill, BackfillRange
from picloud.model.schedule import CatchUp
from picloud.model.trigger import Overlap, Trigger, TriggerKind
from picloud.platform import Platform
from tests.integration.triggers.conftest import World
from tests.integration.triggers.test_scheduler import (
    MINUTELY,
    begin,
    execute,
    fetch,
    minutes,
    outcomes,
    payloads,
    platform,
    publish,
    ran,
    scheduler,
    ticks,
)

__all__ = ["platform"]


def backfill(platform: Platform, first: float, last: float, *, now: float = 60, **options: Any) -> Backfill:
    app = platform.apps.get("shop").id
    wanted = BackfillRange(minutes(first), minutes(last))
    return platform.schedules.backfill(app, "job", wanted, by="ada", now=minutes(now), **options)


def accounted(platform: Platform, trigger: Trigger = MINUTELY) -> None:
    """Let an hour go by in which nothing but the last tick ran, and that is done."""
    step = begin(platform, trigger)
    step(minutes(60))
    execute(platform, "DELETE FROM procrastinate_jobs")
    execute(platform, "DELETE FROM events")


def test_ticks_that_did_not_run_become_events_in_order(platform: Platform) -> None:
    accounted(platform, replace(MINUTELY, tz="Asia/Tokyo"))
    assert outcomes(platform) == [("superseded", 58), ("ran", 1), ("overlap", 1)]
    made = backfill(platform, 57, 60)
    assert [tick.isoformat() for tick in made.ticks] == [
        "2026-03-01T21:57:00+09:00", "2026-03-01T21:58:00+09:00", "2026-03-01T22:00:00+09:00",
    ]  # fmt: skip
    assert made.ran_before == 1
    assert payloads(platform)[0] == {
        "scheduled_at": int(minutes(57).timestamp()), "scheduled_for": "2026-03-01T21:57:00+09:00",
        "late_ms": 180_000, "caught_up": False, "backfilled": True,
    }  # fmt: skip
    assert [payload["scheduled_at"] for payload in payloads(platform)] == [tick.timestamp() for tick in made.ticks]
    app = platform.apps.get("shop").id
    entries = platform.schedules.ticks(app, "job", 3)
    assert [(entry.outcome, entry.asked_by) for entry in entries] == [("ran", "ada")] * 3
    jobs = fetch(platform, "SELECT (args ->> 'event_id')::uuid, lock FROM procrastinate_jobs ORDER BY id")
    assert [event for event, _ in jobs] == [entry.event_id for entry in reversed(entries)]
    assert len({lock for _, lock in jobs}) == 1


def test_a_backfill_of_a_range_done_already_runs_nothing_but_when_asked_to(platform: Platform) -> None:
    accounted(platform)
    assert len(backfill(platform, 1, 60).ticks) == 59
    assert backfill(platform, 1, 60) == Backfill((), 60)
    assert len(backfill(platform, 1, 60, again=True).ticks) == 60
    assert len(payloads(platform)) == 59 + 60


def test_a_dry_run_changes_nothing(platform: Platform) -> None:
    begin(platform, MINUTELY)
    before = [fetch(platform, f"SELECT * FROM {table}") for table in ("schedules", "ticks", "events", "deliveries")]
    made = backfill(platform, 1, 60, dry_run=True)
    assert len(made.ticks) == 59
    assert [
        fetch(platform, f"SELECT * FROM {table}") for table in ("schedules", "ticks", "events", "deliveries")
    ] == before
    assert backfill(platform, 1, 60) == made


def test_ticks_that_are_due_run_first_and_once(platform: Platform) -> None:
    """A backfill up to now leaves nothing of that range to the scheduler."""
    step = begin(platform, replace(MINUTELY, overlap=Overlap.QUEUE, catch_up=CatchUp.ALL))
    assert backfill(platform, 1, 60) == Backfill((), 60)
    step(minutes(60))
    assert ran(platform) == [minutes(count) for count in range(1, 61)]
    assert not any(payload["backfilled"] for payload in payloads(platform))


def test_a_range_before_the_trigger_was_there_can_be_run(platform: Platform) -> None:
    begin(platform, MINUTELY)
    assert len(backfill(platform, -30, -21).ticks) == 10


def test_a_tick_whose_run_was_cancelled_did_not_run(platform: Platform) -> None:
    step = begin(platform, replace(MINUTELY, overlap=Overlap.CANCEL))
    step(minutes(1))
    step(minutes(2))
    made = backfill(platform, 1, 2, now=2)
    assert (made.ticks, made.ran_before) == ((minutes(1),), 1)
    step(minutes(3))  # which cancels nothing somebody asked for
    assert [payload["scheduled_at"] for payload in payloads(platform)] == [minutes(n).timestamp() for n in (1, 3)]


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL])
def test_ticks_that_come_meanwhile_run_after_it(platform: Platform, overlap: Overlap) -> None:
    trigger = replace(MINUTELY, overlap=overlap)
    accounted(platform, trigger)
    made = backfill(platform, 1, 20)
    scheduler(platform.database).step(minutes(61))
    jobs = fetch(platform, "SELECT lock FROM procrastinate_jobs")
    assert len(jobs) == len(made.ticks) + 1
    assert len(set(jobs)) == 1
    assert payloads(platform)[-1]["scheduled_at"] == minutes(61).timestamp()
    assert ticks(platform)[-1].outcome == "ran"


def test_with_overlap_allow_they_run_beside_each_other(platform: Platform) -> None:
    accounted(platform, replace(MINUTELY, overlap=Overlap.ALLOW))
    backfill(platform, 1, 5)
    assert set(fetch(platform, "SELECT lock FROM procrastinate_jobs")) == {(None,)}


@pytest.mark.parametrize(
    ("first", "last", "now", "message"),
    [
        (1, 61, 60, "ends in the future: it is 2026-03-01T13:00:00"),
        (10**7, 10**8, 60, "ends in the future"),
        (-100_000, 60, 60, "more than 10000 ticks to run in this range"),
        (-2000, 60, 60, "There are 2060 ticks to run in this range"),
    ],
)
def test_ranges_that_are_refused(platform: Platform, first: float, last: float, now: float, message: str) -> None:
    begin(platform, MINUTELY)
    with pytest.raises(InvalidInput, match=message):
        backfill(platform, first, last, now=now)
    assert payloads(platform) == []
    assert ticks(platform) == []


def test_backfills_that_wait_are_bounded_together(platform: Platform) -> None:
    begin(platform, MINUTELY)
    backfill(platform, -BACKFILL_MAX, -1)
    with pytest.raises(Conflict, match="1000 ticks of earlier backfills of job wait still"):
        backfill(platform, -BACKFILL_MAX, -BACKFILL_MAX, again=True)
    assert len(payloads(platform)) == BACKFILL_MAX + 1  # and the tick that was due


def test_what_is_no_schedule_has_no_backfill(platform: Platform) -> None:
    publish(platform, Trigger("job", TriggerKind.TOPIC, "t", "job"))
    with pytest.raises(InvalidInput, match="job is no schedule"):
        backfill(platform, 1, 2)
    publish(platform)
    with pytest.raises(NotFound, match="no trigger 'job'"):
        backfill(platform, 1, 2)


def test_of_backfills_at_one_moment_only_one_runs_a_tick(platform: Platform) -> None:
    accounted(platform)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda _: backfill(platform, 1, 60), range(4)))
    assert sorted(len(each.ticks) for each in made) == [0, 0, 0, 59]


def test_publishing_beside_a_backfill_does_not_lock_up(platform: Platform) -> None:
    begin(platform, MINUTELY)
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(backfill, platform, -20 * number, -20 * number + 9, now=60) for number in range(1, 9)]
        for number in range(8):
            publish(platform, replace(MINUTELY, timeout_s=1 + number))
        for each in asking:
            each.result()
    expected = [minutes(-20 * number + minute) for number in range(1, 9) for minute in range(10)]
    backfilled = fetch(platform, "SELECT first_at FROM ticks WHERE asked_by = 'ada' ORDER BY first_at")
    assert [at for (at,) in backfilled] == sorted(expected)


def test_backfilled_ticks_are_taken_like_others(platform: Platform) -> None:
    world = World(platform)
    source = "assert(event.tick.backfilled == true and event.attempt) kv.set('last', event.tick.scheduled_for)"
    world.publish(f'%%trigger job cron "* * * * *" retries=0\n{source}')
    assert len(backfill(platform, -5, -1, now=-1).ticks) == 5
    world.finish()
    assert world.rows("SELECT convert_from(value, 'UTF8') FROM kv_entries") == [("2026-03-01T11:59:00+00:00",)]
    assert world.letters() == []
