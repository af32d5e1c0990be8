"""The scheduler: every tick of a schedule is accounted for once, whoever looks, however often, and whatever ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from picloud.model.cron import CronExpression, ticks_between
from picloud.model.release import Manifest
from picloud.model.schedule import CLOCK_BACK_MAX, CatchUp
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Overlap, Trigger, TriggerKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.storage.database import Database
from picloud.storage.schedules import RUNNING_MAX, ScheduleRepository
from picloud.testing.processes import wait_until
from picloud.triggers.scheduler import Scheduler
from tests.integration.triggers.test_worker import worker

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCRIPT = Script("job", ScriptKind.ENDPOINT, "return 1")
MINUTELY = Trigger("job", TriggerKind.CRON, "* * * * *", "job")


class Tick(NamedTuple):
    """One entry of what became of ticks."""

    first: datetime
    last: datetime
    ticks: int
    outcome: str
    late_ms: int | None


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url), database_pool_size=8)) as platform:
        yield platform


def scheduler(database: Database) -> Scheduler:
    return Scheduler(ScheduleRepository(database))


def publish(platform: Platform, *triggers: Trigger, app: str = "shop") -> None:
    platform.publisher.publish(app, Manifest((SCRIPT,), triggers=triggers), author="test", create=True)


def begin(
    platform: Platform, *triggers: Trigger, at: datetime = START, app: str = "shop"
) -> Callable[[datetime], bool]:
    """Publish triggers whose schedules start at a moment; return the step of a scheduler."""
    publish(platform, *triggers, app=app)
    execute(platform, "UPDATE schedules SET since = %(at)s, accounted_at = %(at)s, next_at = %(at)s", at=at)
    return scheduler(platform.database).step


def execute(platform: Platform, statement: Any, **values: Any) -> None:
    with platform.database.connection() as connection:
        connection.execute(statement, values)


def fetch(platform: Platform, statement: Any) -> list[tuple[Any, ...]]:
    with platform.database.connection() as connection:
        return connection.execute(statement).fetchall()


def done(platform: Platform) -> None:
    """Let all runs end."""
    execute(platform, "DELETE FROM procrastinate_jobs")
    execute(platform, "DELETE FROM events")


def ticks(platform: Platform, trigger: str = "job", app: str = "shop") -> list[Tick]:
    """What became of a trigger's ticks, the oldest first."""
    entries = platform.schedules.ticks(platform.apps.get(app).id, trigger, 100_000)
    return [Tick(*entry[:5]) for entry in reversed(entries)]


def outcomes(platform: Platform) -> list[tuple[str, int]]:
    return [(tick.outcome, tick.ticks) for tick in ticks(platform)]


def ran(platform: Platform) -> list[datetime]:
    return [tick.first for tick in ticks(platform) if tick.outcome == "ran"]


def payloads(platform: Platform) -> list[Any]:
    return [json.loads(payload) for (payload,) in fetch(platform, "SELECT payload FROM events ORDER BY number")]


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def all_ticks(trigger: Trigger, entries: list[Tick]) -> list[datetime]:
    """Every tick the entries account for; each must have as many as it says."""
    expression, found = CronExpression.parse(trigger.source), []
    for entry in entries:
        covered = list(ticks_between(expression, UTC, entry.first - timedelta(seconds=1), entry.last))
        assert len(covered) == entry.ticks
        found += covered
    return found


def test_a_tick_becomes_an_event_with_a_delivery_and_a_job(platform: Platform) -> None:
    step = begin(platform, replace(MINUTELY, tz="Europe/Berlin"))
    step(minutes(0.9))
    assert ticks(platform) == []
    step(minutes(1) + timedelta(milliseconds=7))
    assert ticks(platform) == [Tick(minutes(1), minutes(1), 1, "ran", 7)]
    assert payloads(platform) == [
        {
            "scheduled_at": int(minutes(1).timestamp()), "scheduled_for": "2026-03-01T13:01:00+01:00", "late_ms": 7,
            "caught_up": False, "backfilled": False,
        }
    ]  # fmt: skip
    assert fetch(platform, "SELECT kind, name, operation, key, depth FROM events") == [("cron", "job", None, None, 0)]
    assert fetch(platform, "SELECT trigger, script FROM deliveries") == [("job", "job")]
    assert fetch(platform, "SELECT status::text FROM procrastinate_jobs") == [("todo",)]
    assert fetch(platform, "SELECT t.event_id = e.id FROM ticks AS t, events AS e") == [(True,)]
    step(minutes(1.5))
    assert len(ticks(platform)) == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(-300, 2000), min_size=1, max_size=8),
    policies=st.sampled_from(
        [
            *((catch_up, overlap) for catch_up in CatchUp for overlap in (Overlap.QUEUE, Overlap.ALLOW)),
            (CatchUp.NONE, Overlap.CANCEL),
            (CatchUp.LAST, Overlap.CANCEL),
        ]
    ),
    late_max_s=st.sampled_from([0, 60, 3600]),
    source=st.sampled_from(["* * * * *", "*/20 * * * * *", "7,9 * * * *"]),
)
def test_each_tick_is_accounted_for_once_however_one_looks(
    platform: Platform, steps: list[int], policies: tuple[CatchUp, Overlap], late_max_s: float, source: str
) -> None:
    """Steps back are clocks set back a little. Each step has a scheduler of its own, as after a restart."""
    catch_up, overlap = policies
    trigger = replace(MINUTELY, source=source, catch_up=catch_up, overlap=overlap, late_max_s=late_max_s)
    app = f"app-{uuid4().hex[:12]}"
    execute(platform, "DELETE FROM schedules")
    begin(platform, trigger, app=app)
    now = latest = START
    for seconds in steps:
        now = max(now + timedelta(seconds=seconds), latest - CLOCK_BACK_MAX)
        latest = max(latest, now)
        scheduler(platform.database).step(now)
    found = all_ticks(trigger, ticks(platform, app=app))
    assert found == list(ticks_between(CronExpression.parse(source), UTC, START, latest))


def test_two_schedulers_run_each_tick_once(platform: Platform) -> None:
    names = [f"job{number}" for number in range(6)]
    begin(platform, *(replace(MINUTELY, name=name, overlap=Overlap.ALLOW) for name in names))
    both = threading.Barrier(2)

    def look() -> None:
        mine = scheduler(platform.database)
        for count in range(1, 16):
            both.wait(30)
            mine.step(minutes(count))

    with ThreadPoolExecutor() as pool:
        for each in [pool.submit(look) for _ in range(2)]:
            each.result()
    scheduler(platform.database).step(minutes(15))
    for name in names:
        assert [(tick.first, tick.outcome) for tick in ticks(platform, name)] == [
            (minutes(count), "ran") for count in range(1, 16)
        ]
    assert len(payloads(platform)) == len(names) * 15


@pytest.mark.parametrize(
    ("catch_up", "expected", "runs"),
    [
        (CatchUp.NONE, [("too_late", 59), ("ran", 1)], [60]),
        (CatchUp.LAST, [("too_late", 59), ("ran", 1)], [60]),
        (CatchUp.ALL, [("ran", 1)] * 60, list(range(1, 61))),
    ],
)
def test_after_an_absence_ticks_in_time_run_and_others_as_the_policy_says(
    platform: Platform, catch_up: CatchUp, expected: list[tuple[str, int]], runs: list[int]
) -> None:
    step = begin(platform, replace(MINUTELY, catch_up=catch_up, late_max_s=30, overlap=Overlap.QUEUE))
    step(minutes(60.25))
    if catch_up is CatchUp.LAST:
        expected = [("superseded", 59), ("ran", 1)]
    assert outcomes(platform) == expected
    assert ran(platform) == [minutes(count) for count in runs]


def test_catching_up_runs_the_last_tick_however_late_it_is(platform: Platform) -> None:
    step = begin(platform, replace(MINUTELY, source="0 3 * * *"))
    step(START + timedelta(days=3))
    assert outcomes(platform) == [("superseded", 2), ("ran", 1)]
    (payload,) = payloads(platform)
    assert payload["caught_up"] is True
    assert payload["late_ms"] == 9 * 3600 * 1000


def test_a_long_absence_leaves_one_entry_and_bounded_runs(platform: Platform) -> None:
    trigger = replace(MINUTELY, source="* * * * * *", catch_up=CatchUp.ALL, overlap=Overlap.ALLOW)
    step = begin(platform, trigger)
    step(START + timedelta(seconds=25_000))
    first, *rest = ticks(platform)
    assert (first.outcome, first.ticks) == ("too_many", 25_000 - RUNNING_MAX)
    assert [tick.outcome for tick in rest] == ["ran"] * RUNNING_MAX


def test_overlap_skip_leaves_ticks_out_while_one_is_not_done(platform: Platform) -> None:
    step = begin(platform, MINUTELY)
    for count in range(1, 5):
        step(minutes(count))
    assert ticks(platform) == [
        Tick(minutes(1), minutes(1), 1, "ran", 0), Tick(minutes(2), minutes(4), 3, "overlap", None)
    ]  # fmt: skip
    done(platform)
    step(minutes(5))
    assert outcomes(platform) == [("ran", 1), ("overlap", 3), ("ran", 1)]


def test_overlap_skip_holds_for_ticks_of_one_look(platform: Platform) -> None:
    step = begin(platform, replace(MINUTELY, late_max_s=600))
    step(minutes(5))
    assert outcomes(platform) == [("ran", 1), ("overlap", 4)]


def test_overlap_queue_gives_all_runs_one_lock_and_allow_none(platform: Platform) -> None:
    queue = replace(MINUTELY, name="queue", overlap=Overlap.QUEUE)
    step = begin(platform, queue, replace(MINUTELY, overlap=Overlap.ALLOW))
    for count in range(1, 4):
        step(minutes(count))
    jobs = fetch(platform, "SELECT args ->> 'trigger', lock FROM procrastinate_jobs ORDER BY id")
    locks = {lock for name, lock in jobs if name == "queue"}
    assert len(jobs) == 6
    assert len(locks) == 1 and None not in locks
    assert {lock for name, lock in jobs if name == "job"} == {None}


def test_a_queue_that_is_full_skips_and_says_so(platform: Platform) -> None:
    trigger = replace(MINUTELY, source="* * * * * *", overlap=Overlap.QUEUE, late_max_s=3600)
    step = begin(platform, trigger)
    step(START + timedelta(seconds=RUNNING_MAX + 5))
    step(START + timedelta(seconds=RUNNING_MAX + 9))
    assert ticks(platform)[-1].outcome == "overlap"
    assert ticks(platform)[-1].ticks == 9
    assert len(ran(platform)) == RUNNING_MAX


def test_a_skipped_hour_and_a_repeated_one(platform: Platform) -> None:
    night = replace(MINUTELY, source="30 2 * * *", tz="Europe/Berlin", overlap=Overlap.ALLOW)
    hours = replace(night, name="hours", source="0 * * * *")
    spring, autumn = datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)
    step = begin(platform, night, hours, at=spring)
    for quarter in range(1, 21):
        step(spring + timedelta(minutes=15 * quarter))
    assert ran(platform) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert len(ticks(platform, "hours")) == 5
    execute(platform, "DELETE FROM ticks")
    execute(platform, "UPDATE schedules SET since = %(at)s, accounted_at = %(at)s, next_at = %(at)s", at=autumn)
    for quarter in range(1, 21):
        step(autumn + timedelta(minutes=15 * quarter))
    assert ran(platform) == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
    assert len(ticks(platform, "hours")) == 5
    shown = [payload["scheduled_for"] for payload in payloads(platform)]
    assert shown.count("2026-10-25T02:00:00+02:00") == shown.count("2026-10-25T02:00:00+01:00") == 1


def test_nothing_happens_while_the_clock_is_back_a_little(platform: Platform) -> None:
    step = begin(platform, replace(MINUTELY, overlap=Overlap.ALLOW))
    for count in (5, 4.5, 4.1, 5, 4.2):
        step(minutes(count))
    assert ticks(platform)[-1].last == minutes(5)
    step(minutes(6))
    assert all_ticks(MINUTELY, ticks(platform)) == [minutes(count) for count in range(1, 7)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(-20_000, 3000), min_size=1, max_size=8),
    catch_up=st.sampled_from(CatchUp),
    overlap=st.sampled_from([Overlap.QUEUE, Overlap.ALLOW]),
)
def test_however_far_a_clock_jumps_no_tick_runs_twice_or_is_left_out(
    platform: Platform, steps: list[int], catch_up: CatchUp, overlap: Overlap
) -> None:
    trigger = replace(MINUTELY, catch_up=catch_up, overlap=overlap)
    app = f"app-{uuid4().hex[:12]}"
    execute(platform, "DELETE FROM schedules")
    begin(platform, trigger, app=app)
    now = latest = START
    for seconds in steps:
        now = max(now + timedelta(seconds=seconds), START)
        latest = max(latest, now)
        scheduler(platform.database).step(now)
    entries = ticks(platform, app=app)
    runs = [entry.first for entry in entries if entry.outcome == "ran"]
    assert len(runs) == len(set(runs))
    for tick in ticks_between(CronExpression.parse(trigger.source), UTC, START, latest):
        assert any(entry.first <= tick <= entry.last for entry in entries)
    assert all(entry.first <= entry.last for entry in entries)


def test_after_a_clock_that_ran_a_day_ahead_ticks_go_on_at_once(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    step = begin(platform, MINUTELY)
    for count in (1, 1441, 1442):
        step(minutes(count))
        done(platform)
    assert ran(platform) == [minutes(1), minutes(1440), minutes(1442)]  # two of one look, and the first of them is run
    for count in (1430.5, 1431, *range(1440, 1444)):
        step(minutes(count))
        done(platform)
    assert ran(platform)[3:] == [minutes(1431), minutes(1439), minutes(1441), minutes(1443)]
    assert caplog.text.count("The clock was set back by 0:11:30") == 1


def test_what_waits_for_a_time_of_the_clock_that_ran_ahead_does_not_hold_ticks_up(platform: Platform) -> None:
    """A run that waits for a retry, or to be begun."""
    step = begin(platform, replace(MINUTELY, overlap=Overlap.QUEUE))
    step(minutes(1440))
    ahead = minutes(1440)
    execute(platform, "UPDATE deliveries SET due_at = %(at)s", at=ahead + timedelta(seconds=30))
    execute(platform, "UPDATE procrastinate_jobs SET scheduled_at = %(at)s", at=ahead + timedelta(seconds=30))
    step(minutes(10))
    due = minutes(10) + timedelta(seconds=30)
    assert set(fetch(platform, "SELECT due_at FROM deliveries")) == {(due,)}
    assert set(fetch(platform, "SELECT scheduled_at FROM procrastinate_jobs")) == {(due,)}


def test_a_trigger_changed_after_a_clock_ran_ahead_starts_at_the_clock(platform: Platform) -> None:
    begin(platform, MINUTELY)
    ahead = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=1)
    scheduler(platform.database).step(ahead)
    last = ran(platform)[-1]
    publish(platform, replace(MINUTELY, timeout_s=1))
    ((since, until),) = fetch(platform, "SELECT since, ran_until FROM schedules")
    assert since < ahead
    assert until == last
    done(platform)
    scheduler(platform.database).step(last)
    assert ran(platform).count(last) == 1


def test_a_changed_trigger_starts_anew_and_leaves_no_tick_out(platform: Platform) -> None:
    late = replace(MINUTELY, catch_up=CatchUp.NONE, late_max_s=0)
    before = datetime.now(UTC) - timedelta(hours=1)
    begin(platform, late, at=before)
    publish(platform, replace(late, source="0 0 1 1 *"))
    ((since, accounted, next_at),) = fetch(platform, "SELECT since, accounted_at, next_at FROM schedules")
    assert since == accounted
    assert next_at.astimezone(UTC).timetuple()[1:6] == (1, 1, 0, 0, 0)
    expected = list(ticks_between(CronExpression.parse(late.source), UTC, before, since))
    assert all_ticks(late, ticks(platform)) == expected


def test_ticks_due_before_a_trigger_is_removed_are_run(platform: Platform) -> None:
    begin(platform, MINUTELY, at=datetime.now(UTC) - timedelta(hours=1))
    platform.publisher.publish("shop", Manifest(()), author="test")
    assert len(ran(platform)) == 1
    assert fetch(platform, "SELECT trigger, script FROM deliveries") == [("job", "job")]
    assert fetch(platform, "SELECT * FROM schedules") == []
    scheduler(platform.database).step(datetime.now(UTC) + timedelta(hours=1))
    assert len(ran(platform)) == 1


def test_publishing_the_same_trigger_again_changes_nothing(platform: Platform) -> None:
    step = begin(platform, MINUTELY)
    step(minutes(1))
    before = fetch(platform, "SELECT * FROM schedules")
    platform.publisher.publish(
        "shop", Manifest((replace(SCRIPT, source="return 2"),), triggers=(MINUTELY,)), author="test"
    )
    assert fetch(platform, "SELECT * FROM schedules") == before
    assert outcomes(platform) == [("ran", 1)]


def test_a_schedule_that_fails_does_not_hold_up_others(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    step = begin(platform, replace(MINUTELY, name="broken"), MINUTELY)
    execute(platform, """UPDATE triggers SET options = options || '{"tz": "Mars/Olympus"}' WHERE name = 'broken'""")
    assert step(minutes(1)) is False
    assert ran(platform) == [minutes(1)]
    assert "The schedule of the trigger broken failed" in caplog.text
    execute(platform, """UPDATE triggers SET options = options || '{"tz": "UTC"}' WHERE name = 'broken'""")
    assert step(minutes(2)) is True
    assert [(tick.outcome, tick.ticks) for tick in ticks(platform, "broken")] == [("ran", 1), ("overlap", 1)]


def test_publishing_beside_two_schedulers_accounts_for_no_tick_twice(platform: Platform) -> None:
    trigger = replace(MINUTELY, source="* * * * * *", overlap=Overlap.ALLOW)
    begin(platform, trigger, at=datetime.now(UTC) - timedelta(seconds=90))
    stop = threading.Event()

    def look() -> None:
        mine = scheduler(platform.database)
        while not stop.is_set():
            assert mine.step()

    with ThreadPoolExecutor() as pool:
        looking = [pool.submit(look) for _ in range(2)]
        for number in range(25):
            publish(platform, replace(trigger, timeout_s=1 + number))
        stop.set()
        for each in looking:
            each.result()
    publish(platform)
    ((first, last),) = fetch(platform, "SELECT min(first_at), max(last_at) FROM ticks")
    expected = list(ticks_between(CronExpression.parse(trigger.source), UTC, first - timedelta(seconds=1), last))
    assert sorted(all_ticks(trigger, ticks(platform))) == expected


def test_an_app_can_be_deleted_beside_a_scheduler(platform: Platform) -> None:
    stop = threading.Event()

    def look() -> None:
        mine = scheduler(platform.database)
        while not stop.is_set():
            assert mine.step()

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        for number in range(10):
            publish(platform, replace(MINUTELY, source="* * * * * *"), app=f"app{number}")
            execute(platform, "UPDATE schedules SET accounted_at = now() - interval '1 hour', next_at = now()")
            execute(platform, "DELETE FROM apps")
        stop.set()
        looking.result()
    assert fetch(platform, "SELECT FROM ticks") == fetch(platform, "SELECT FROM events") == []


def test_two_apps_keep_their_ticks_apart(platform: Platform) -> None:
    publish(platform, MINUTELY, app="first")
    step = begin(platform, MINUTELY, app="second")
    step(minutes(1))
    for app in ("first", "second"):
        assert [tick.outcome for tick in ticks(platform, app=app)] == ["ran"]
    assert len(fetch(platform, "SELECT FROM deliveries")) == 2


def test_a_worker_runs_a_schedule(platform: Platform, database_url: str, tmp_path: Path) -> None:
    source = 'kv.set("tick:" .. event.tick.scheduled_at, { kind = event.kind, tick = event.tick })'
    trigger = replace(MINUTELY, source="* * * * * *", tz="Asia/Tokyo")
    manifest = Manifest((replace(SCRIPT, source=source),), triggers=(trigger,))
    platform.publisher.publish("shop", manifest, author="test", create=True)
    with worker(tmp_path / "log", DATABASE_URL=database_url) as process:
        wait_until(lambda: len(fetch(platform, "SELECT FROM kv_entries")) >= 2)
        process.terminate()
        assert process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    values = [json.loads(value) for (value,) in fetch(platform, "SELECT value FROM kv_entries ORDER BY key")]
    assert {value["kind"] for value in values} == {"cron"}
    assert all(value["tick"]["scheduled_for"].endswith("+09:00") for value in values)
    scheduled = {tick.first.timestamp() for tick in ticks(platform) if tick.outcome == "ran"}
    assert {value["tick"]["scheduled_at"] for value in values} <= scheduled


def test_a_worker_runs_queued_ticks_one_after_the_other(platform: Platform, database_url: str, tmp_path: Path) -> None:
    """Each run takes longer than the pause between two ticks."""
    source = """
        local start = time.now()
        repeat
            for _ = 1, 1e5 do end -- there is a limit to calls
        until time.now() - start > 1.2
        kv.set("run:" .. event.tick.scheduled_at, { start, time.now() })
    """
    trigger = replace(MINUTELY, source="* * * * * *", overlap=Overlap.QUEUE)
    platform.publisher.publish(
        "shop", Manifest((replace(SCRIPT, source=source),), triggers=(trigger,)), author="test", create=True
    )
    runs = "SELECT convert_from(key, 'UTF8'), value FROM kv_entries WHERE key LIKE 'run:%' ORDER BY key"
    with worker(tmp_path / "log", DATABASE_URL=database_url):
        wait_until(lambda: len(fetch(platform, runs)) >= 3)
    found = fetch(platform, runs)
    times = [json.loads(value) for _, value in found]
    assert all(end <= start for (_, end), (start, _) in pairwise(times))
    scheduled = [int(key.removeprefix("run:")) for key, _ in found]
    assert scheduled == list(range(scheduled[0], scheduled[0] + len(scheduled)))
