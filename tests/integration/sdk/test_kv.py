"""`kv` on a real database: what is set is there, once and unchanged, for its app alone, until it expires."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, LiteralString

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from picloud.errors import DatabaseUnavailable, ScriptError, TimeLimitExceeded
from picloud.model.release import Manifest, TestSource
from picloud.platform import Platform, open_platform
from picloud.sdk import functions
from picloud.settings import Settings
from picloud.storage.data import DataSession
from picloud.storage.kv import delete_expired
from tests.integration.sdk.conftest import Lua
from tests.integration.sdk.naughty import NAUGHTY

OpenApp = Callable[[str], Lua]


def quoted(data: bytes | str) -> str:
    """Return a Lua string of these bytes."""
    raw = data.encode() if isinstance(data, str) else data
    return '"' + "".join(f"\\{byte:03d}" for byte in raw) + '"'


@pytest.mark.parametrize(
    "value", ["1", "-0.5", "2^53", "9223372036854775807", "true", "false", "json.null", "''", "{}", "json.array{}",
              "{ a = { b = { 1, 2, { c = false } } } }", "1e15", "1e300", "'text'"],
)  # fmt: skip
def test_what_json_can_hold_comes_back(lua: Lua, value: str) -> None:
    assert lua(f"kv.set('k', {value}) return json.encode((kv.get('k'))) == json.encode({value})")
    assert lua("return type((kv.get('k'))) .. tostring(math.type((kv.get('k'))))") == lua(
        f"local v = {value} return type(v) .. tostring(math.type(v))"
    )


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_any_text_comes_back_as_value_and_as_key(lua: Lua, text: str) -> None:
    assert lua(
        f"local s = {quoted(text)} kv.set('k', s) kv.set('t', {{ s }}) return kv.get('k') == s and kv.get('t')[1] == s"
    )
    if 0 < len(text.encode()) <= 1024:
        assert lua(f"local s = {quoted(text)} kv.set(s, 7) return kv.get(s) == 7 and kv.list(s)[1].key == s")


def test_strings_may_have_any_bytes(lua: Lua) -> None:
    every = quoted(bytes(range(256)))
    assert lua(f"local s = {every} kv.set(s, s) return kv.get(s) == s and kv.get_many({{ s }})[s] == s")
    assert lua(f"local s = {every} return kv.list('')[1].value == s")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("kv.get('')", "kv.get: a key has 1 to 1024 bytes, this one 0"),
        ("kv.set(('x'):rep(1025), 1)", "kv.set: a key has 1 to 1024 bytes, this one 1025"),
        ("kv.set('k', ('x'):rep(2^20 + 1))", "kv.set: the value has 1048577 bytes"),
        ("kv.set('k', { ('x'):rep(2^20) })", "kv.set: the value has 1048580 bytes"),
        ("kv.set('k', nil)", "kv.set: value must be a value, or json.null, got nil"),
        ("kv.set('k', print)", "which JSON cannot hold"),
        ("kv.set('k', { [1] = 1, x = 2 })", "mixes keys"),
        ("local t = {} t.t = t kv.set('k', t)", "contains itself"),
        ("kv.set('k', { '\\xff' })", "not UTF-8"),
        ("kv.set('k', 0/0)", "JSON has no such number"),
        ("kv.set(5, 1)", "kv.set: key must be a string, got number"),
        ("kv.set('k', 1, 60)", "kv.set: options must be a table, got number"),
        ("kv.set('k', 1, { tll = 60 })", "there is no option 'tll'; the options are if_version, only_if_absent, ttl"),
        ("kv.set('k', 1, { ttl = '60' })", "kv.set: ttl must be a number, got string"),
        ("kv.set('k', 1, { ttl = 0 })", "ttl must be more than 0"),
        ("kv.set('k', 1, { ttl = -1 })", "ttl must be more than 0"),
        ("kv.set('k', 1, { ttl = 0/0 })", "ttl must be more than 0"),
        ("kv.set('k', 1, { ttl = math.huge })", "ttl must be more than 0"),
        ("kv.set('k', 1, { if_version = 1.5 })", "if_version must be an integer"),
        ("kv.set('k', 1, { if_version = 1, only_if_absent = true })", "exclude each other"),
        ("kv.incr('k', 0.5)", "kv.incr: by must be an integer, got 0.5"),
        ("kv.set('k', 'x') kv.incr('k')", "does not hold an integer"),
        ("kv.set('k', 1.5) kv.incr('k')", "does not hold an integer"),
        ("kv.set('k', { 1 }) kv.incr('k')", "does not hold an integer"),
        ("kv.set('k', '5') kv.incr('k')", "does not hold an integer"),
        ("kv.set('k', math.maxinteger) kv.incr('k')", "more than 64 bits"),
        ("kv.set('k', math.mininteger) kv.incr('k', -1)", "more than 64 bits"),
        ("kv.list('', { limit = 0 })", "limit must be from 1 to 1000"),
        ("kv.list('', { limit = 1001 })", "limit must be from 1 to 1000"),
        ("kv.list('', { cursor = '!' })", "the cursor is none that kv.list gave"),
        ("kv.get_many('a')", "keys must be a list of strings, got string"),
        ("kv.get_many({ 1 })", "keys[1] must be a string, got number"),
        ("local t = {} for i = 1, 1001 do t[i] = 'k' .. i end kv.get_many(t)", "more than 1000 keys"),
        ("kv.set_many({ 'a' })", "a key of entries must be a string, got number"),
        ("local t = {} for i = 1, 5 do t['k' .. i] = ('x'):rep(2^20) end kv.set_many(t)", "of one call"),
        ("kv.commit({ checks = { k = true } })", "must be a version, or false"),
        ("kv.commit({ checks = { k = 'x' } })", "must be a version, or false"),
        ("kv.commit({ set = { k = 1 }, delete = { 'k' } })", "is to be set and deleted"),
        ("kv.commit({ sets = { k = 1 } })", "there is no option 'sets'"),
        ("transaction(1)", "transaction: body must be a function"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(lua: Lua, source: str, message: str) -> None:
    assert message in lua.fails(source)


def test_conditions(lua: Lua) -> None:
    assert lua("return kv.set('a', 1, { only_if_absent = true }) ~= nil")
    assert lua("return kv.set('a', 2, { only_if_absent = true })") is None
    assert lua("return kv.set('b', 1, { if_version = 1 })") is None
    assert lua("return kv.exists('b')") is False
    assert lua(
        "local _, v = kv.get('a') local w = kv.set('a', 3, { if_version = v }) "
        "return w > v and kv.set('a', 4, { if_version = v }) == nil and kv.get('a') == 3"
    )
    assert lua(
        "local _, v = kv.get('a') return kv.delete('a', { if_version = v - 1 }) or kv.delete('a', { if_version = v })"
    )
    assert lua("return kv.delete('a')") is False


def test_versions_never_come_back(lua: Lua) -> None:
    assert lua("""
        local last = 0
        for i = 1, 50 do
          local version = kv.set("k", i)
          if version <= last then return false end
          last = version
          if i % 3 == 0 then kv.delete("k") end
        end
        return true
    """)


def test_integers_in_all_ways_are_counted(lua: Lua) -> None:
    assert lua("kv.incr('n') kv.incr('n', 41) return kv.get('n')") == 42
    assert lua("kv.set('m', math.maxinteger - 1) return kv.incr('m')") == 2**63 - 1
    assert lua("return kv.incr('m', math.mininteger)") == -1
    assert lua("return math.type(kv.incr('m', 2.0))") == "integer"


def expire(platform: Platform, key: bytes) -> None:
    """Let the time of an entry be over."""
    with platform.database.connection() as connection:
        done = connection.execute("UPDATE kv_entries SET expires_at = now() - interval '1 s' WHERE key = %s", [key])
        assert done.rowcount == 1


def test_what_has_expired_is_not_there_for_any_function(lua: Lua, platform: Platform) -> None:
    for call, gives in [
        ("kv.get('k')", None),
        ("kv.exists('k')", False),
        ("kv.delete('k')", False),
        ("kv.set('k', 2, { if_version = version })", None),
        ("kv.set('k', 2, { only_if_absent = true }) ~= nil", True),
        ("kv.incr('k', 7)", 7),
        ("next(kv.get_many({ 'k' })) == nil", True),
        ("#kv.list('')", 0),
        ("kv.commit({ checks = { k = version } })", False),
        ("kv.commit({ checks = { k = false } })", True),
    ]:
        version = lua("return kv.set('k', 1, { ttl = 60 })")
        expire(platform, b"k")
        assert lua(f"local version = {version} return {call}") == gives, call
        lua("kv.delete('k')")


def test_what_has_expired_is_swept_and_the_rest_stays(lua: Lua, platform: Platform) -> None:
    lua("kv.set('old', 1, { ttl = 60 }) kv.set('young', 1, { ttl = 60 }) kv.set('stays', 1)")
    expire(platform, b"old")
    assert delete_expired(platform.database) == 1
    assert lua("return #kv.list('')") == 2


def test_setting_again_without_ttl_makes_it_stay(lua: Lua, platform: Platform) -> None:
    lua("kv.set('k', 1, { ttl = 60 }) kv.set('k', 2) kv.incr('n', 1, { ttl = 60 }) kv.incr('n', 1, { ttl = 999999 })")
    with platform.database.connection() as connection:
        rows = dict(connection.execute("SELECT key, extract(epoch FROM expires_at - now()) FROM kv_entries"))
    assert rows[b"k"] is None
    assert 0 < rows[b"n"] <= 60


def test_a_prefix_is_taken_as_it_stands_and_keys_come_in_the_order_of_their_bytes(lua: Lua) -> None:
    keys = ["a%", "a%b", "aXb", "a_", "ab", "a\\", "a\0", "a\xff", "B", "b", "ä", "\x01", "~"]
    for key in keys:
        lua(f"kv.set({quoted(key.encode('latin-1'))}, 1)")
    lua("kv.set('\\255', 1) kv.set('\\255\\255x', 1)")
    listed = "local t = {} for i, e in ipairs(kv.list(%s)) do t[i] = hex.encode(e.key) end return json.array(t)"
    raw = sorted([*(key.encode("latin-1") for key in keys), b"\xff", b"\xff\xffx"])
    for prefix in (b"", b"a", b"a%", b"a_", b"a\\", b"\xff", b"\xff\xff", b"none", b"a\xff"):
        expected = [key.hex() for key in raw if key.startswith(prefix)]
        assert lua(listed % quoted(prefix)) == expected, prefix


def test_pages_hold_everything_once_while_others_write(lua: Lua, open_app: OpenApp) -> None:
    lua("for i = 100, 199 do kv.set('k' .. i, i) end")
    other = open_app("shop")
    seen: list[str] = []
    cursor: str | None = None
    for page in range(100):
        options = "{ limit = 7" + (f", cursor = '{cursor}'" if cursor else "") + " }"
        entries, cursor = lua(
            f"local e, c = kv.list('k', {options}) local t = {{}} for i, x in ipairs(e) do t[i] = x.key end "
            "return { json.array(t), c or json.null }"
        )
        seen += entries
        other(f"kv.delete('k{90 + page}y') kv.set('k{100 + page * 7 % 100}y', 1) kv.set('a{page}', 1) kv.set('z', 1)")
        if cursor is None:
            break
    assert [key for key in seen if not key.endswith("y")] == [f"k{i}" for i in range(100, 200)]
    assert len(seen) == len(set(seen))


def test_a_page_ends_before_it_grows_too_large(lua: Lua) -> None:
    lua("for i = 1, 9 do kv.set('k' .. i, ('x'):rep(2^20)) end")
    assert lua("local e, c = kv.list('k') return { #e, c ~= nil }") == [4, True]
    assert (
        lua("""
        local cursor, n
        n = 0
        repeat
          local entries
          entries, cursor = kv.list("k", { cursor = cursor })
          n = n + #entries
        until not cursor
        return n
    """)
        == 9
    )
    assert "ask for fewer" in lua.fails("kv.get_many({ 'k1', 'k2', 'k3', 'k4', 'k5' })")


# transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_is_kept_whole_or_not_at_all(lua: Lua, open_app: OpenApp) -> None:
    other = open_app("shop")
    assert lua("return transaction(function() kv.set('a', 1) kv.set('b', 2) return kv.get('a') + kv.get('b') end)") == 3
    message = lua.fails("transaction(function() kv.set('a', 9) kv.delete('b') error('changed my mind') end)")
    assert "changed my mind" in message
    assert other("return { kv.get('a'), (kv.get('b')) }") == [1, 2]


def test_an_inner_transaction_is_undone_alone(lua: Lua) -> None:
    assert lua("""
        transaction(function()
          kv.set("outer", 1)
          pcall(transaction, function() kv.set("inner", 1) error("no") end)
          transaction(function() kv.set("second", 1) end)
        end)
        return { kv.exists("outer"), kv.exists("inner"), kv.exists("second") }
    """) == [True, False, True]  # fmt: skip
    assert "transactions within each other" in lua.fails("local function f() transaction(f) end f()")
    assert lua("return kv.exists('outer')")


WAYS = {
    "an error": "transaction(function() kv.set('k', 2) error('x') end)",
    "the time limit": "transaction(function() kv.set('k', 2) while true do end end)",
    "the memory limit": (
        "transaction(function() kv.set('k', 2) local t = {} while true do t[#t + 1] = ('x'):rep(9) .. #t end end)"
    ),
    "a coroutine left alone": (
        "coroutine.wrap(function() transaction(function() kv.set('k', 2) coroutine.yield() end) end)()"
    ),
}


@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS)
def test_a_run_that_ends_inside_keeps_nothing(database_url: str, platform: Platform, source: str) -> None:
    hasty = Settings(
        home=platform.settings.home, database_url=SecretStr(database_url), run_timeout_s=0.5, run_memory_mb=8
    )
    with open_platform(hasty) as quick:
        lua = Lua(quick.interactive("shop", lambda _text: None))
        lua("kv.set('k', 1)")
        with suppress(ScriptError):
            quick.interactive("shop", lambda _text: None).run(source)
        assert lua("return (kv.get('k'))") == 1


KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_a_lost_connection_undoes_a_transaction_and_the_next_run_works(lua: Lua, platform: Platform) -> None:
    def end_connections(_text: str) -> None:
        with platform.database.connection() as connection:
            connection.execute(KILL)

    lua("kv.set('k', 1)")
    session = platform.interactive("shop", end_connections)
    with pytest.raises(DatabaseUnavailable):
        session.run("transaction(function() kv.set('k', 2) print('inside') kv.set('k', 3) end)")
    assert lua("return (kv.get('k'))") == 1


# apart -----------------------------------------------------------------------------------------------------------


def test_apps_with_the_same_keys_do_not_see_each_other(lua: Lua, open_app: OpenApp, platform: Platform) -> None:
    theirs = open_app("theirs")
    lua("kv.set_many({ a = 'ours', only = 1 })")
    theirs("kv.set('a', 'theirs')")
    assert theirs("return (kv.get('a'))") == "theirs"
    assert theirs("return kv.get('only')") is None
    assert theirs("return #kv.list('')") == 1
    theirs("kv.delete('a') kv.delete('only') kv.incr('a') kv.commit({ set = { only = 2 } })")
    assert lua("return (kv.get('a'))") == "ours"
    platform.apps.delete("theirs")
    assert lua("return #kv.list('')") == 2


def test_the_second_wall_holds_when_a_statement_forgets_the_app(
    lua: Lua, open_app: OpenApp, platform: Platform
) -> None:
    lua("kv.set('a', 'ours')")
    open_app("theirs")("kv.set('a', 'theirs')")
    session = DataSession(platform.runs, platform.apps.get("shop"), lambda: 10.0)
    try:
        assert session.fetch("SELECT value FROM kv_entries", {}) == [(b"ours",)]
        assert session.fetch("DELETE FROM kv_entries RETURNING 1", {}) == [(1,)]
        with pytest.raises(Exception, match="row-level security"):
            session.fetch(
                "INSERT INTO kv_entries (app_id, key, is_json, value, version) VALUES (%(other)s, 'x', true, '1', 1)",
                {"other": platform.apps.get("theirs").id},
                guarded=True,
            )
        statements: list[LiteralString] = ["SELECT 1 FROM apps", "SELECT 1 FROM tokens", "SELECT 1 FROM sources"]
        for statement in [*statements, "SELECT 1 FROM releases", "CREATE TABLE x ()"]:
            with pytest.raises(Exception, match="permission denied"):
                session.fetch(statement, {}, guarded=True)
    finally:
        session.close()
    assert open_app("theirs")("return (kv.get('a'))") == "theirs"


def test_an_app_that_is_deleted_takes_its_data_along(lua: Lua, platform: Platform) -> None:
    lua("kv.set('a', 1)")
    app = platform.apps.get("shop")
    platform.apps.delete("shop")
    with platform.database.connection() as connection:
        [count] = connection.execute("SELECT count(*) FROM kv_entries").fetchone() or [None]
    assert count == 0
    session = DataSession(platform.runs, app, lambda: 10.0)
    with pytest.raises(Exception, match="the app is gone"):
        session.fetch("INSERT INTO kv_entries VALUES (%(app_id)s, 'k', true, '1', 1, NULL)", {})
    session.close()


# tests -----------------------------------------------------------------------------------------------------------


def test_what_a_test_does_is_undone_also_before_the_first_publish(platform: Platform) -> None:
    source = (
        "kv.set('k', 1) expect(kv.get('k')):equals(1) transaction(function() kv.incr('k') end) assert(kv.get('k') == 2)"
    )
    for _ in range(2):
        published = platform.publisher.publish(
            "fresh", Manifest(tests=(TestSource("t", source),)), author="t", create=True
        )
        assert published.release.number == 1
    lua = Lua(platform.interactive("fresh", lambda _text: None))
    assert lua("return kv.exists('k')") is False
    result = lua.session.test(TestSource("t", source + " pcall(kv.incr, 'x') assert(not pcall(kv.set, 'x'))"))
    assert (result.error, result.passed) == (None, True)
    assert lua("return #kv.list('')") == 0
    with platform.database.connection() as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM apps")}
    assert names == {"fresh"}


# concurrency -----------------------------------------------------------------------------------------------------


def race(open_app: OpenApp, source: str, workers: int = 8) -> None:
    """Run a text in several sessions at once."""
    sessions = [open_app("shop") for _ in range(workers)]
    barrier = threading.Barrier(workers)

    def one(lua: Lua) -> None:
        barrier.wait(20)
        lua(source)

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(one, lua) for lua in sessions]:
            done.result()


def test_eight_that_count_lose_nothing(lua: Lua, open_app: OpenApp) -> None:
    lua("kv.set('n', 0)")
    race(open_app, "for i = 1, 50 do kv.incr('n') kv.incr('fresh', 2) end")
    assert lua("return { kv.get('n'), (kv.get('fresh')) }") == [400, 800]


def test_eight_that_compare_and_set_lose_nothing(lua: Lua, open_app: OpenApp) -> None:
    lua("kv.set('list', json.array{})")
    race(open_app, """
        for i = 1, 10 do
          repeat
            local list, version = kv.get("list")
            list[#list + 1] = i
          until kv.set("list", list, { if_version = version })
        end
    """)  # fmt: skip
    assert sorted(lua("return (kv.get('list'))")) == sorted([*range(1, 11)] * 8)


def test_eight_that_move_between_keys_keep_the_sum(lua: Lua, open_app: OpenApp) -> None:
    lua("kv.set_many({ a = 100, b = 100, c = 100 })")
    race(open_app, """
        local keys = { "a", "b", "c" }
        for i = 1, 20 do
          local from, to = keys[i % 3 + 1], keys[(i * 7 + 1) % 3 + 1]
          if from ~= to then
            repeat
              local x, v = kv.get(from)
              local y, w = kv.get(to)
              local done = kv.commit({ checks = { [from] = v, [to] = w }, set = { [from] = x - 1, [to] = y + 1 } })
            until done
          end
        end
    """)  # fmt: skip
    assert sum(lua("local t = kv.get_many({ 'a', 'b', 'c' }) return { t.a, t.b, t.c }")) == 300


def test_one_of_eight_gets_what_must_be_absent(lua: Lua, open_app: OpenApp) -> None:
    race(open_app, """
        for i = 1, 20 do
          if kv.set("first" .. i, 1, { only_if_absent = true }) then kv.incr("winners") end
          local key = "second" .. i
          if kv.commit({ checks = { [key] = false }, set = { [key] = 1 } }) then kv.incr("committers") end
        end
    """)  # fmt: skip
    assert lua("return { kv.get('winners'), (kv.get('committers')) }") == [20, 20]


# a model ---------------------------------------------------------------------------------------------------------

keys = st.sampled_from(["a", "b", "ab", "\0", "%"])
small = st.integers(-5, 5) | st.sampled_from(["x", "", "\0ü"]) | st.lists(st.integers(0, 3), max_size=2)
operations = st.one_of(
    st.tuples(st.just("set"), keys, small),
    st.tuples(st.just("add"), keys, small),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("incr"), keys, st.integers(-3, 3)),
    st.tuples(st.just("many"), st.dictionaries(keys, small, max_size=3)),
    st.tuples(st.just("commit"), keys, st.booleans(), st.dictionaries(keys, small, max_size=2)),
    st.tuples(st.just("fail"), keys, small),
)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "json.array{ " + ", ".join(map(literal, value)) + " }"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{quoted(key)}] = {literal(item)}" for key, item in value.items()) + " }"
    return str(value)


def step(model: dict[str, Any], operation: tuple[Any, ...]) -> tuple[str, Any]:
    """Apply one operation to the model; return its Lua and what it gives."""
    match operation:
        case "set", key, value:
            model[key] = value
            return f"return kv.set({quoted(key)}, {literal(value)}) ~= nil", True
        case "add", key, value:
            absent = key not in model
            model.setdefault(key, value)
            return f"return kv.set({quoted(key)}, {literal(value)}, {{ only_if_absent = true }}) ~= nil", absent
        case "delete", key:
            return f"return kv.delete({quoted(key)})", model.pop(key, None) is not None
        case "incr", key, by:
            if isinstance(model.get(key, 0), int):
                model[key] = model.get(key, 0) + by
                return f"return kv.incr({quoted(key)}, {by})", model[key]
            return f"return (pcall(kv.incr, {quoted(key)}, {by}))", False
        case "many", entries:
            model.update(entries)
            return f"kv.set_many({literal(entries)}) return true", True
        case "commit", key, wanted, entries:
            holds = (key in model) == wanted
            if holds:
                model.update(entries)
            check = f"select(2, kv.get({quoted(key)})) or 1" if wanted else "false"
            return f"return kv.commit({{ checks = {{ [{quoted(key)}] = {check} }}, set = {literal(entries)} }})", holds
        case "fail", key, value:
            body = f"kv.set({quoted(key)}, {literal(value)}) kv.delete('a') error('undo')"
            return f"return (pcall(transaction, function() {body} end))", False
    raise AssertionError(operation)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operations, max_size=12))
def test_any_history_gives_what_a_table_would(lua: Lua, history: list[tuple[Any, ...]]) -> None:
    lua("for _, entry in ipairs(kv.list('')) do kv.delete(entry.key) end")
    model: dict[str, Any] = {}
    for operation in history:
        source, gives = step(model, operation)
        assert lua(source) == gives, operation
    listed = lua("local t = {} for i, e in ipairs(kv.list('')) do t[i] = { e.key, e.value } end return json.array(t)")
    assert listed == [[key, model[key]] for key in sorted(model, key=str.encode)]


def test_functions_return_as_many_values_as_they_say(lua: Lua) -> None:
    for source, count in [
        ("kv.exists('x')", 1),
        ("kv.get('none')", 1),
        ("kv.set('k', 1)", 1),
        ("kv.get('k')", 2),
        ("kv.set_many({ k = 1 })", 0),
        ("hex.encode('x')", 1),
        ("json.encode(1)", 1),
        ("transaction(function() end)", 0),
        ("transaction(function() return 1, nil, nil end)", 3),
    ]:
        assert lua(f"return select('#', {source})") == count, source


def test_no_function_takes_an_app() -> None:
    """What a function works on comes from its run alone."""
    for function in functions():
        names = {parameter.name for parameter in (*function.parameters, *function.options)}
        assert not names & {"app", "app_id", "tenant"}, function.name


# time ------------------------------------------------------------------------------------------------------------


def test_a_run_that_waits_for_a_lock_ends_with_its_time(database_url: str, platform: Platform) -> None:
    """A statement cannot hold a thread past the run's limit: else one app's locks would cost a worker."""
    settings = Settings(home=platform.settings.home, database_url=SecretStr(database_url), run_timeout_s=0.4)
    inside, over = threading.Event(), threading.Event()

    def hold(_text: str) -> None:
        inside.set()
        over.wait(20)

    with open_platform(settings) as hasty, ThreadPoolExecutor(1) as pool:
        Lua(platform.interactive("shop", lambda _text: None))("kv.set('k', 1)")
        holder = platform.interactive("shop", hold)
        holding = pool.submit(holder.run, "transaction(function() kv.set('k', 2) print('inside') end)")
        inside.wait(20)
        waiting = hasty.interactive("shop", lambda _text: None)
        for source in ("kv.set('k', 3)", "kv.get('k') kv.incr('k')"):
            with pytest.raises(TimeLimitExceeded):
                waiting.run(source)
        with pytest.raises(TimeLimitExceeded):
            waiting.run(
                "local t = os.clock() while os.clock() - t < 0.2 do end pcall(kv.set, 'k', 3) while true do end"
            )
        assert not over.is_set()
        over.set()
        holding.result()
        assert waiting.run("return (kv.get('k'))")[0].text == "2"


def test_the_limit_of_statements_follows_the_run_and_survives_what_is_undone(lua: Lua, platform: Platform) -> None:
    remaining = [10.0]
    lua("kv.set('k', 1)")
    session = DataSession(platform.runs, platform.apps.get("shop"), lambda: remaining[0])

    def limit_ms() -> int:
        return int(session.fetch("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'", {})[0][0])

    try:
        for left_s in (10.0, 9.0, 5.0, 1.0, 0.1, 0.0):
            remaining[0] = left_s
            assert max(left_s, 0.01) * 1000 <= limit_ms() <= max(left_s, 0.01) * 1250 + 1
        remaining[0] = 8.0
        session.begin()
        remaining[0] = 2.0
        assert limit_ms() <= 2500
        session.rollback()
        assert limit_ms() <= 2500
    finally:
        session.close()
