"""`queue`, `pubsub` and `dead_letters`: what is sent is kept, once, in the transaction of the run that sends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest

from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind
from picloud.platform import Platform
from tests.integration.letters import bury as put_letter
from tests.integration.sdk.conftest import Lua
from tests.integration.sdk.naughty import NAUGHTY
from tests.integration.sdk.test_kv import quoted

OpenApp = Callable[[str], Lua]


def stored(platform: Platform, kind: str = "queue") -> list[tuple[str, bool, bytes, float]]:
    """Name, form, payload and delay of what is kept, in the order it will be delivered in."""
    with platform.database.connection() as connection:
        return connection.execute(
            "SELECT name, is_json, payload, extract(epoch FROM due_at - sent_at)::float8 FROM events "
            "WHERE kind = %s ORDER BY due_at, number",
            [kind],
        ).fetchall()


def watch(platform: Platform, app: str, kind: str, source: str) -> None:
    """Put a trigger there."""
    publish = platform.publisher.publish
    script = Script("taker", ScriptKind.ENDPOINT, "return 1")
    publish(app, Manifest((script,), triggers=(Trigger("taker", TriggerKind(kind), source, "taker"),)), author="test")


def test_what_is_sent_is_kept_in_its_order(lua: Lua, platform: Platform) -> None:
    lua("kv.set('x', 1)")
    watch(platform, "shop", "topic", "t.x")
    lua("queue.send('a', { n = 1 }) queue.send('a', 'two\\255') pubsub.publish('t.x', 3) queue.send('b', json.null)")
    assert stored(platform) == [("a", True, b'{"n":1}', 0), ("a", False, b"two\xff", 0), ("b", True, b"null", 0)]
    assert stored(platform, "topic") == [("t.x", True, b"3", 0)]
    assert lua("return { queue.size('a'), queue.size('b'), queue.size('t.x') }") == [2, 1, 0]


def test_a_batch_is_sent_whole_in_its_order(lua: Lua, platform: Platform) -> None:
    ids = lua("return queue.send_many('a', { 'x', 'y', { z = 1 } }, { delay = 60 })")
    assert len(ids) == len(set(ids)) == 3
    assert all(UUID(identity).version == 7 for identity in ids)
    kept = [("a", False, b"x", 60), ("a", False, b"y", 60), ("a", True, b'{"z":1}', 60)]
    assert stored(platform) == kept
    assert "the message has" in lua.fails("queue.send_many('a', { 1, ('x'):rep(2^19) })")
    assert lua("return queue.size('a')") == 3


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_any_text_is_kept_as_it_is(lua: Lua, platform: Platform, text: str) -> None:
    lua(f"local s = {quoted(text)} queue.send('a', s) pubsub.publish('a', {{ s }})")
    assert [payload for _, _, payload, _ in stored(platform)] == [text.encode()]


def test_one_message_with_a_key_waits_at_a_time(lua: Lua, platform: Platform) -> None:
    assert lua("return queue.send('a', 1, { dedupe_key = 'k' }) ~= nil")
    assert lua("return queue.send('a', 2, { dedupe_key = 'k' })") is None
    assert lua("return queue.send('b', 1, { dedupe_key = 'k' }) ~= nil")
    assert lua("return queue.send('a', 3, { dedupe_key = 'K\\0' }) ~= nil")
    with platform.database.connection() as connection:
        connection.execute("DELETE FROM events WHERE name = 'a'")  # delivered
    assert lua("return queue.send('a', 4, { dedupe_key = 'k' }) ~= nil")


def test_of_eight_that_send_one_key_one_is_kept(lua: Lua, open_app: OpenApp) -> None:
    sessions = [open_app("shop") for _ in range(8)]
    barrier = threading.Barrier(8)

    def send(session: Lua) -> int:
        barrier.wait(20)
        return int(session(
            "local n = 0 "
            "for i = 1, 20 do if queue.send('q', i, { dedupe_key = 'k' .. i }) then n = n + 1 end end return n"
        ))  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, sessions)) == 20
    assert lua("return queue.size('q')") == 20


def test_messages_are_part_of_a_transaction(lua: Lua) -> None:
    lua("transaction(function() kv.set('a', 1) queue.send('q', 1) pubsub.publish('t', 1) end)")
    lua.fails("transaction(function() kv.set('a', 2) queue.send('q', 2) queue.send_many('q', { 3 }) error('no') end)")
    assert lua("return { kv.get('a'), queue.size('q') }")[0] == 1
    assert lua("return queue.size('q')") == 1
    assert lua("""
        transaction(function()
          queue.send("q", 1, { dedupe_key = "k" })
          assert(queue.send("q", 1, { dedupe_key = "k" }) == nil)
          kv.set("after", true)
        end)
        return kv.get("after")
    """) is True  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("queue.send('', 1)", "'' cannot name a queue"),
        ("queue.send('a b', 1)", "cannot name a queue"),
        ("queue.send('a\\n', 1)", "cannot name a queue"),
        ("queue.send('1a', 1)", "cannot name a queue"),
        ("queue.send('ä', 1)", "cannot name a queue"),
        ("queue.send(('a'):rep(129), 1)", "cannot name a queue"),
        ("queue.send('\\255', 1)", "name is not UTF-8 text"),
        ("pubsub.publish('a/b', 1)", "cannot name a topic"),
        ("queue.send('a')", "message must be a value, or json.null, got nil"),
        ("queue.send('a', ('x'):rep(2^18 + 1))", "more than the 262144 allowed"),
        ("pubsub.publish('a', { ('x'):rep(2^18) })", "more than the 262144 allowed"),
        ("queue.send('a', 1, { delay = -1 })", "delay must be from 0"),
        ("queue.send('a', 1, { delay = 1e9 })", "delay must be from 0"),
        ("queue.send('a', 1, { delay = 0/0 })", "delay must be from 0"),
        ("queue.send('a', 1, { dedupe_key = '' })", "dedupe_key has 1 to 256 bytes"),
        ("queue.send('a', 1, { dedupe_key = ('x'):rep(257) })", "dedupe_key has 1 to 256 bytes"),
        ("queue.send_many('a', 'x')", "messages must be a list, got string"),
        ("local t = {} for i = 1, 1001 do t[i] = i end queue.send_many('a', t)", "more than 1000 messages"),
        ("local t = {} for i = 1, 20 do t[i] = ('x'):rep(2^18) end queue.send_many('a', t)", "bytes in all"),
        ("dead_letters.get('x\\0')", "this is no id"),
        ("dead_letters.list({ limit = 0 })", "limit must be from 1 to 100"),
        ("dead_letters.list({ cursor = 'x' })", "the cursor is none"),
        ("dead_letters.list({ cursor = ('9'):rep(5000) .. '/x' })", "the cursor is none"),
        (f"dead_letters.list({{ cursor = '{10**22}/{UUID(int=1)}' }})", "the cursor is none"),
        (f"dead_letters.list({{ cursor = '1_0/{UUID(int=1)}' }})", "the cursor is none"),
    ],
)
def test_what_cannot_be_is_said(lua: Lua, source: str, message: str) -> None:
    assert message in lua.fails(source)
    assert lua("return queue.size('a')") == 0


# dead letters ----------------------------------------------------------------------------------------------------


def bury(platform: Platform, app: str, number: int = 1, minute: int = 0, payload: bytes = b"{}") -> UUID:
    """Put a dead letter there, as the worker does."""
    failed_at = datetime(2026, 1, 1, 0, minute, 0, 123457, tzinfo=UTC)
    sent_at = datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    return put_letter(
        platform, app, name=f"q{number}", trigger="mails", script="mailer", payload=payload, sent_at=sent_at,
        failed_at=failed_at,
    )  # fmt: skip


def test_a_dead_letter_is_read_and_sent_again(lua: Lua, platform: Platform) -> None:
    lua("return queue.size('q1')")
    identity = bury(platform, "shop", payload=b'{"to":"ada"}')
    letter = lua(f"return dead_letters.get('{identity}')")
    assert UUID(letter["event_id"])
    assert letter == {
        "id": str(identity), "event_id": letter["event_id"], "trigger": "mails",
        "kind": "queue", "name": "q1", "message": {"to": "ada"}, "script": "mailer",
        "code": "script_runtime_error", "error": "no luck", "attempts": 3, "sent_at": 1767225600.5,
        "failed_at": 1767225600.123457,
    }  # fmt: skip
    assert lua("return dead_letters.list()[1]") == letter
    assert lua(f"return dead_letters.redrive('{identity}')")
    assert lua(f"return dead_letters.redrive('{identity}')") is False
    assert lua("return { #dead_letters.list(), queue.size('q1') }") == [0, 1]
    assert [payload for _, _, payload, _ in stored(platform)] == [b'{"to":"ada"}']


def test_a_dead_letter_is_discarded(lua: Lua, platform: Platform) -> None:
    lua("return 1")
    lua("kv.set('x', 1)")
    identity = bury(platform, "shop")
    assert lua(f"return dead_letters.discard('{identity}')")
    assert lua(f"return dead_letters.discard('{identity}')") is False
    assert lua("return #dead_letters.list()") == 0


def test_dead_letters_come_newest_first_and_once(lua: Lua, platform: Platform) -> None:
    lua("kv.set('x', 1)")
    for number in range(25):
        bury(platform, "shop", number, minute=number // 3)
    listed = lua("""
        local names, cursor = {}, nil
        repeat
          local page
          page, cursor = dead_letters.list({ limit = 4, cursor = cursor })
          for _, letter in ipairs(page) do names[#names + 1] = { letter.name, letter.failed_at } end
        until not cursor
        return names
    """)
    assert sorted(name for name, _ in listed) == sorted(f"q{number}" for number in range(25))
    times = [failed_at for _, failed_at in listed]
    assert times == sorted(times, reverse=True)


def test_a_redrive_that_is_undone_leaves_the_letter(lua: Lua, platform: Platform) -> None:
    lua("kv.set('x', 1)")
    identity = bury(platform, "shop")
    lua.fails(f"transaction(function() dead_letters.redrive('{identity}') error('no') end)")
    assert lua("return { #dead_letters.list(), queue.size('q1') }") == [1, 0]


def test_apps_do_not_see_each_others_messages(lua: Lua, open_app: OpenApp, platform: Platform) -> None:
    theirs = open_app("theirs")
    theirs("queue.send('q1', 1, { dedupe_key = 'k' })")
    identity = bury(platform, "theirs")
    assert lua("return queue.size('q1')") == 0
    assert lua("return queue.send('q1', 1, { dedupe_key = 'k' }) ~= nil")
    assert lua("return #dead_letters.list()") == 0
    for call in ("get", "redrive", "discard"):
        assert not lua(f"return dead_letters.{call}('{identity}')")
    assert theirs("return { #dead_letters.list(), queue.size('q1') }") == [1, 1]
