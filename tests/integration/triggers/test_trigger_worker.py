"""Triggers with real worker processes: what they take, in which order, and what is left when one dies."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from picloud.settings import Settings
from picloud.testing.processes import wait_until
from picloud.triggers.tasks import STALLED
from tests.integration.sdk.conftest import Lua
from tests.integration.triggers.conftest import SEE, World
from tests.integration.triggers.test_worker import worker

StartWorker = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
WAIT = "kv.set('started', true) kv.set('gate', 1) "
"""Script: say that it runs, and go on when `shut` lets it."""


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> StartWorker:
    @contextmanager
    def start(name: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        with worker(tmp_path / name, DATABASE_URL=database_url, HOME=str(tmp_path), **settings) as process:
            yield process

    return start


@contextmanager
def shut(world: World, lua: Lua) -> Iterator[None]:
    """Hold what `WAIT` waits for."""
    lua("kv.set('gate', 0)")
    with world.platform.database.connection() as connection:
        connection.execute("SELECT FROM kv_entries WHERE key = 'gate' FOR UPDATE")
        yield


def take_over(world: World) -> None:
    """Let the dead worker count as dead, and its jobs be looked for, without waiting for the time of either."""
    world.rows("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    world.rows(
        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW"
        "('default', %s, 0, NULL, NULL, '{\"timestamp\": 0}', NULL)::procrastinate_job_to_defer_v1])",
        STALLED,
    )


def is_done(world: World) -> bool:
    return not (world.count("events") or world.count("procrastinate_jobs WHERE task_name = 'picloud.deliver'"))


def test_every_event_of_every_kind_is_taken(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(
        f"%%trigger k kv user:*\n{SEE}",
        f"%%trigger d docs notes\n{SEE}",
        f"%%trigger q queue mails\n{SEE} if event.attempt == 1 then event:retry(0) end",
        f"%%trigger t topic t retries=1 backoff=0\n{SEE} error('no')",
        f"%%trigger dl dead_letter\n{SEE}",
    )
    with start("log"):
        lua("kv.set('user:1', 1) docs.insert('notes', {}) queue.send('mails', 1) pubsub.publish('t', 1)")
        wait_until(lambda: is_done(world))
        assert sorted((e["kind"], e["attempt"]) for e in world.seen()) == [
            ("dead_letter", 1), ("docs", 1), ("kv", 1), ("queue", 1), ("queue", 2), ("topic", 1), ("topic", 2),
        ]  # fmt: skip
        assert [(kind, attempts) for kind, _, _, _, attempts, _ in world.letters()] == [("topic", 2)]


def test_two_workers_take_each_event_once(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(
        "%%trigger q queue mails\nkv.incr('n:' .. event.message)",
        "%%trigger b queue many batch=7\nfor _, m in ipairs(event.messages) do kv.incr('b:' .. m.message) end",
    )
    with start("one"), start("two"):
        lua("for i = 1, 60 do queue.send('mails', i) queue.send('many', i) end")
        wait_until(lambda: is_done(world))
    assert world.rows("SELECT count(*), count(*) FILTER (WHERE value = '1') FROM kv_entries") == [(120, 120)]


def test_changes_of_one_key_keep_their_order_past_a_failure(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(
        "%%trigger k kv user:* retries=2 backoff=0.3\n"
        f"if event.value % 5 == 0 and event.attempt == 1 then error('no') end {SEE}"
    )
    lua("for i = 0, 11 do kv.set('user:' .. i % 2, i) end")
    with start("one"), start("two"):
        wait_until(lambda: is_done(world), timeout_s=60)
    for key in ("user:0", "user:1"):
        values = [e["value"] for e in world.seen() if e["key"] == key]
        assert values == sorted(values)
        assert len(values) == 6


def test_another_worker_takes_over_from_one_that_was_killed(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(
        f"%%trigger k kv user:* retries=0 timeout=120\n{WAIT}{SEE}",
        f"%%trigger q queue mails batch=5 retries=0 timeout=120\n{WAIT.replace('started', 'batch')}{SEE}",
    )
    with shut(world, lua), start("one") as process:
        lua("kv.set('user:1', 1) kv.set('user:1', 2) queue.send_many('mails', { 1, 2, 3 })")
        wait_until(lambda: lua("return kv.get('started') and kv.get('batch') and true"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert world.seen() == []
    take_over(world)
    with start("two"):
        wait_until(lambda: is_done(world))
    seen = world.seen()
    assert [e["value"] for e in seen if e["kind"] == "kv"] == [1, 2]
    assert sorted(m["message"] for e in seen if e["kind"] == "queue" for m in e["messages"]) == [1, 2, 3]
    assert {e["attempt"] for e in seen if e["kind"] == "kv"} == {1}
    assert world.letters() == []


def test_a_worker_that_was_frozen_counts_nothing_twice_and_works_on(
    lua: Lua, world: World, start: StartWorker, tmp_path: Path
) -> None:
    world.publish(f"%%trigger k kv user:* retries=0 timeout=120\n{WAIT}{SEE} error('no')")
    with start("one") as frozen:
        with shut(world, lua):
            lua("kv.set('user:1', 1) kv.set('user:1', 2)")
            wait_until(lambda: lua("return kv.get('started')"))
            frozen.send_signal(signal.SIGSTOP)
            take_over(world)
        with start("two"):
            wait_until(lambda: is_done(world))
        assert len(world.letters()) == 2
        frozen.send_signal(signal.SIGCONT)
        wait_until(lambda: "does not count" in (tmp_path / "one").read_text())
        assert len(world.letters()) == 2
        lua("kv.set('user:2', 3)")
        wait_until(lambda: is_done(world))
    assert [e["value"] for e in world.seen()] in ([1, 2, 1, 3], [1, 1, 2, 3])
    assert [attempts for *_, attempts, _ in world.letters()] == [1, 1, 1]


def test_a_job_whose_end_the_database_did_not_hear_does_not_run_for_good(
    lua: Lua, world: World, start: StartWorker
) -> None:
    world.rows("CREATE SEQUENCE heard")
    world.rows(
        "CREATE FUNCTION fall_silent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('heard') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$"
    )
    world.rows(
        "CREATE TRIGGER fall_silent AFTER DELETE OR UPDATE ON procrastinate_jobs FOR EACH ROW "
        "WHEN (OLD.status = 'doing' AND OLD.task_name = 'picloud.deliver') EXECUTE FUNCTION fall_silent()"
    )
    world.publish(f"%%trigger k kv user:* retries=0\n{SEE}")
    with start("log"):
        lua("kv.set('user:1', 1) kv.set('user:1', 2)")
        wait_until(lambda: is_done(world))
    assert [(e["value"], e["attempt"]) for e in world.seen()][-1] == (2, 1)
    assert (world.letters(), world.rows("SELECT last_value > 2 FROM heard")) == ([], [(True,)])


def test_as_many_runs_as_it_has_threads_go_at_once(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(f"%%trigger q queue mails retries=0 timeout=120\nkv.incr('running') {WAIT}")
    with start("log"), shut(world, lua):
        lua("for i = 1, 20 do queue.send('mails', i) end")
        wait_until(lambda: lua("return kv.get('running')") == Settings().worker_threads)
        assert world.count("deliveries") == 20


def test_a_worker_that_is_to_stop_finishes_what_runs(lua: Lua, world: World, start: StartWorker) -> None:
    world.publish(f"%%trigger q queue mails retries=0\n{WAIT}{SEE}")
    with start("log") as process:
        with shut(world, lua):
            lua("queue.send('mails', 1)")
            wait_until(lambda: lua("return kv.get('started')"))
            process.send_signal(signal.SIGTERM)
            world.rows("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
            fresh = "procrastinate_workers WHERE last_heartbeat > now() - interval '1 minute'"
            wait_until(lambda: world.count(fresh))  # it is not taken for dead meanwhile
            assert process.poll() is None
        assert process.wait(30) == 0
    assert [e["message"] for e in world.seen()] == [1]
    assert (is_done(world), world.letters()) == (True, [])
    assert world.rows("SELECT status FROM runs") == [("succeeded",)], "noted although it is the last thing it did"


def test_what_goes_on_past_the_time_of_a_stop_is_interrupted_and_comes_again(
    lua: Lua, world: World, start: StartWorker
) -> None:
    world.publish(
        "%%trigger loops queue loops retries=0 timeout=600\nkv.set('loops', true) while true do end",
        f"%%trigger waits queue waits retries=0 timeout=600\n{WAIT}",
    )
    lua("queue.send('loops', 1) queue.send('waits', 1)")
    with shut(world, lua), start("log", RUN_TIMEOUT_S="0.5", RUN_GRACE_S="3", RUN_CPU_S="600") as process:
        wait_until(lambda: lua("return kv.get('loops') and kv.get('started')"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert world.rows("SELECT attempts, failures FROM deliveries") == [(0, [])] * 2
    assert world.rows("SELECT d.trigger, status FROM procrastinate_jobs AS j JOIN deliveries AS d ON d.job = j.id") == [
        ("loops", "todo"), ("waits", "todo"),
    ]  # fmt: skip
    assert world.letters() == []
