"""`overlap=cancel`: a tick ends the run of the one before it and takes its place, whatever that run is doing."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from picloud.errors import RunInterrupted
from picloud.storage.deliveries import DeliveryRepository, Failure, Key
from picloud.storage.schedules import ScheduleRepository
from picloud.testing.processes import wait_until
from picloud.triggers.worker import EXIT_STUCK
from tests.integration.sdk.conftest import Lua
from tests.integration.triggers.conftest import BLOCKED, World
from tests.integration.triggers.test_trigger_worker import StartWorker, shut, start, take_over
from tests.integration.triggers.test_worker import worker

__all__ = ["start"]

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Minutely:
    """A schedule of every minute, whose time a test sets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.deliveries = DeliveryRepository(world.platform.database)
        self._pool = ThreadPoolExecutor()

    def publish(self, script: str, options: str = "retries=3 backoff=3600") -> None:
        self.world.publish(f'%%trigger job cron "* * * * *" overlap=cancel late_max=3600 {options}\n{script}')
        self.world.rows("UPDATE schedules SET since = %s, accounted_at = %s, next_at = %s", START, START, START)

    def step(self, count: float) -> None:
        """Let a scheduler look so many minutes after the start."""
        schedules = ScheduleRepository(self.world.platform.database)
        for key in schedules.due(now := START + timedelta(minutes=count)):
            assert schedules.advance(key, now)

    def job(self) -> tuple[int, Key]:
        """Return the job of the latest tick."""
        [(number, args)] = self.world.rows("SELECT id, args FROM procrastinate_jobs ORDER BY id DESC LIMIT 1")
        return number, Key(UUID(args["app_id"]), UUID(args["event_id"]), args["trigger"])

    def deliver(self, number: int, key: Key) -> Future[None]:
        """Do a job in a thread."""
        return self._pool.submit(self.world.platform.deliverer.deliver, key, number)

    def ticks(self) -> list[tuple[int, str, bool]]:
        """Return minute, outcome and whether it was cancelled, of all entries, the oldest first."""
        app = self.world.platform.apps.get("shop").id
        entries = reversed(self.world.platform.schedules.ticks(app, "job", 100))
        return [
            ((entry.first_at - START) // timedelta(minutes=1), entry.outcome, entry.cancelled_at is not None)
            for entry in entries
        ]

    def is_clean(self) -> bool:
        """Whether nothing is left of what was cancelled but its ticks."""
        return not (self.world.letters() or self.world.count("events") or self.world.count("deliveries"))


@pytest.fixture
def minutely(world: World) -> Minutely:
    return Minutely(world)


def test_a_tick_that_waits_is_dropped_for_a_later_one(minutely: Minutely) -> None:
    minutely.publish("return 1")
    for count in (1, 2, 3):
        minutely.step(count)
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", True), (3, "ran", False)]
    assert [minutely.world.count(table) for table in ("events", "deliveries", "procrastinate_jobs")] == [1, 1, 1]
    minutely.world.finish()
    assert minutely.is_clean()


def test_of_ticks_due_at_one_look_the_last_is_run(minutely: Minutely) -> None:
    minutely.publish("return 1")
    minutely.step(5)
    assert minutely.ticks() == [(1, "superseded", False), (5, "ran", False)]


def test_a_run_that_waits_for_a_retry_is_dropped(minutely: Minutely) -> None:
    minutely.publish("error('no')")
    minutely.step(1)
    assert minutely.world.work() == 1
    assert minutely.world.rows("SELECT attempts FROM deliveries") == [(1,)]
    minutely.step(2)
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert minutely.world.runnable() == minutely.job()
    assert minutely.world.letters() == []


@pytest.mark.parametrize(
    "script",
    [
        "kv.set('started', true) repeat until false",
        "kv.set('started', true) pcall(function() repeat pcall(function() repeat until false end) until false end)",
        "kv.set('started', true) repeat kv.incr('n') until false",
        "kv.set('started', true) kv.set('gate', 1) repeat until false",
    ],
    ids=["loop", "pcall", "calls", "waits for the database"],
)
def test_a_run_ends_for_a_later_tick_which_waits_until_then(minutely: Minutely, lua: Lua, script: str) -> None:
    minutely.publish(script, "retries=0 timeout=60")
    minutely.step(1)
    with shut(minutely.world, lua):
        running = minutely.deliver(*minutely.job())
        wait_until(lambda: lua("return kv.get('started')"))
        minutely.step(2)
        later = minutely.job()
        minutely.world.platform.deliverer.deliver(later[1], later[0])
        running.result(30)
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert minutely.world.rows("SELECT event_id FROM deliveries") == [(later[1].event_id,)]
    assert minutely.world.letters() == []
    minutely.world.rows("UPDATE schedules SET accounted_at = now()")  # or months of ticks would be accounted for
    minutely.world.publish("%%trigger job queue other\nreturn 1")  # the app with its deliveries is all right


def test_runs_of_one_trigger_share_a_lock(minutely: Minutely) -> None:
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    minutely.deliveries.take(key, number)
    minutely.step(2)
    [(first,), (second,)] = minutely.world.rows("SELECT lock FROM procrastinate_jobs ORDER BY id")
    assert first == second
    assert first is not None


def cancelled_in_mid_run(minutely: Minutely) -> tuple[int, Key, UUID]:
    """Take the first tick, and let the second cancel it."""
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    [own] = minutely.deliveries.take(key, number)
    minutely.step(2)
    assert minutely.deliveries.cancelled() == {key}
    return number, key, own.lease


def test_a_run_that_ends_well_in_the_last_moment_is_not_cancelled(minutely: Minutely) -> None:
    number, key, lease = cancelled_in_mid_run(minutely)
    assert minutely.deliveries.finish([key], [], number, lease)
    assert minutely.deliveries.cancelled() == set()
    assert minutely.ticks() == [(1, "ran", False), (2, "ran", False)]
    assert minutely.world.count("events") == 1


@pytest.mark.parametrize("retries", [True, False])
def test_a_cancelled_run_that_fails_spends_nothing_and_is_no_dead_letter(minutely: Minutely, retries: bool) -> None:
    number, key, lease = cancelled_in_mid_run(minutely)
    now = datetime.now(UTC)
    failure = Failure(key, now, "runtime_error", "no", {}, now + timedelta(hours=1) if retries else None)
    assert minutely.deliveries.finish([], [failure], number, lease)
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert (minutely.world.count("deliveries"), minutely.world.letters()) == (1, [])


def test_a_frozen_worker_does_not_end_what_another_has_taken_over(minutely: Minutely) -> None:
    number, key, stale = cancelled_in_mid_run(minutely)
    minutely.world.rows("UPDATE deliveries SET cancelled_at = NULL")
    [own] = minutely.deliveries.take(key, number)
    minutely.world.rows("UPDATE deliveries SET cancelled_at = now() WHERE event_id = %s", key.event_id)
    failure = Failure(key, datetime.now(UTC), "runtime_error", "no", {}, None)
    assert not minutely.deliveries.end_cancelled(key, stale)
    assert not minutely.deliveries.finish([], [failure], number, stale)
    assert minutely.deliveries.cancelled() == {key}  # the run that goes on has yet to hear of it
    assert (minutely.world.letters(), minutely.world.count("procrastinate_jobs")) == ([], 2)
    assert minutely.deliveries.end_cancelled(key, own.lease)
    assert minutely.world.count("procrastinate_jobs") == 1


@pytest.mark.parametrize("retries", [True, False])
def test_a_run_that_is_cancelled_as_its_failure_is_counted_spends_nothing(minutely: Minutely, retries: bool) -> None:
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    [own] = minutely.deliveries.take(key, number)
    now = datetime.now(UTC)
    failure = Failure(key, now, "runtime_error", "no", {}, now + timedelta(hours=1) if retries else None)
    with ThreadPoolExecutor(1) as pool:
        with minutely.world.platform.database.connection() as scheduler:
            scheduler.execute("UPDATE deliveries SET cancelled_at = now()")
            ending = pool.submit(minutely.deliveries.finish, [], [failure], number, own.lease)
            wait_until(lambda: ending.done() or minutely.world.rows(BLOCKED))
        assert ending.result(30)
    assert minutely.is_clean()
    assert minutely.world.count("procrastinate_jobs") == 0


def test_a_tick_that_comes_as_a_failure_is_counted_drops_the_run(minutely: Minutely) -> None:
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    [own] = minutely.deliveries.take(key, number)
    count = "SELECT picloud_count_failure(%s, %s, %s, %s, '[]', now() + interval '1 hour')"
    with ThreadPoolExecutor(1) as pool:
        with minutely.world.platform.database.connection() as worker:
            worker.execute(count, [key.app_id, key.trigger, key.event_id, own.lease])
            ticking = pool.submit(minutely.step, 2)
            wait_until(lambda: ticking.done() or minutely.world.rows(BLOCKED))
        ticking.result(30)
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert minutely.world.runnable() == minutely.job()


def test_a_cancelled_run_that_waits_for_the_platform_ends_at_once(minutely: Minutely) -> None:
    """Its job, which pauses after a fault, would keep the later tick from running until then."""
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    minutely.deliveries.take(key, number)
    rows = minutely.world.rows
    rows("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day'")
    minutely.step(2)
    assert minutely.world.runnable() == (number, key)
    rows("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", number)
    rows("SELECT procrastinate_retry_job_v2(%s, now() + interval '1 day', NULL, NULL, NULL)", number)
    assert minutely.world.work() == 2
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert minutely.is_clean()


def test_two_cancelled_runs_do_not_wait_for_each_other(minutely: Minutely) -> None:
    number, key, _ = cancelled_in_mid_run(minutely)
    other, later = minutely.job()
    minutely.world.rows("UPDATE deliveries SET cancelled_at = now(), taken_by = job")
    for job, delivery in ((other, later), (number, key)):
        assert minutely.deliveries.take(delivery, job) == []
    assert minutely.is_clean()


def test_a_worker_that_dies_in_between_leaves_the_cancellation(minutely: Minutely) -> None:
    number, key, _ = cancelled_in_mid_run(minutely)
    other, later = minutely.job()
    assert minutely.deliveries.take(later, other) == []  # not before the first has ended
    waits = "SELECT scheduled_at > now() FROM procrastinate_jobs WHERE id = %s"
    assert minutely.world.rows(waits, other) == [(True,)]
    assert minutely.deliveries.take(key, number) == []  # the job of the dead worker comes again
    assert minutely.ticks() == [(1, "ran", True), (2, "ran", False)]
    assert [delivery.key for delivery in minutely.deliveries.take(later, other)] == [later]


def test_an_interrupt_of_the_platform_is_no_cancellation(minutely: Minutely, lua: Lua) -> None:
    minutely.publish("kv.set('started', true) repeat until false", "timeout=60")
    minutely.step(1)
    number, key = minutely.job()
    running = minutely.deliver(number, key)
    wait_until(lambda: lua("return kv.get('started')"))
    minutely.world.platform.local.interrupt()
    with pytest.raises(RunInterrupted):
        running.result(30)
    assert minutely.ticks() == [(1, "ran", False)]
    assert minutely.world.rows("SELECT attempts FROM deliveries") == [(0,)]


def test_a_job_that_comes_back_for_a_dropped_run_does_not_hold_up_the_next(minutely: Minutely) -> None:
    """Between the failed attempt and the return of its job there is a moment in which a tick may come."""
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    [own] = minutely.deliveries.take(key, number)
    now = datetime.now(UTC)
    failure = Failure(key, now, "runtime_error", "no", {}, now + timedelta(days=1))
    minutely.deliveries.finish([], [failure], number, own.lease)
    rows = minutely.world.rows
    rows("UPDATE procrastinate_jobs SET status = 'doing'")
    minutely.step(2)
    rows("SELECT procrastinate_retry_job_v2(%s, now() + interval '1 day', NULL, NULL, NULL)", number)
    assert rows("SELECT scheduled_at FROM procrastinate_jobs WHERE id = %s", number) == [(None,)]
    assert minutely.world.work() == 2
    assert minutely.is_clean()


def test_a_job_that_comes_back_for_a_run_that_waits_keeps_its_time(minutely: Minutely) -> None:
    minutely.publish("error('no')", "retries=1 backoff=3600 jitter=0")
    minutely.step(1)
    number, key = minutely.job()
    minutely.world.platform.deliverer.deliver(key, number)
    rows = minutely.world.rows
    [(again,)] = rows("SELECT scheduled_at FROM procrastinate_jobs")
    assert again > datetime.now(UTC)
    rows("UPDATE procrastinate_jobs SET status = 'doing'")
    rows("SELECT procrastinate_retry_job_v2(%s, %s, NULL, NULL, NULL)", number, again)
    assert rows("SELECT scheduled_at FROM procrastinate_jobs") == [(again,)]


def test_a_job_is_taken_over_while_its_run_ends_without_a_deadlock(minutely: Minutely) -> None:
    minutely.publish("return 1")
    minutely.step(1)
    number, key = minutely.job()
    minutely.deliveries.take(key, number)
    rows = minutely.world.rows
    rows("UPDATE procrastinate_jobs SET status = 'doing'")
    again = "SELECT procrastinate_retry_job_v2(%s, now() + interval '1 day', NULL, NULL, NULL)"
    with ThreadPoolExecutor(1) as pool, minutely.world.platform.database.connection() as ending:
        ending.execute("SELECT FROM deliveries FOR UPDATE")
        taking_over = pool.submit(rows, again, number)
        wait_until(lambda: taking_over.done() or rows(BLOCKED))
        assert taking_over.done()
    assert rows("SELECT scheduled_at FROM procrastinate_jobs") == [(None,)]


def test_what_somebody_redrives_is_not_cancelled(minutely: Minutely) -> None:
    minutely.publish("error('no')", "retries=0")
    minutely.step(1)
    minutely.world.work()
    app = minutely.world.platform.apps.get("shop").id
    [(letter,)] = minutely.world.rows("SELECT id FROM dead_letters")
    minutely.world.platform.dead_letters.redrive(app, letter, by="test")
    minutely.step(2)
    assert minutely.world.count("deliveries") == 2
    assert minutely.ticks() == [(1, "ran", False), (2, "ran", False)]


def test_a_tick_of_another_app_or_trigger_cancels_nothing(minutely: Minutely) -> None:
    for app in ("other", "shop"):
        minutely.world.publish(
            *(f'%%trigger {name} cron "* * * * *" overlap=cancel\nreturn 1' for name in ("job", "twin")), app=app
        )
    minutely.world.rows("UPDATE schedules SET accounted_at = %s, next_at = %s", START, START)
    minutely.step(1)
    shop = minutely.world.platform.apps.get("shop").id
    minutely.world.rows("UPDATE schedules SET next_at = NULL WHERE NOT (app_id = %s AND trigger = 'job')", shop)
    minutely.step(2)
    cancelled = minutely.world.rows("SELECT app_id, trigger FROM ticks WHERE cancelled_at IS NOT NULL")
    assert cancelled == [(shop, "job")]
    assert minutely.world.count("deliveries") == 4


def test_ticks_and_ends_of_runs_may_race(minutely: Minutely) -> None:
    """Whatever comes first, each tick ran or was cancelled, and nothing is left or charged."""
    minutely.publish("error('no')", "retries=1 backoff=0")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            minutely.world.work()

    working = threading.Thread(target=work)
    working.start()
    for count in range(1, 60):
        minutely.step(count)
    stop.set()
    working.join()
    minutely.world.finish()
    ended = [cancelled for _, outcome, cancelled in minutely.ticks() if outcome == "ran"]
    assert len(ended) == 59
    assert len(minutely.world.letters()) == ended.count(False)
    assert minutely.world.count("events") == minutely.world.count("procrastinate_jobs") == 0


ALIVE = """
    local mine = event.tick.scheduled_at
    kv.set("start:" .. mine, time.now())
    repeat
        for _ = 1, 1e4 do end
        kv.set("alive:" .. mine, time.now())
    until false
"""


def test_workers_let_each_tick_take_the_place_of_the_one_before(world: World, start: StartWorker) -> None:
    world.publish(f'%%trigger job cron "* * * * * *" overlap=cancel timeout=60\n{ALIVE}')
    with start("one"), start("two"):
        wait_until(lambda: len(moments(world, "start")) >= 4)
    starts, alive = moments(world, "start"), moments(world, "alive")
    begun = sorted(starts)
    assert all(alive[earlier] <= starts[later] for earlier, later in pairwise(begun))
    ended = world.rows("SELECT extract(epoch FROM first_at)::bigint FROM ticks WHERE cancelled_at IS NOT NULL")
    assert set(begun[:-1]) <= {at for (at,) in ended}
    assert world.letters() == []


def moments(world: World, name: str) -> dict[int, float]:
    rows = world.rows(
        "SELECT split_part(convert_from(key, 'UTF8'), ':', 2)::bigint, convert_from(value, 'UTF8')::float8 "
        "FROM kv_entries WHERE convert_from(key, 'UTF8') LIKE %s",
        f"{name}:%",
    )
    return dict(rows)


def test_a_worker_killed_in_mid_cancel_gives_way(world: World, start: StartWorker) -> None:
    """The first worker stands still with its run when the tick comes, and then dies."""
    world.publish(f'%%trigger job cron "* * * * * *" overlap=cancel timeout=120\n{ALIVE}')
    with start("one") as process:
        wait_until(lambda: len(moments(world, "start")) == 1)
        process.send_signal(signal.SIGSTOP)
        [first] = moments(world, "start")
        with start("two"):
            wait_until(lambda: world.count("deliveries WHERE cancelled_at IS NOT NULL") == 1)
            assert list(moments(world, "start")) == [first]
            process.kill()
            process.wait()
            take_over(world)
            wait_until(lambda: len(moments(world, "start")) > 1)
    ended = "SELECT 1 FROM ticks WHERE extract(epoch FROM first_at) = %s AND cancelled_at IS NOT NULL"
    assert len(world.rows(ended, first)) == 1
    assert world.letters() == []


STALLS = """
    if kv.incr("runs") > 1 then return end
    local t, m = {}, (1 << 18) - 1  -- keys that all collide once the table has grown, in one step of C
    for j = 1, 1 << 17 do t[j * m] = 1 end
    kv.set("stalls", true)
    t[-1] = 1
"""


def test_a_run_that_cannot_be_stopped_costs_its_worker_and_gives_way(
    world: World, lua: Lua, database_url: str, tmp_path: Path
) -> None:
    world.publish(f'%%trigger job cron "* * * * * *" overlap=cancel retries=0 timeout=1\n{STALLS}')
    limits = {"DATABASE_URL": database_url, "HOME": str(tmp_path), "RUN_TIMEOUT_S": "1", "RUN_GRACE_S": "0.5"}
    with worker(tmp_path / "one", **limits) as process:
        assert process.wait(60) == EXIT_STUCK
        assert "cannot be stopped: this worker ends" in (tmp_path / "one").read_text()
    assert lua("return kv.get('runs')") == 1
    assert world.count("deliveries WHERE cancelled_at IS NOT NULL") == 1
    take_over(world)
    with worker(tmp_path / "two", **limits):
        wait_until(lambda: lua("return kv.get('runs')") > 1)
    assert world.letters() == []
