"""From what a script does to the run of a trigger, without a worker process: `World.work` takes the jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from picloud.admin.edits import delete_trigger, put_script, put_trigger
from picloud.engine.executor import Executor
from picloud.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidTrigger,
    NotFound,
    PlatformError,
    RunInterrupted,
    StaleRevision,
)
from picloud.model.release import TestSource
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind
from picloud.storage.deliveries import DeliveryRepository, Failure, Key
from picloud.storage.kv import delete_expired
from picloud.storage.queries import load
from picloud.testing.processes import wait_until
from tests.integration.sdk.conftest import Lua
from tests.integration.triggers.conftest import BLOCKED, SEE, World

OpenApp = Callable[[str], Lua]

KV = f"%%trigger onkv kv user:*\n{SEE}"
QUEUE = f"%%trigger mails queue mails\n{SEE}"
ENDED: tuple[LiteralString, ...] = ("succeeded", "failed", "cancelled", "aborted")
"""What a job can be that does nothing any more."""


# what is an event ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "events"),
    [
        ("kv.set('user:1', { n = 1 })", [("set", "user:1", {"n": 1})]),
        ("kv.set('other:1', 1) kv.set('user', 1) kv.set('xuser:1', 1)", []),
        ("kv.set('user:1', 1) kv.set('user:1', 2)", [("set", "user:1", 1), ("set", "user:1", 2)]),
        ("kv.set('user:1', 1) kv.delete('user:1')", [("set", "user:1", 1), ("delete", "user:1", None)]),
        ("kv.delete('user:1')", []),
        ("kv.incr('user:n') kv.incr('user:n', 4)", [("set", "user:n", 1), ("set", "user:n", 5)]),
        (
            "kv.set_many({ ['user:1'] = 1, ['user:2'] = 2, x = 3 })",
            [("set", "user:1", 1), ("set", "user:2", 2)],
        ),
        (
            "kv.set('user:1', 1) kv.set('x', 1) "
            "assert(kv.commit({ set = { ['user:2'] = 2 }, delete = { 'user:1', 'user:9' } }))",
            [("set", "user:1", 1), ("set", "user:2", 2), ("delete", "user:1", None)],
        ),
        ("assert(not kv.commit({ checks = { ['user:1'] = 7 }, set = { ['user:2'] = 2 } }))", []),
        ("assert(kv.commit({ checks = { ['user:1'] = false }, set = { other = 2 } }))", []),
        (
            "transaction(function() kv.set('user:1', 1) kv.set('user:1', 2) end)",
            [("set", "user:1", 1), ("set", "user:1", 2)],
        ),
        ("pcall(transaction, function() kv.set('user:1', 1) error('no') end)", []),
        (
            "transaction(function() kv.set('user:1', 1) "
            "pcall(transaction, function() kv.set('user:2', 1) error('no') end) end)",
            [("set", "user:1", 1)],
        ),
    ],
)
def test_each_change_of_an_entry_is_an_event(lua: Lua, world: World, source: str, events: list[object]) -> None:
    world.publish(KV)
    lua(source)
    assert world.count("events") == world.count("deliveries") == len(events)
    world.work()
    told = [(e["operation"], e["key"], e.get("value")) for e in world.seen()]
    assert sorted(told, key=str) == sorted(events, key=str)
    assert (world.count("events"), world.count("deliveries"), world.runnable()) == (0, 0, None)


def test_a_value_of_any_bytes_comes_as_it_is(lua: Lua, world: World) -> None:
    world.publish("%%trigger onkv kv user:*\nkv.set('copy', event.value) kv.set('key', event.key)")
    lua("kv.set('user:\\255\\0', 'a\\255\\0b')")
    world.work()
    assert lua("return kv.get('copy') == 'a\\255\\0b' and kv.get('key') == 'user:\\255\\0'")


def test_an_entry_that_expires_is_no_event(lua: Lua, world: World) -> None:
    lua("for i = 1, 3 do kv.set('user:' .. i, 1, { ttl = 3600 }) end")
    world.publish(KV)
    world.rows("UPDATE kv_entries SET expires_at = now() - interval '1 second'")
    lua("kv.delete('user:2') kv.set('user:3', 2)")
    assert delete_expired(world.platform.database) == 1
    world.work()
    assert [(e["operation"], e["key"]) for e in world.seen()] == [("set", "user:3")]


def test_only_the_operations_asked_for_are_events(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger gone kv user:* on=delete\n{SEE}", f"%%trigger docgone docs notes on=delete\n{SEE}")
    lua("kv.set('user:1', 1) kv.delete('user:1') local id = docs.insert('notes', {}) docs.delete('notes', id)")
    world.work()
    assert [e["operation"] for e in world.seen()] == ["delete", "delete"]


def test_a_change_of_a_document_comes_with_what_was_before_and_after(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger ondoc docs notes\n{SEE}")
    lua("""
        docs.insert("notes", { t = 1 }, { id = "a" })
        docs.replace("notes", "a", { t = 2 })
        docs.patch("notes", "a", { u = 3 })
        docs.delete("notes", "a")
        docs.delete("notes", "a")
        docs.insert("others", {})
        pcall(transaction, function() docs.insert("notes", {}) error("no") end)
    """)
    world.work()
    common = {"kind": "docs", "collection": "notes", "document_id": "a", "attempt": 1}
    assert world.seen() == [
        common | {"operation": "insert", "after": {"t": 1}},
        common | {"operation": "update", "before": {"t": 1}, "after": {"t": 2}},
        common | {"operation": "update", "before": {"t": 2}, "after": {"t": 2, "u": 3}},
        common | {"operation": "delete", "before": {"t": 2, "u": 3}},
    ]


def test_a_message_goes_to_the_trigger_of_its_queue(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', { to = 'ada' }) queue.send('others', 1)")
    world.work()
    [event] = world.seen()
    assert event.pop("messages")[0]["message"] == {"to": "ada"}
    assert event == {"kind": "queue", "queue": "mails", "message": {"to": "ada"}, "attempt": 1}
    assert lua("return { queue.size('mails'), queue.size('others') }") == [0, 1]


def test_a_message_of_a_topic_goes_to_all_its_triggers(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger a topic t\n{SEE}", f"%%trigger b topic t\n{SEE}", f"%%trigger c topic u\n{SEE}")
    lua("pubsub.publish('t', 'x') pubsub.publish('nobody', 'x')")
    assert (world.count("events"), world.count("deliveries")) == (1, 2)
    world.work()
    assert world.seen() == [{"kind": "topic", "topic": "t", "message": "x", "attempt": 1}] * 2
    assert world.count("events") == 0


def test_all_triggers_and_attempts_see_one_id(lua: Lua, world: World) -> None:
    script = "kv.set('id:' .. kv.incr('n'), event.id) error('no')"
    world.publish(*(f"%%trigger {name} topic t retries=2\n{script}" for name in "ab"))
    lua("pubsub.publish('t', 'x')")
    world.finish()
    values = [value for (value,) in world.rows("SELECT value FROM kv_entries WHERE NOT is_json")]
    assert (len(values), len(set(values))) == (6, 1)


def test_a_message_is_not_delivered_before_its_time(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1, { delay = 3600 })")
    assert world.work() == 0
    [(waits,)] = world.rows("SELECT scheduled_at > now() + interval '59 minutes' FROM procrastinate_jobs")
    assert waits
    world.hasten()
    world.work()
    assert len(world.seen()) == 1


def test_what_a_test_writes_is_no_event(world: World) -> None:
    world.publish(KV, QUEUE, f"%%trigger t topic t\n{SEE}", f"%%trigger d docs notes\n{SEE}")
    session = world.platform.interactive("shop", lambda _text: None)
    source = "kv.set('user:1', 1) queue.send('mails', 1) pubsub.publish('t', 1) docs.insert('notes', {}) assert(true)"
    assert session.test(TestSource("t", source)).error is None
    assert (world.count("events"), world.count("deliveries"), world.runnable()) == (0, 0, None)


# which trigger takes it ------------------------------------------------------------------------------------------


def test_messages_sent_before_there_was_a_trigger_are_handed_out(lua: Lua, world: World) -> None:
    lua("queue.send_many('mails', { 1, 2 }) queue.send('mails', 3, { delay = 3600 })")
    world.publish(QUEUE)
    world.work()
    assert [e["message"] for e in world.seen()] == [1, 2]
    world.publish(QUEUE, KV)
    assert world.count("deliveries") == 1


def test_messages_of_a_removed_trigger_wait_again(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    world.publish()
    assert world.count("deliveries") == 0
    world.work()
    assert (world.seen(), lua("return queue.size('mails')")) == ([], 1)
    world.publish("%%trigger taker queue mails\nkv.set('got', event.message)")
    world.work()
    assert lua("return kv.get('got')") == 1


def test_a_changed_trigger_counts_from_its_commit_on(lua: Lua, world: World) -> None:
    world.publish("%%trigger x kv user:* retries=0\nerror('no')", "%%trigger q queue mails retries=0\nerror('no')")
    lua("kv.set('user:1', 1) queue.send('mails', 1)")
    world.publish("%%trigger x kv other:* retries=2\nerror('no')", "%%trigger q queue mails retries=1\nerror('no')")
    lua("kv.set('user:2', 2) kv.set('other:1', 3)")
    world.finish()
    # The event of the old trigger keeps its policy; a message belongs to nobody until it is taken.
    assert sorted((kind, attempts) for kind, _, _, _, attempts, _ in world.letters()) == [
        ("kv", 1),
        ("kv", 3),
        ("queue", 2),
    ]


def test_a_removed_trigger_still_gets_what_happened_before(lua: Lua, world: World) -> None:
    world.publish(KV)
    lua("kv.set('user:1', 1)")
    world.platform.publisher.edit("shop", delete_trigger("onkv"), author="test")
    lua("kv.set('user:2', 2)")
    world.work()
    assert [e["key"] for e in world.seen()] == ["user:1"]


def test_a_script_that_is_gone_makes_a_dead_letter(lua: Lua, world: World) -> None:
    world.publish(KV)
    lua("kv.set('user:1', 1)")
    world.publish()
    world.work()
    assert world.letters() == [("kv", "", "onkv", "not_found", 1, "open")]
    [(message,)] = world.rows("SELECT message FROM dead_letters")
    assert "no script 'onkv' any more" in message


def test_a_rollback_brings_triggers_back(lua: Lua, world: World) -> None:
    world.publish(KV)
    world.publish()
    lua("kv.set('user:1', 1)")
    world.platform.publisher.rollback("shop", 1, author="test")
    assert [t.name for t in world.platform.publisher.live("shop").triggers] == ["onkv"]
    lua("kv.set('user:2', 2)")
    world.work()
    assert [e["key"] for e in world.seen()] == ["user:2"]


# batches ---------------------------------------------------------------------------------------------------------

COUNT = "kv.set('seen:' .. kv.incr('n'), { n = #event.messages, first = event.messages[1].message }) "


def test_messages_of_a_batch_come_in_one_run(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger q queue mails batch=3 wait=3600\n{COUNT}")
    lua("queue.send_many('mails', { 1, 2, 3, 4, 5, 6, 7 })")
    assert world.work() == 0
    world.rows("UPDATE deliveries SET due_at = now() WHERE number = (SELECT min(number) FROM deliveries)")
    world.rows("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = (SELECT min(id) FROM procrastinate_jobs)")
    world.work()
    assert world.seen() == [{"n": 3, "first": 1}]
    world.finish()
    assert world.seen() == [{"n": 3, "first": 1}, {"n": 3, "first": 4}, {"n": 1, "first": 7}]
    assert (world.count("events"), world.count("procrastinate_jobs")) == (0, 0)


def test_a_batch_holds_no_more_than_4_mib(lua: Lua, world: World) -> None:
    world.publish("%%trigger q queue mails batch=100\nkv.set('seen:' .. kv.incr('n'), { n = #event.messages })")
    for _ in range(2):
        lua("for i = 1, 10 do queue.send('mails', ('x'):rep(2^18)) end")
    world.work()
    assert world.seen() == [{"n": 16}, {"n": 4}]


def send_many(world: World, count: int, *, due: LiteralString = "now()") -> None:
    """Send messages to the queue of an app as one transaction."""
    world.rows(
        "INSERT INTO events (app_id, id, kind, name, is_json, payload, due_at, sent_at) "
        f"SELECT id, gen_random_uuid(), 'queue', 'mails', true, '1', {due}, now() FROM apps, generate_series(1, %s)",
        count,
    )
    world.rows("ANALYZE")


def pages_read(world: World) -> int:
    """Return how many pages of the database it takes to take a batch, which is not kept."""
    [(app_id, event_id, trigger)] = world.rows(
        "SELECT app_id, event_id, trigger FROM deliveries ORDER BY number LIMIT 1"
    )
    values = {"app_id": app_id, "event_id": event_id, "trigger": trigger, "job_id": 1, "token": uuid4(), "more": 9}
    take_more = load("deliveries.sql")["take_more"]
    with world.platform.database.connection() as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + take_more
        rows = connection.execute(explain, values | {"again": False}, prepare=True).fetchall()
    plan = rows[0][0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_a_batch_costs_the_same_however_many_wait(world: World) -> None:
    world.publish(f"%%trigger q queue mails batch=10\n{COUNT}")
    send_many(world, 100)
    few = pages_read(world)
    send_many(world, 1500)
    send_many(world, 1500, due="now() + interval '1 hour'")
    world.rows("UPDATE deliveries SET attempts = 1, ready_at = 'infinity' WHERE mod(number, 2) = 0")
    world.rows("ANALYZE")
    assert pages_read(world) < 4 * few


def test_of_a_batch_that_fails_what_was_acknowledged_is_done(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger q queue mails batch=10 retries=0\n"
        "for _, m in ipairs(event.messages) do if m.message % 2 == 0 then m:ack() end end error('no')"
    )
    lua("queue.send_many('mails', { 1, 2, 3, 4 })")
    world.finish()
    assert [json.loads(p) for (p,) in world.rows("SELECT payload FROM dead_letters ORDER BY payload")] == [1, 3]
    assert world.count("events") == 0


def test_a_message_that_failed_is_taken_alone(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger q queue mails batch=10 retries=1 backoff=0\n"
        "kv.set('seen:' .. kv.incr('n'), { n = #event.messages }) error('no')"
    )
    lua("queue.send_many('mails', { 1, 2, 3 })")
    world.finish()
    assert world.seen() == [{"n": 3}, {"n": 1}, {"n": 1}, {"n": 1}]
    assert world.count("dead_letters") == 3


def test_a_message_can_be_asked_for_again_alone(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger q queue mails batch=10 retries=1\n"
        "for _, m in ipairs(event.messages) do\n"
        "kv.incr('got:' .. m.message) if m.message == 2 then m:retry(1800) end end"
    )
    lua("queue.send_many('mails', { 1, 2, 3 })")
    world.work()
    [(attempts, late)] = world.rows(
        "SELECT attempts, due_at BETWEEN now() + interval '29 minutes' AND now() + interval '30 minutes' "
        "FROM deliveries"
    )
    assert (attempts, late) == (1, True)
    world.finish()
    assert lua("local n = {} for i = 1, 3 do n[i] = kv.get('got:' .. i) end return n") == [1, 2, 1]
    assert world.letters() == [("queue", "mails", "q", "retry_asked", 2, "open")]


def test_what_is_asked_for_last_counts(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger q queue mails batch=10 retries=0\n"
        "local a, b = event.messages[1], event.messages[2] a:ack() a:retry() b:retry() b:ack() "
        "for _, bad in ipairs({ -2, 1e9, 0/0, 'x' }) do assert(not pcall(a.retry, a, bad)) end"
    )
    lua("queue.send_many('mails', { 1, 2 })")
    world.work()
    assert [payload for (payload,) in world.rows("SELECT payload FROM dead_letters")] == [b"1"]


def test_a_job_waits_for_another_that_is_taking_its_delivery_and_may_die(lua: Lua, world: World) -> None:
    world.publish("%%trigger q queue mails batch=5\n" + SEE)
    lua("queue.send('mails', 1)")
    with ThreadPoolExecutor(1) as pool, world.platform.database.connection() as other:
        with other.transaction(force_rollback=True):
            other.execute("UPDATE deliveries SET taken_by = 0")
            working = pool.submit(world.work)
            wait_until(lambda: working.done() or world.rows(BLOCKED))
            assert not working.done()
        assert working.result(30) == 1
    assert len(world.seen()) == 1


# leases ----------------------------------------------------------------------------------------------------------

HELD = "if kv.incr('runs') == 1 then kv.set('gate', 1) end "
"""Script: the first run waits until `frozen` lets it go on."""


@contextmanager
def frozen(world: World, lua: Lua) -> Iterator[Future[None]]:
    """Hold the first run of the next job; at the end of the block it goes on, and ends before the block is left."""
    lua("kv.set('gate', 0)")
    job = world.runnable()
    assert job is not None
    number, key = job
    with ThreadPoolExecutor(1) as pool:
        with world.platform.database.connection() as connection:
            connection.execute("SELECT FROM kv_entries WHERE key = 'gate' FOR UPDATE")
            running = pool.submit(world.platform.deliverer.deliver, key, number)
            wait_until(lambda: running.done() or lua("return kv.get('runs')") == 1)
            assert not running.done()
            yield running
        running.result(30)


@pytest.mark.parametrize("cell", ["x kv user:*", "x queue mails", "x queue mails batch=3"])
@pytest.mark.parametrize(
    ("end", "retries", "attempts", "letters", "jobs"),
    [("", 0, [], 0, 0), ("error('no')", 0, [], 1, 0), ("error('no')", 1, [1], 0, 1), ("event:retry(9)", 1, [1], 0, 1)],
)
def test_what_a_frozen_worker_did_counts_no_more_after_a_takeover(
    lua: Lua, world: World, caplog: pytest.LogCaptureFixture, cell: str, end: str, retries: int, attempts: list[int],
    letters: int, jobs: int,
) -> None:  # fmt: skip
    world.publish(f"%%trigger {cell} retries={retries} backoff=3600\n{HELD}{end}")
    lua("kv.set('user:1', 1)" if "kv" in cell else "queue.send('mails', 1)")
    job = world.runnable()
    assert job is not None
    with frozen(world, lua):
        world.platform.deliverer.deliver(job[1], job[0])  # as the worker that has the job now
    assert [getattr(record, "action", None) for record in caplog.records].count("lease_lost") == 1
    assert lua("return kv.get('runs')") == 2
    assert [n for (n,) in world.rows("SELECT attempts FROM deliveries WHERE taken_by IS NULL")] == attempts
    assert (world.count("dead_letters"), world.count("procrastinate_jobs")) == (letters, jobs)
    assert world.rows("SELECT count(*) FROM deliveries AS d JOIN procrastinate_jobs AS j ON j.id = d.job") == [(jobs,)]


def test_who_took_over_decides_also_when_the_frozen_worker_is_first(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger x kv user:* retries=0\nkv.set('gate:' .. kv.incr('runs'), 1) {SEE}")
    lua("kv.set('gate:1', 0) kv.set('gate:2', 0) kv.set('user:1', 1)")
    job = world.runnable()
    assert job is not None
    number, key = job
    gates = "SELECT FROM kv_entries WHERE key = %s FOR UPDATE"
    deliver = world.platform.deliverer.deliver
    with ThreadPoolExecutor(2) as pool:
        with world.platform.database.connection() as second:
            second.execute(gates, [b"gate:2"])
            with world.platform.database.connection() as first:
                first.execute(gates, [b"gate:1"])
                stale = pool.submit(deliver, key, number)
                wait_until(lambda: lua("return kv.get('runs')") == 1)
                taker = pool.submit(deliver, key, number)
                wait_until(lambda: lua("return kv.get('runs')") == 2)
            stale.result(30)
            assert (world.count("deliveries"), world.count("procrastinate_jobs")) == (1, 1)
        taker.result(30)
    assert (world.count("deliveries"), world.count("events"), world.count("procrastinate_jobs")) == (0, 0, 0)
    assert len(world.seen()) == 2


def test_a_worker_that_was_frozen_before_it_began_leaves_the_job_to_whom_it_is_now(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    job = world.runnable()
    assert job is not None
    number, key = job
    (frozen,), (taker,) = world.rows(
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now()), (now()) RETURNING id"
    )
    world.rows("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", taker)
    deliveries = DeliveryRepository(world.platform.database)
    [own] = deliveries.take(key, number, taker)
    for hours in (0, 1):
        world.rows("UPDATE deliveries SET due_at = now() + %s * interval '1 hour'", hours)
        world.platform.deliverer.deliver(key, number, frozen)
    assert world.rows("SELECT status, scheduled_at FROM procrastinate_jobs") == [("doing", None)]
    assert deliveries.finish([key], [], number, own.lease)
    assert (world.count("deliveries"), world.seen()) == (0, [])


def test_a_job_that_is_not_the_delivery_s_ends_without_it(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    job = world.runnable()
    assert job is not None
    [(other,)] = world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) SELECT queue_name, task_name, args "
        "FROM procrastinate_jobs RETURNING id"
    )
    world.platform.deliverer.deliver(job[1], other)
    assert (world.seen(), world.rows("SELECT id FROM procrastinate_jobs")) == ([], [(job[0],)])
    assert world.work() == 1


@pytest.mark.parametrize("fails", [True, False])
def test_a_run_whose_app_went_meanwhile_leaves_no_job(lua: Lua, world: World, fails: bool) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    number, key = world.runnable() or (0, Key(uuid4(), uuid4(), ""))
    deliveries = DeliveryRepository(world.platform.database)
    [own] = deliveries.take(key, number)
    world.platform.apps.delete("shop")
    failures = [Failure(key, datetime.now(UTC), "runtime_error", "no", {}, None)] if fails else []
    assert not deliveries.finish([] if fails else [key], failures, number, own.lease)
    assert world.count("procrastinate_jobs") == 0


def test_a_job_that_is_taken_over_finds_its_batch_again(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger x queue mails batch=3 retries=0\n{HELD}{COUNT}")
    lua("queue.send_many('mails', { 1, 2, 3, 4 })")
    job = world.runnable()
    assert job is not None
    with frozen(world, lua):
        assert world.count("deliveries WHERE taken_by IS NOT NULL") == 3
        world.platform.deliverer.deliver(job[1], job[0])
        assert world.seen() == [{"n": 3, "first": 1}]
    world.work()
    assert world.seen() == [{"n": 3, "first": 1}] * 2 + [{"n": 1, "first": 4}]
    assert (world.letters(), world.count("deliveries"), world.runnable()) == ([], 0, None)


@pytest.mark.parametrize(
    "fate", ["DELETE FROM procrastinate_jobs", *(f"UPDATE procrastinate_jobs SET status = '{s}'" for s in ENDED)]
)
def test_a_delivery_whose_job_is_gone_gets_it_again_in_its_place(lua: Lua, world: World, fate: LiteralString) -> None:
    world.publish("%%trigger x kv user:*\n" + SEE)
    lua("kv.set('user:1', 1) kv.set('user:1', 2) kv.set('user:1', 3)")
    jobs = world.rows("SELECT id FROM procrastinate_jobs ORDER BY id")
    world.rows(f"{fate} WHERE id = (SELECT min(id) FROM procrastinate_jobs)")
    revive = DeliveryRepository(world.platform.database).revive
    assert ([(job,) for job in revive()], revive()) == (jobs[:1], [])
    assert world.rows("SELECT id FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id") == jobs
    world.work()
    assert [e["value"] for e in world.seen()] == [1, 2, 3]


def test_a_batch_whose_job_is_gone_is_delivered_again(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger x queue mails batch=3 retries=0\n{HELD}{COUNT}")
    lua("queue.send_many('mails', { 1, 2, 3, 4 })")
    job = world.runnable()
    assert job is not None
    revive = DeliveryRepository(world.platform.database).revive
    with frozen(world, lua):
        assert revive() == []
        world.rows("DELETE FROM procrastinate_jobs WHERE id = %s", job[0])
        assert (revive(), revive()) == ([job[0]], [])
        world.work()
        assert world.seen() == [{"n": 3, "first": 1}, {"n": 1, "first": 4}]
    assert (world.letters(), world.count("deliveries"), world.runnable()) == ([], 0, None)


# failures --------------------------------------------------------------------------------------------------------


def test_retries_wait_longer_each_time_and_end_in_a_dead_letter(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger x kv user:* retries=3 backoff=100 backoff_max=250 jitter=0\n"
        "log.info('try', { attempt = event.attempt })\nlocal function f() error('boom ' .. event.attempt) end\nf()"
    )
    lua("kv.set('user:1', { n = 1 })")
    pauses = []
    while world.work():
        for (pause,) in world.rows("SELECT extract(epoch FROM due_at - now())::int FROM deliveries"):
            pauses.append(round(pause, -1))
        world.hasten()
    assert pauses == [100, 200, 250]
    [(code, message, attempts, payload, failures)] = world.rows(
        "SELECT code, message, attempts, payload, failures FROM dead_letters"
    )
    assert (code, message, attempts, payload) == ("script_runtime_error", "boom 4", 4, b'{"n":1}')
    assert [failure["message"] for failure in failures] == [f"boom {n}" for n in (1, 2, 3, 4)]
    first = failures[0]
    assert (first["script"], first["line"]) == ("x", 2)
    assert first["traceback"][0].startswith("x:2: in ")
    assert first["log"] == [{"level": "info", "message": "try", "fields": '{"attempt":1}'}]
    assert first["used"]["wall_ms"] > 0
    assert first["version"]
    assert world.count("events") == world.count("procrastinate_jobs") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "error('a\\0b\\255')",
        "log.info('a\\0b\\255', { x = 'a\\0b' }) print('a\\0b\\255') error({ message = '\\0' })",
        "error(('\\0'):rep(100000))",
        "_G['f\\0\\255'] = function() error('no') end _G['f\\0\\255']()",
        "local t = setmetatable({}, { __tostring = error }) error(t)",
        "for i = 1, 1000 do log.info(('\\u{10ffff}'):rep(100)) end error(nil)",
        "local function f() return f() + 1 end f()",
        "require('nobody')",
        "queue.send('\\0', 1)",
    ],
)
def test_whatever_a_script_fails_with_is_kept(lua: Lua, world: World, statement: str) -> None:
    world.publish(f"%%trigger x kv user:* retries=1\n{statement}")
    lua("kv.set('user:1', 1)")
    world.finish()
    [(attempts, failures)] = world.rows("SELECT attempts, failures FROM dead_letters")
    assert (attempts, len(failures)) == (2, 2)
    assert lua("return #dead_letters.list()") == 1


def test_a_run_that_succeeds_after_failures_leaves_nothing(lua: Lua, world: World) -> None:
    world.publish(f"%%trigger x kv user:* retries=3\n{SEE} if event.attempt < 3 then error('no') end")
    lua("kv.set('user:1', 1)")
    world.finish()
    assert [e["attempt"] for e in world.seen()] == [1, 2, 3]
    assert (world.letters(), world.count("events")) == ([], 0)


def test_limits_spend_attempts(lua: Lua, world: World) -> None:
    world.publish("%%trigger x kv user:* retries=1 timeout=0.1\nwhile true do end")
    lua("kv.set('user:1', 1)")
    world.finish()
    [(_, _, _, code, attempts, _)] = world.letters()
    assert (code, attempts) == ("time_limit_exceeded", 2)


@pytest.mark.parametrize("fault", [PlatformError(), DatabaseUnavailable(), RunInterrupted(), StaleRevision()])
def test_faults_of_the_platform_spend_no_attempt(
    lua: Lua, world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    world.publish(f"%%trigger q queue mails retries=0 batch=2\n{SEE}")
    lua("queue.send_many('mails', { 1, 2 })")

    def fail(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(Executor, "trigger", fail)
        for _ in range(3):
            with pytest.raises(type(fault)):
                world.work()
    assert world.rows("SELECT DISTINCT attempts, failures FROM deliveries") == [(0, [])]
    world.work()
    [event] = world.seen()
    assert [m["message"] for m in event["messages"]] == [1, 2]
    assert (world.letters(), world.count("events")) == ([], 0)


def test_a_publish_between_take_and_run_is_no_fault(lua: Lua, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish(f"%%trigger q queue mails\n{SEE}")
    lua("queue.send('mails', 1)")
    take = DeliveryRepository.take

    def take_and_publish(repository: DeliveryRepository, key: Key, job_id: int, worker_id: int | None) -> object:
        taken = take(repository, key, job_id, worker_id)
        world.publish(f"%%trigger q queue mails\n{SEE}", KV)
        return taken

    monkeypatch.setattr(DeliveryRepository, "take", take_and_publish)
    world.work()
    assert [e["message"] for e in world.seen()] == [1]


# order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("kv user:*", "kv.set('user:a', 1) kv.set('user:a', 2) kv.set('user:b', 3)"),
        (
            "docs notes",
            "docs.insert('notes', { n = 1 }, { id = 'a' }) docs.replace('notes', 'a', { n = 2 }) "
            "docs.insert('notes', { n = 3 }, { id = 'b' })",
        ),
    ],
)
def test_changes_of_one_key_are_taken_one_after_the_other(lua: Lua, world: World, source: str, changes: str) -> None:
    world.publish(
        f"%%trigger x {source} retries=1\nlocal n = event.value or event.after.n "
        f"if n == 1 and event.attempt == 1 then error('no') end {SEE}"
    )
    lua(changes)
    world.work()
    assert [e.get("value") or e["after"]["n"] for e in world.seen()] == [3]
    world.finish()
    assert [e.get("value") or e["after"]["n"] for e in world.seen()] == [3, 1, 2]


# dead letters ----------------------------------------------------------------------------------------------------

FRAGILE = "%%trigger x kv user:* retries=0\nif not kv.get('ok') then error('no') end " + SEE


def letter_of(world: World) -> UUID:
    [(identity,)] = world.rows("SELECT id FROM dead_letters WHERE state = 'open'")
    assert isinstance(identity, UUID)
    return identity


def test_a_dead_letter_is_delivered_again_once(lua: Lua, world: World) -> None:
    world.publish(FRAGILE)
    lua("kv.set('user:1', { n = 1 })")
    world.work()
    identity = letter_of(world)
    lua("kv.set('ok', true)")
    assert lua(f"return dead_letters.redrive('{identity}')")
    assert lua(f"return dead_letters.redrive('{identity}')") is False
    [(redrives,)] = world.rows("SELECT redrives FROM deliveries")
    assert redrives == identity
    world.work()
    assert [(e["value"], e["attempt"]) for e in world.seen()] == [({"n": 1}, 1)]
    assert world.rows("SELECT state, decided_by FROM dead_letters") == [("redriven", "script")]
    assert world.count("events") == 0


def test_what_fails_again_is_another_dead_letter(lua: Lua, world: World) -> None:
    world.publish(FRAGILE)
    lua("kv.set('user:1', 1)")
    world.work()
    before = letter_of(world)
    lua(f"dead_letters.redrive('{before}')")
    world.work()
    assert letter_of(world) != before
    assert world.rows("SELECT count(DISTINCT event_id) FROM dead_letters") == [(1,)]


def test_a_redrive_goes_to_the_trigger_as_it_is_now(lua: Lua, world: World) -> None:
    world.publish(FRAGILE)
    lua("kv.set('user:1', 1)")
    world.work()
    world.publish(f"%%trigger x kv other:* retries=5\n{SEE}")
    lua(f"dead_letters.redrive('{letter_of(world)}')")
    assert world.rows("SELECT options -> 'retry' -> 'retries' FROM deliveries") == [(5,)]
    world.work()
    assert [e["key"] for e in world.seen()] == ["user:1"]


TWO_TRIGGERS = (
    "%%trigger a topic t retries=0\nif not kv.get('ok') then error('no') end " + SEE,
    "%%trigger b topic t\nkv.incr('b')",
)


def redrive(world: World, connection: psycopg.Connection) -> None:
    [(app_id, identity)] = connection.execute("SELECT app_id, id FROM dead_letters WHERE state = 'open'").fetchall()
    assert connection.execute("SELECT picloud_redrive(%s, %s, NULL, NULL, 'x')", [app_id, identity]).fetchone()


@pytest.mark.parametrize("is_settled", [True, False])
def test_an_event_stays_when_it_is_redriven_while_it_ends(lua: Lua, world: World, is_settled: bool) -> None:
    world.publish(*TWO_TRIGGERS)
    lua("pubsub.publish('t', 1)")
    number, key = world.runnable() or (0, Key(uuid4(), uuid4(), ""))
    world.platform.deliverer.deliver(key, number)  # of the one that fails
    if is_settled:
        world.rows("UPDATE events SET sent_at = now() - interval '1 hour'")
        world.rows("DELETE FROM deliveries")
    end = DeliveryRepository(world.platform.database).delete_settled if is_settled else world.work
    lua("kv.set('ok', true)")
    with ThreadPoolExecutor(1) as pool:
        with world.platform.database.connection() as connection:
            redrive(world, connection)
            ending = pool.submit(end)
            wait_until(lambda: ending.done() or world.rows(BLOCKED))
            assert not is_settled or ending.done()  # who looks through many events waits for none
        ending.result(30)
    world.work()
    assert [e["message"] for e in world.seen()] == [1]
    assert (world.count("events"), world.count("deliveries"), world.runnable()) == (0, 0, None)


def test_an_event_comes_again_when_it_ends_while_it_is_redriven(lua: Lua, world: World) -> None:
    world.publish(*TWO_TRIGGERS)
    lua("pubsub.publish('t', 1)")
    for _ in range(2):
        number, key = world.runnable() or (0, Key(uuid4(), uuid4(), ""))
        if key.trigger == "a":
            world.platform.deliverer.deliver(key, number)
    lua("kv.set('ok', true)")
    [own] = DeliveryRepository(world.platform.database).take(key, number)

    def redrive_alone() -> None:
        with world.platform.database.connection() as connection:
            redrive(world, connection)

    with ThreadPoolExecutor(1) as pool:
        with world.platform.database.connection() as connection:
            settle = "SELECT picloud_settle(%s, %s, %s, %s)"
            connection.execute(settle, [key.app_id, key.trigger, [key.event_id], own.lease])
            redriving = pool.submit(redrive_alone)
            wait_until(lambda: redriving.done() or world.rows(BLOCKED))
        redriving.result(30)
    world.work()
    assert [e["message"] for e in world.seen()] == [1]
    assert (world.count("events"), world.count("deliveries"), world.runnable()) == (0, 0, None)


def test_two_triggers_that_end_at_once_leave_no_event(lua: Lua, world: World) -> None:
    world.publish("%%trigger a topic t\nreturn", "%%trigger b topic t\nreturn")
    lua("pubsub.publish('t', 1)")
    number, key = world.runnable() or (0, Key(uuid4(), uuid4(), ""))
    [own] = DeliveryRepository(world.platform.database).take(key, number)
    with ThreadPoolExecutor(1) as pool:
        with world.platform.database.connection() as connection:
            settle = "SELECT picloud_settle(%s, %s, %s, %s)"
            connection.execute(settle, [key.app_id, key.trigger, [key.event_id], own.lease])
            other = pool.submit(world.work)
            wait_until(lambda: other.done() or world.rows(BLOCKED))
        other.result(30)
    assert (world.count("events"), world.count("deliveries")) == (0, 0)


def test_two_scripts_that_redrive_each_others_letters_come_to_an_end(lua: Lua, world: World) -> None:
    again = (
        "retries=0\nfor _, letter in ipairs((dead_letters.list())) do "
        "if letter.name ~= event.topic then dead_letters.redrive(letter.id) end end error('no')"
    )
    world.publish(*(f"%%trigger {name} topic {name} {again}" for name in "xy"))
    lua("pubsub.publish('x', 1) pubsub.publish('y', 1)")
    world.work(100)
    assert world.rows("SELECT count(*) > 0 FROM dead_letters WHERE code = 'recursion_limit'") == [(True,)]


def test_a_dead_letter_that_is_discarded_is_kept_as_decided(lua: Lua, world: World) -> None:
    world.publish(FRAGILE)
    lua("kv.set('user:1', 1)")
    world.work()
    identity = letter_of(world)
    assert lua(f"return dead_letters.discard('{identity}')")
    assert lua(f"return dead_letters.redrive('{identity}')") is False
    assert lua(f"return dead_letters.get('{identity}')") is None
    assert [state for *_, state in world.letters()] == ["discarded"]


def test_a_dead_letter_trigger_hears_of_each_and_its_own_failure_starts_nothing_more(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger x kv user:* retries=0\nerror('boom')",
        f"%%trigger dl dead_letter retries=0\n{SEE} error('again')",
    )
    lua("kv.set('user:1', 1)")
    world.finish()
    [event] = world.seen()
    letter = event["dead_letter"]
    assert UUID(letter.pop("id"))
    assert letter == {
        "trigger": "x", "kind": "kv", "name": "", "script": "x", "code": "script_runtime_error", "error": "boom",
        "attempts": 1,
    }  # fmt: skip
    assert [(kind, trigger) for kind, _, trigger, *_ in world.letters()] == [("kv", "x"), ("dead_letter", "dl")]
    assert (world.count("events"), world.count("deliveries")) == (0, 0)


# what triggers itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "start"),
    [
        ("%%trigger x kv loop\nkv.incr('loop')", "kv.set('loop', 1)"),
        ("%%trigger x docs notes on=insert\ndocs.insert('notes', {})", "docs.insert('notes', {})"),
        ("%%trigger x queue q\nqueue.send('q', 1)", "queue.send('q', 1)"),
        ("%%trigger x queue q batch=5\nqueue.send('q', 1)", "queue.send('q', 1)"),
        ("%%trigger x topic t\npubsub.publish('t', 1)", "pubsub.publish('t', 1)"),
    ],
)
def test_a_script_that_triggers_itself_ends_in_a_dead_letter(lua: Lua, world: World, cell: str, start: str) -> None:
    world.publish(cell, f"%%trigger dl dead_letter\n{SEE}")
    lua(start)
    assert world.work() == 18
    assert [(trigger, code, attempts) for _, _, trigger, code, attempts, _ in world.letters()] == [
        ("x", "recursion_limit", 0)
    ]
    [event] = world.seen()
    assert event["dead_letter"]["code"] == "recursion_limit"
    assert world.count("events") == 0
    world.publish(cell)
    assert (world.runnable(), len(world.letters())) == (None, 1)


def test_a_dead_letter_trigger_that_redrives_or_repeats_comes_to_an_end(lua: Lua, world: World) -> None:
    world.publish(
        "%%trigger x topic t retries=0\nerror('no')",
        "%%trigger held topic t retries=1 backoff=3600\nerror('no')",
        "%%trigger dl dead_letter\ndead_letters.redrive(event.dead_letter.id) pubsub.publish('t', 1)",
    )
    lua("pubsub.publish('t', 1)")
    world.work(3000)
    assert world.rows("SELECT count(*) > 0 FROM dead_letters WHERE code = 'recursion_limit'") == [(True,)]


# two apps --------------------------------------------------------------------------------------------------------


def test_apps_with_the_same_names_never_see_each_others_events(lua: Lua, open_app: OpenApp, world: World) -> None:
    theirs = open_app("theirs")
    cells = (KV, QUEUE, f"%%trigger t topic t\n{SEE}", f"%%trigger d docs notes\n{SEE}")
    world.publish(*cells)
    world.publish(*cells, app="theirs")
    source = (
        "kv.set('user:1', {0}) queue.send('mails', {0}) pubsub.publish('t', {0}) docs.insert('notes', {{ n = {0} }})"
    )
    theirs(source.format(2))
    lua(source.format(1))
    world.work()
    for app, number in (("shop", 1), ("theirs", 2)):
        seen = world.seen(app)
        assert len(seen) == 4
        assert {e.get("value") or e.get("message") or e["after"]["n"] for e in seen} == {number}


def test_a_run_cannot_redrive_a_letter_of_another_app(lua: Lua, open_app: OpenApp, world: World) -> None:
    theirs = open_app("theirs")
    world.publish(FRAGILE)
    world.publish(FRAGILE, app="theirs")
    theirs("kv.set('user:1', 1)")
    world.work()
    identity = letter_of(world)
    for call in ("get", "redrive", "discard"):
        assert not lua(f"return dead_letters.{call}('{identity}')")
    [(app_id,)] = world.rows("SELECT app_id FROM dead_letters")
    [(ours,)] = world.rows("SELECT id FROM apps WHERE name = 'shop'")
    with world.platform.runs.connection() as connection:
        connection.execute("SELECT set_config('picloud.app_id', %s, false)", [str(ours)])
        for app in (app_id, ours):
            row = connection.execute("SELECT picloud_redrive(%s, %s, NULL, NULL, 'x')", [app, identity]).fetchone()
            assert row == (None,)
    assert [state for *_, state in world.letters()] == ["open"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO procrastinate_jobs (task_name) VALUES ('picloud.deliver')",
        "SELECT count(*) FROM procrastinate_jobs",
        "DELETE FROM triggers",
        "SELECT picloud_fan_out(e) FROM events AS e",
        "SELECT picloud_defer(d) FROM deliveries AS d",
    ],
)
def test_runs_have_no_way_to_jobs_and_triggers(lua: Lua, world: World, statement: str) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    [(ours,)] = world.rows("SELECT id FROM apps WHERE name = 'shop'")
    with world.platform.runs.connection() as connection:
        connection.execute("SELECT set_config('picloud.app_id', %s, false)", [str(ours)])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_an_app_goes_with_its_triggers_and_events(lua: Lua, world: World, open_app: OpenApp) -> None:
    theirs = open_app("theirs")
    theirs("kv.set('user:1', 1)")
    world.publish(KV, QUEUE, f"%%trigger d docs notes\n{SEE}", "%%trigger f topic t retries=0\nerror('no')")
    lua("pubsub.publish('t', 1)")
    world.work()
    lua("kv.set('user:1', 1) docs.insert('notes', {}) queue.send('mails', 1)")
    world.platform.apps.delete("shop")
    for table in ("events", "deliveries", "dead_letters", "triggers"):
        assert world.count(table) == 0
    world.work()
    assert (world.runnable(), world.count("kv_entries")) == (None, 1)


# what is refused -------------------------------------------------------------------------------------------------


def test_triggers_refuse_modules_and_scripts_that_are_not_in_the_app(world: World) -> None:
    world.publish("%%module helper\nreturn {}", KV)
    world.publish("%%module helper2\nreturn {}", app="theirs")
    before = world.platform.publisher.live("shop")
    for script, publish_says, edit_says in (
        ("helper", "'helper' is a module", "'helper' is a module"),
        ("helper2", "no script 'helper2' in this app", "has no script 'helper2'"),
        ("nobody", "no script 'nobody' in this app", "has no script 'nobody'"),
    ):
        trigger = Trigger("t", TriggerKind.TOPIC, "t", script)
        manifest = replace(before, triggers=(trigger,))
        with pytest.raises(InvalidTrigger, match=publish_says):
            world.platform.publisher.publish("shop", manifest, author="test")
        with pytest.raises((Conflict, NotFound), match=edit_says):
            world.platform.publisher.edit("shop", put_trigger(trigger), author="test")
    assert world.platform.publisher.live("shop") == before


def test_the_database_refuses_scripts_of_another_app(world: World) -> None:
    world.publish(KV)
    world.publish(app="theirs")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        world.rows(
            "INSERT INTO triggers (app_id, name, kind, source, operations, script_id, options) "
            "SELECT a.id, 't', 'topic', 't', '{}', s.id, '{}' FROM apps AS a, scripts AS s "
            "WHERE a.name = 'theirs' AND s.name = 'onkv'"
        )


def test_an_endpoint_a_trigger_runs_cannot_become_a_module(world: World) -> None:
    world.publish(KV)
    with pytest.raises(Conflict, match="while routes or triggers lead to it: trigger onkv"):
        world.platform.publisher.edit("shop", put_script(Script("onkv", ScriptKind.MODULE, "return {}")), author="test")


def test_a_queue_has_one_trigger(world: World) -> None:
    with pytest.raises(InvalidTrigger, match="both take the queue mails"):
        world.publish(QUEUE, f"%%trigger second queue mails\n{SEE}")


def test_a_job_of_what_is_gone_does_nothing(lua: Lua, world: World) -> None:
    world.publish(QUEUE)
    lua("queue.send('mails', 1)")
    job = world.runnable()
    assert job is not None
    number, key = job
    world.platform.deliverer.deliver(key, number)
    world.platform.deliverer.deliver(key, number)
    world.platform.deliverer.deliver(Key(uuid4(), uuid4(), "x"), 1)
    assert len(world.seen()) == 1
