"""What a script can try with the SDK's arguments, its transactions and its connection."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from contextlib import closing, suppress

import pytest
from pydantic import SecretStr

from picloud.errors import DatabaseUnavailable, PicloudError, PlatformError, ScriptError, TimeLimitExceeded
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.storage import data as storage
from picloud.storage.data import DataSession
from tests.integration.sdk.conftest import Lua

OpenApp = Callable[[str], Lua]

# arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "kv.get_many(list)",
        "queue.send_many('q', list)",
        "kv.set_many(map)",
        "kv.commit({ set = map })",
        "kv.commit({ delete = list })",
        "kv.commit({ checks = map })",
    ],
)
def test_one_string_named_often_does_not_become_as_much_memory(lua: Lua, call: str) -> None:
    """A list of references costs Lua little; what would cross is counted before it does."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = lua.fails(f"""
        local s, list, map = ("x"):rep(2^20), {{}}, {{}}
        for i = 1, 100000 do list[i], map["k" .. i] = s, s end
        {call}
    """)
    assert "the arguments have more than 8388608 bytes in all" in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_what_was_counted_is_not_forgotten_by_a_call_in_between(lua: Lua) -> None:
    message = lua.fails("""
        local s = ("x"):rep(2^20)
        local list = setmetatable({}, { __len = function() return 1000 end, __index = function()
          kv.get_many({ "a" })
          return s
        end })
        queue.send_many("q", list)
    """)
    assert "in all" in message


def test_a_long_string_is_refused_before_it_crosses(lua: Lua) -> None:
    for call in ("hex.encode(s)", "base64.decode(s)", "kv.get(s)", "url.encode(s)"):
        assert "has more than 16777216 bytes" in lua.fails(f"local s = ('x'):rep(2^24 + 1) {call}")


def test_an_object_that_answers_otherwise_the_second_time_is_asked_once(lua: Lua) -> None:
    fickle = """
        local asked = 0
        local options = setmetatable({}, { __index = function(_, name)
          if name ~= NAME then return nil end
          asked = asked + 1
          if asked == 1 then return FIRST end
          return { decode = function() while true do end end }
        end })
    """
    for name, first, call in [
        ("cursor", "nil", "kv.list('', options)"),
        ("dedupe_key", "'k'", "queue.send('q', 1, options)"),
        ("ttl", "5", "kv.set('k', 1, options)"),
        ("if_version", "7", "kv.delete('k', options)"),
    ]:
        source = fickle.replace("NAME", repr(name)).replace("FIRST", first)
        assert lua(f"{source} pcall(function() {call} end) return asked") == 1, name


@pytest.mark.parametrize("length", ["2.5", "-1", "{}", "0/0", "math.huge", "1e300"])
def test_lists_with_a_length_of_their_own(lua: Lua, length: str) -> None:
    source = f"local t = setmetatable({{ 'a', 'b' }}, {{ __len = function() return {length} end }})"
    assert "kv.get_many" in lua.fails(f"{source} kv.get_many(t)")
    assert "queue.send_many" in lua.fails(f"{source} queue.send_many('q', t)")


def test_a_length_that_is_a_whole_float_counts(lua: Lua) -> None:
    assert lua(
        "kv.set_many({ a = 1, b = 2 }) local t = setmetatable({ 'a', 'b' }, { __len = function() return 2.0 end }) "
        "return kv.get_many(t)"
    ) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "value", ["print", "coroutine.create(print)", "setmetatable({}, { __tostring = function() return 'x' end })", "{}"]
)
def test_nothing_but_scalars_crosses(lua: Lua, value: str) -> None:
    for call in (
        "hex.encode(v)", "kv.get(v)", "kv.get_many({ v })", "kv.list(v)", "kv.incr('k', v)", "queue.send(v, 1)",
        "kv.set('k', 1, { ttl = v })", "random.bytes(v)", "time.format(v)", "url.parse(v)", "docs.get('c', v)",
        "regex.test(v, 'x')", "dead_letters.get(v)",
    ):  # fmt: skip
        assert lua.fails(f"local v = {value} {call}").startswith(call.partition("(")[0] + ": "), call


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("url.encode_query({ [name] = list })", "a query of more than 10000 fields or 1048576 bytes"),
        ("url.encode_query({ [('x'):rep(9)] = many })", "a query of more than 10000 fields"),
        ("url.build({ scheme = 'http', hostname = 'a', query = { [name] = list } })", "a query of more than"),
        ("url.encode_query({ ('x'):rep(2^20) })", "more than"),
        (
            "local s = ('x'):rep(2^20) docs.insert('c', { a = { s, s, s } })",
            "value has more than 2097152 bytes as JSON",
        ),
        ("docs.find('c', { filter = { a = { ('x'):rep(2^21) } } })", "filter has more than 2097152 bytes as JSON"),
        (
            "local f = {} for i = 1, 50 do f[i] = { a = { contains = ('x'):rep(250) } } end "
            "docs.find('c', { filter = { ['or'] = f } })",
            "'contains' have more than 256 bytes in all",
        ),
    ],
)
def test_a_small_argument_does_not_make_much_work(lua: Lua, source: str, message: str) -> None:
    prepare = """
        local name, list, many = ("x"):rep(50000), {}, {}
        for i = 1, 6000 do list[i] = 1 end
        for i = 1, 11000 do many[i] = 1 end
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert message in lua.fails(prepare + source)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("hostname", ["ev%69l.com", "evil.com%2f", "a|b", "a/b", "a@b", "a:1", ""])
def test_a_hostname_is_the_one_its_text_names_or_refused(lua: Lua, hostname: str) -> None:
    made = lua(
        f"local ok, address = pcall(url.build, {{ scheme = 'https', hostname = '{hostname}', path = '/x' }}) "
        "return ok and url.parse(address).hostname"
    )
    assert made is False


# transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_cannot_be_left_by_yielding(lua: Lua) -> None:
    message = lua.fails("""
        local co = coroutine.wrap(function() transaction(function() kv.set("a", 1) coroutine.yield() end) end)
        co()
    """)
    assert message.endswith("transaction: its function cannot yield")
    assert lua("kv.set('b', 2) return { kv.exists('a'), kv.exists('b') }") == [False, True]
    assert lua("""
        local seen = {}
        transaction(function() -- coroutines within are fine
          local co = coroutine.wrap(function() kv.set("c", 1) coroutine.yield(1) kv.set("d", 1) return 2 end)
          seen[1], seen[2] = co(), co()
        end)
        return { seen[1], seen[2], kv.exists("c"), kv.exists("d") }
    """) == [1, 2, True, True]  # fmt: skip


def test_overlapping_coroutines_cannot_mix_their_transactions(lua: Lua) -> None:
    assert lua("""
        local function write(key) return coroutine.create(function()
          return pcall(transaction, function() kv.set(key, 1) coroutine.yield() error("no") end)
        end) end
        local one, two = write("one"), write("two")
        coroutine.resume(one) coroutine.resume(two) coroutine.resume(one) coroutine.resume(two)
        kv.set("after", 1)
        return { kv.exists("one"), kv.exists("two"), kv.exists("after") }
    """) == [False, False, True]  # fmt: skip


def test_a_failed_transaction_says_so_until_it_is_left(lua: Lua, platform: Platform) -> None:
    with closing(DataSession(platform.runs, platform.apps.create("raw"), lambda: 10.0)) as session:
        session.begin()
        with pytest.raises(PlatformError):
            session.fetch("SELECT 1 / 0", {})
        for call in (session.begin, lambda: session.fetch("SELECT 1", {})):
            with pytest.raises(PicloudError, match="has failed already"):
                call()
        session.rollback()
        assert session.fetch("SELECT 1", {}) == [(1,)]


def test_inner_transactions_that_are_undone_leave_nothing_behind(lua: Lua, platform: Platform) -> None:
    with closing(DataSession(platform.runs, platform.apps.create("raw"), lambda: 10.0)) as session:
        session.begin()
        for _ in range(50):
            session.begin()
            session.rollback()
        with pytest.raises(PlatformError):
            session.fetch("ROLLBACK TO SAVEPOINT level_1", {})


@pytest.mark.parametrize(
    "way", ["while true do end", "local t = {} while true do t[#t + 1] = ('x'):rep(1e4) .. #t end"]
)
def test_an_endpoint_stopped_within_a_transaction_leaves_nothing_to_the_test_that_called_it(
    database_url: str, platform: Platform, way: str
) -> None:
    settings = Settings(
        home=platform.settings.home, database_url=SecretStr(database_url), run_timeout_s=1.0, run_memory_mb=8
    )
    with open_platform(settings) as small:
        session = small.interactive("shop", lambda _text: None)
        session.define(
            Script("half", ScriptKind.ENDPOINT, f"transaction(function() kv.set('half', 1) {way} end)"),
            (Route("GET", "/half", "half"),),
        )
        source = """
            kv.set("before", 1)
            transaction(function()
              assert(call("GET", "/half").status == 500)
              kv.set("within", 1)
            end)
            expect(kv.exists("half")):equals(false)
            expect(kv.exists("within")):equals(true)
            pcall(transaction, function() kv.set("undone", 1) error("no") end)
            expect(kv.exists("undone")):equals(false)
            expect(kv.exists("before")):equals(true)
        """
        if way.startswith("while"):  # the test has no time left then
            source = "pcall(call, 'GET', '/half')"
        result = session.test(TestSource("t", source))
        if not way.startswith("while"):
            assert result.error is None, result.error
        session.run("kv.set('alive', 1)")
        assert session.run("return #kv.list('')")[0].text == "1"


# the connection --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["set_statement_timeout", "set_app"])
def test_a_connection_that_was_not_made_ready_is_not_used(
    platform: Platform, lua: Lua, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Else a test's writes would stay, or a run would see another app's rows."""
    lua("kv.set('k', 'ours')")
    app = platform.apps.create("theirs")
    statements = dict(storage._SQL)
    monkeypatch.setattr(storage, "_SQL", statements | {broken: "SELECT 1 / 0"})
    session = DataSession(platform.runs, app, lambda: 3.0, discard=True)
    for _ in range(2):
        with pytest.raises(PlatformError):
            session.fetch("SELECT 1", {})
    monkeypatch.setattr(storage, "_SQL", statements)
    with closing(session):
        assert session.fetch("SELECT count(*) FROM kv_entries", {}) == [(0,)]
        assert session.depth == 1
    assert lua("return (kv.get('k'))") == "ours"


def test_a_run_that_ends_late_leaves_its_successor_time(platform: Platform, lua: Lua) -> None:
    lua("kv.set('k', 1)")
    app = platform.apps.get("shop")
    for left_s in (0.0, 0.02, 0.5):
        late = DataSession(platform.runs, app, lambda left_s=left_s: left_s)  # type: ignore[misc]
        with closing(late), suppress(TimeLimitExceeded):
            late.fetch("SELECT 1", {})
        with platform.runs.lend() as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_run_waits_for_a_connection_no_longer_than_it_may_take(database_url: str, platform: Platform) -> None:
    settings = Settings(
        home=platform.settings.home, database_url=SecretStr(database_url), run_timeout_s=0.3, threads=1,
        database_pool_size=1, database_timeout_s=60,
    )  # fmt: skip
    with open_platform(settings) as narrow, narrow.runs.lend():
        waiting = narrow.interactive("shop", lambda _text: None)
        narrow.apps.create("shop")
        finished = threading.Event()

        def wait() -> None:
            with suppress(ScriptError, DatabaseUnavailable):
                waiting.run("kv.get('k')")
            finished.set()

        threading.Thread(target=wait, daemon=True).start()
        assert finished.wait(20)


def test_what_others_committed_is_seen_whatever_the_server_s_default(database_url: str, platform: Platform) -> None:
    """An index declared while a transaction runs must hold what that transaction writes afterwards."""
    with platform.database.connection() as connection:
        [name] = connection.execute("SELECT current_database()").fetchone() or [None]
    with platform.database.lend() as connection:
        connection.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")
    settings = Settings(home=platform.settings.home, database_url=SecretStr(database_url))
    with open_platform(settings) as strict:
        other = Lua(strict.interactive("shop", lambda _text: None))
        other("docs.insert('c', { y = 1 })")
        writer = strict.interactive("shop", lambda _text: other("docs.index('c', 'y')"))
        writer.run("transaction(function() docs.count('d') print('now') docs.insert('c', { y = 7 }) end)")
        assert other("return docs.count('c', { filter = { y = 7 } })") == 1


def test_declaring_an_index_again_waits_for_nobody(platform: Platform, open_app: OpenApp) -> None:
    other = open_app("shop")
    other("docs.index('c', 'y')")
    asked: list[bool] = []
    holder = platform.interactive("shop", lambda _text: asked.append(other("return docs.index('c', 'y')")))
    holder.run("transaction(function() docs.insert('c', { y = 1 }) print('now') docs.index('c', 'y') end)")
    assert asked == [False]


def test_an_unexpected_error_of_the_database_shows_nothing_of_it(platform: Platform, lua: Lua) -> None:
    with closing(DataSession(platform.runs, platform.apps.create("raw"), lambda: 10.0)) as session:
        with pytest.raises(PlatformError) as failed:
            session.fetch("SELECT secret FROM nowhere", {})
        assert "nowhere" not in failed.value.message
        assert "nowhere" in str(failed.value.__cause__)
