"""Looking at dead letters and deciding over them, one or many, as people do: with what the worker made of real runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from picloud.admin import dead_letters
from picloud.admin.dead_letters import DeadLetterAdministration
from picloud.admin.letter_text import letter_lines
from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.app import AppId
from picloud.model.dead_letter import DeadLetter, LetterFilter, LetterState
from picloud.model.trigger import TriggerKind
from picloud.storage.dead_letters import Decided
from picloud.storage.kv import Content
from picloud.testing.processes import wait_until
from picloud.web.api.dead_letter_models import LetterView
from tests.integration.letters import attempt, bury
from tests.integration.sdk.conftest import Lua
from tests.integration.triggers.conftest import SEE, World

ALL = LetterFilter(state=None)


@pytest.fixture
def app_id(lua: Lua, world: World) -> AppId:
    """The app `shop`, which is there."""
    lua("kv.set('x', 1)")
    return world.platform.apps.get("shop").id


@pytest.fixture
def letters(world: World) -> DeadLetterAdministration:
    return world.platform.dead_letters


def only(letters: DeadLetterAdministration, app_id: AppId) -> DeadLetter:
    """The one open letter, whole."""
    [letter], _ = letters.page(app_id, LetterFilter(), limit=10)
    return letters.get(app_id, letter.id)


# looking ---------------------------------------------------------------------------------------------------------


def test_a_letter_tells_input_and_every_attempt(
    lua: Lua, world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    world.publish(
        "%%module deep\nreturn { fail = function() error('boom ü\\0') end }",
        "%%trigger x docs notes retries=1\nlog.info('begins', { n = 1 })\nrequire('deep').fail()",
    )
    lua("docs.insert('notes', { t = 1 }, { id = 'a' })")
    world.finish()
    letter = only(letters, app_id)
    assert (letter.trigger, letter.kind, letter.name, letter.operation) == ("x", TriggerKind.DOCS, "notes", "insert")
    assert (letter.key, letter.payload, letter.before, letter.attempts) == (b"a", b'{"t":1}', None, 2)
    assert (letter.state, letter.decided_by, letter.redriven_as, letter.redrives) == (
        LetterState.OPEN,
        None,
        None,
        None,
    )
    first, second = letter.failures
    assert first.at
    assert second.at
    assert first.at < second.at <= letter.failed_at
    assert (first.code, first.message, first.script, first.line) == ("script_runtime_error", "boom ü\ufffd", "deep", 1)
    [script] = (s for s in world.platform.publisher.live("shop").scripts if s.name == "x")
    assert first.version == script.version
    assert any("x:2" in frame for frame in first.traceback)
    assert first.log == ({"level": "info", "message": "begins", "fields": '{"n":1}'},)
    assert first.used
    assert first.used["wall_ms"] > 0


FAILED = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LetterFilter(), "abc"),
        (ALL, "abcde"),
        (LetterFilter(state=LetterState.REDRIVEN), "d"),
        (LetterFilter(state=LetterState.DISCARDED), "e"),
        (LetterFilter(trigger="mails"), "ab"),
        (LetterFilter(trigger="mail"), ""),
        (LetterFilter(kind=TriggerKind.TOPIC), "c"),
        (LetterFilter(code="time_limit_exceeded"), "b"),
        (LetterFilter(text="100%_ÜBEL"), "a"),
        (LetterFilter(text="%"), "ac"),
        (LetterFilter(text="_Ü"), "a"),
        (LetterFilter(failed_after=FAILED + timedelta(minutes=1)), "bc"),
        (LetterFilter(failed_before=FAILED + timedelta(minutes=1)), "a"),
        (LetterFilter(trigger="mails", failed_after=FAILED + timedelta(minutes=1)), "b"),
        (LetterFilter(ids=()), ""),
    ],
)
def test_letters_are_found_by_what_is_known_of_them(
    world: World, letters: DeadLetterAdministration, app_id: AppId, wanted: LetterFilter, found: str
) -> None:
    rows: tuple[dict[str, Any], ...] = (
        {"trigger": "mails", "message": "a: 100%_übel"},
        {"trigger": "mails", "message": "b", "code": "time_limit_exceeded"},
        {"kind": "topic", "message": "c: 50%"},
        {"message": "d", "state": "redriven"},
        {"message": "e", "state": "discarded"},
    )
    for minute, row in enumerate(rows):
        bury(world.platform, "shop", failed_at=FAILED + timedelta(minutes=minute), **row)
    page, _ = letters.page(app_id, wanted, limit=10)
    assert "".join(letter.message[0] for letter in reversed(page)) == found


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
def test_what_no_letter_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="text without NUL"):
        LetterFilter(text=text)


def test_an_empty_text_does_not_mean_all_letters() -> None:
    fields: tuple[dict[str, Any], ...] = ({"trigger": ""}, {"code": ""}, {"text": ""})
    for field in fields:
        with pytest.raises(InvalidInput, match="must not be empty: leave it out"):
            LetterFilter(**field)


def test_pages_have_each_letter_once_whatever_comes_in_between(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    there = {bury(world.platform, "shop", failed_at=FAILED + timedelta(minutes=n // 3)) for n in range(10)}
    seen: list[DeadLetter] = []
    cursor: str | None = None
    while True:
        page, cursor = letters.page(app_id, ALL, limit=4, cursor=cursor)
        seen += page
        if cursor is None:
            break
        bury(world.platform, "shop")
        letters.discard(app_id, page[0].id, by="ada")
    assert len(seen) == len(there)
    assert {letter.id for letter in seen} == there
    assert [letter.failed_at for letter in seen] == sorted((letter.failed_at for letter in seen), reverse=True)
    for wrong in ("x", "", "1", f"1/{uuid4()}x", f"{'9' * 18}/{uuid4()}", f"{'9' * 19}/{uuid4()}"):
        with pytest.raises(InvalidInput, match="the cursor is none"):
            letters.page(app_id, ALL, limit=4, cursor=wrong)


def test_pages_go_on_from_any_time_there_is(world: World, letters: DeadLetterAdministration, app_id: AppId) -> None:
    times = [datetime(year, 6, 1, 1, 2, 3, 456789, UTC) for year in (2, 1969, 1970, 2026, 2250, 9998)]
    for at in times:
        bury(world.platform, "shop", failed_at=at)
    seen: list[datetime] = []
    cursor: str | None = None
    while len(seen) <= len(times):
        page, cursor = letters.page(app_id, ALL, limit=1, cursor=cursor)
        seen += [letter.failed_at for letter in page]
        if cursor is None:
            break
    assert seen == times[::-1]


def test_an_id_may_be_cut_while_it_names_one(world: World, letters: DeadLetterAdministration, app_id: AppId) -> None:
    one, two = UUID("0193f4a8-1111-7000-8000-000000000000"), UUID("0193f4a8-2222-7000-8000-000000000000")
    for identity in (one, two):
        bury(world.platform, "shop", id=identity)
    assert letters.resolve(app_id, "0193f4a8-1") == letters.resolve(app_id, "0193F4A81") == one
    assert letters.resolve(app_id, str(two)) == two
    with pytest.raises(InvalidInput, match="Several dead letters begin with '0193f4a8'"):
        letters.resolve(app_id, "0193f4a8")
    with pytest.raises(NotFound):
        letters.resolve(app_id, "0193f4a9")
    for text in ("0193f4a", "", "zzzzzzzz", "%%%%%%%%", "0" * 33, "\0" * 8, "\u0660" * 8):
        with pytest.raises(InvalidInput, match="is no id"):
            letters.resolve(app_id, text)


# another input ---------------------------------------------------------------------------------------------------

MAKERS = {
    "kv": ("%%trigger x kv user:* ", "kv.set('user:1', { n = 1 })"),
    "gone": ("%%trigger x kv user:* on=delete ", "kv.set('user:1', 1) kv.delete('user:1')"),
    "docs": ("%%trigger x docs notes ", "docs.insert('notes', { n = 1 }, { id = 'a' })"),
    "queue": ("%%trigger x queue mails ", "queue.send('mails', { n = 1 })"),
    "topic": ("%%trigger x topic t ", "pubsub.publish('t', { n = 1 })"),
}


@pytest.mark.parametrize(
    ("maker", "edited", "field", "got"),
    [
        ("kv", Content(True, b'{"n": 2, "u": "\xc3\xbc\\u0000"}'), "value", {"n": 2, "u": "ü\0"}),
        ("kv", Content(True, b"null"), "value", None),
        ("kv", Content(True, b"9223372036854775807"), "value", 2**63 - 1),
        ("kv", Content(False, b"plain"), "value", "plain"),
        ("docs", Content(True, b' {"n": 2.5}'), "after", {"n": 2.5}),
        ("queue", Content(True, b"[1, [], {}]"), "message", [1, [], {}]),
        ("topic", Content(False, b""), "message", ""),
        ("kv", Content(False, b"x" * 2**20), "value", "x" * 2**20),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_edited_input_is_another_event_and_the_letter_stays_as_it_was(
    lua: Lua, world: World, letters: DeadLetterAdministration, app_id: AppId, maker: str, edited: Content, field: str,
    got: object,
) -> None:  # fmt: skip
    trigger, cause = MAKERS[maker]
    # what is kept has its bounds too: a part of the largest value tells
    keep = "local v = event.%s kv.set('got', #v)" if got == "x" * 2**20 else "kv.set('got', event.%s)"
    world.publish(f"{trigger} retries=0\nif not kv.get('ok') then error('no') end {keep % field}")
    lua(cause)
    world.work()
    before = only(letters, app_id)
    lua("kv.set('ok', true)")
    event = letters.redrive(app_id, before.id, by="ada", edited=edited)
    world.work()
    after = letters.get(app_id, before.id)
    assert event != before.event_id
    assert (after.state, after.decided_by, after.redriven_as) == (LetterState.REDRIVEN, "ada", event)
    assert after.payload == before.payload
    assert lua("return kv.get('got')") == (2**20 if got == "x" * 2**20 else got)
    assert world.count("events") == world.count("deliveries") == 0


@pytest.mark.parametrize(
    ("maker", "edited", "says"),
    [
        ("kv", Content(True, b"{"), "cannot be read"),
        ("kv", Content(True, b""), "cannot be read"),
        ("kv", Content(True, b"\xff"), "cannot be read"),
        ("kv", Content(True, b"NaN"), "not finite"),
        ("kv", Content(True, b"1e999"), "not finite"),
        ("kv", Content(True, b"9223372036854775808"), "more than 64 bits"),
        ("kv", Content(True, b"9" * 5000), "more than 64 bits"),
        ("kv", Content(True, b"[" * 101 + b"]" * 101), "more than 100 levels"),
        ("kv", Content(True, b"[" * 100_000), "more than 100 levels"),
        ("kv", Content(True, b'"\\ud800"'), "half of a surrogate pair"),
        ("kv", Content(False, b"x" * (2**20 + 1)), "more than the 1048576 allowed"),
        ("docs", Content(True, b"[1]"), "a document is a JSON object"),
        ("docs", Content(False, b'{"a":1}'), "a document is a JSON object"),
        ("docs", Content(True, b'{"a":"' + b"x" * 2**20 + b'"}'), "more than the 1048576 allowed"),
        ("queue", Content(False, b"x" * (2**18 + 1)), "more than the 262144 allowed"),
        ("topic", Content(True, b'"' + b"x" * 2**18 + b'"'), "more than the 262144 allowed"),
        ("gone", Content(True, b"1"), "nothing comes with a deletion"),
        ("cron", Content(True, b"{}"), "what a cron trigger gets cannot be edited"),
        ("dead_letter", Content(True, b"{}"), "what a dead_letter trigger gets cannot be edited"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_input_the_letter_cannot_have_is_refused_and_nothing_happens(
    world: World, letters: DeadLetterAdministration, app_id: AppId, maker: str, edited: Content, says: str
) -> None:
    kind, operation = ("kv", "delete") if maker == "gone" else (maker, None)
    identity = bury(world.platform, "shop", kind=kind, operation=operation)
    with pytest.raises(InvalidInput, match=says):
        letters.redrive(app_id, identity, by="ada", edited=edited)
    assert letters.get(app_id, identity).state is LetterState.OPEN
    assert world.count("events") == world.count("deliveries") == 0


def test_scripts_give_another_input_too(lua: Lua, world: World) -> None:
    world.publish("%%trigger x queue mails retries=0\nif not event.message.to then error('no') end " + SEE)
    lua("queue.send('mails', { n = 1 })")
    world.work()
    lua("identity = dead_letters.list({ trigger = 'x' })[1].id")
    assert lua("return #dead_letters.list({ trigger = 'y' })") == 0
    assert "more than the 262144 allowed" in lua.fails(
        "dead_letters.redrive(identity, { message = ('x'):rep(300000) })"
    )
    assert lua("return dead_letters.redrive(identity, { message = { to = 'ada' } })")
    assert lua("return dead_letters.redrive(identity, { message = { to = 'ada' } })") is False
    world.work()
    assert [event["message"] for event in world.seen()] == [{"to": "ada"}]


def test_a_list_of_large_letters_comes_in_pages_that_a_run_can_hold(lua: Lua, world: World) -> None:
    lua("kv.set('x', 1)")
    for _ in range(5):
        bury(world.platform, "shop", is_json=False, kind="kv", payload=b"x" * 2**20)
    assert lua("""
        local sizes, cursor = {}, nil
        repeat
          local page
          page, cursor = dead_letters.list({ cursor = cursor })
          sizes[#sizes + 1] = #page
        until not cursor
        return sizes
    """) == [4, 1]


# one and again ---------------------------------------------------------------------------------------------------


def test_what_fails_again_names_its_letter(
    lua: Lua, world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    world.publish("%%trigger x topic t retries=0\nerror('no')")
    lua("pubsub.publish('t', 1)")
    world.work()
    first = only(letters, app_id)
    assert letters.redrive(app_id, first.id, by="ada") == first.event_id
    world.work()
    second = only(letters, app_id)
    assert (second.redrives, second.event_id) == (first.id, first.event_id)


def test_who_comes_late_is_told_who_decided(world: World, letters: DeadLetterAdministration, app_id: AppId) -> None:
    one, two = (bury(world.platform, "shop") for _ in range(2))
    letters.redrive(app_id, one, by="ada")
    letters.discard(app_id, two, by="bob")
    for identity, told in ((one, f"ada has redriven the dead letter '{one}'"), (two, "bob has discarded")):
        for decide in (letters.redrive, letters.discard):
            with pytest.raises(Conflict, match=told):
                decide(app_id, identity, by="eve")
    assert world.count("deliveries") == 1
    for decide in (letters.redrive, letters.discard):
        with pytest.raises(NotFound, match="There is no dead letter"):
            decide(app_id, uuid4(), by="eve")


def test_apps_with_the_same_names_decide_over_their_own(
    world: World, letters: DeadLetterAdministration, app_id: AppId, open_app: Callable[[str], Lua]
) -> None:
    open_app("theirs")("kv.set('x', 1)")
    theirs = bury(world.platform, "theirs")
    ours = bury(world.platform, "shop")
    identity = str(theirs)
    calls: tuple[Callable[[], object], ...] = (
        lambda: letters.get(app_id, theirs),
        lambda: letters.resolve(app_id, identity[:12]),
        lambda: letters.redrive(app_id, theirs, by="eve"),
        lambda: letters.redrive(app_id, theirs, by="eve", edited=Content(True, b"1")),
        lambda: letters.discard(app_id, theirs, by="eve"),
    )
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert not letters.redrive_many(app_id, LetterFilter(ids=(theirs,)), by="eve").events
    assert list(letters.redrive_many(app_id, LetterFilter(), by="ada").events) == [ours]
    assert world.rows("SELECT state FROM dead_letters WHERE id = %s", theirs) == [("open",)]


# many ------------------------------------------------------------------------------------------------------------


def test_many_are_redriven_oldest_first_and_only_those_that_are_meant(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    ids = [bury(world.platform, "shop", failed_at=FAILED - timedelta(minutes=n)) for n in range(5)]
    other = bury(world.platform, "shop", trigger="other")
    done = bury(world.platform, "shop", state="discarded")
    decided = letters.redrive_many(app_id, LetterFilter(trigger="watch"), by="ada")
    assert list(decided.events) == ids[::-1]
    assert not decided.more
    jobs = [UUID(event) for (event,) in world.rows("SELECT args ->> 'event_id' FROM procrastinate_jobs ORDER BY id")]
    assert jobs == list(decided.events.values())
    assert letters.states(app_id, (other, done)) == {other: LetterState.OPEN, done: LetterState.DISCARDED}
    assert letters.redrive_many(app_id, LetterFilter(ids=(done, ids[0])), by="ada").events == {}
    assert list(letters.discard_many(app_id, LetterFilter(ids=(done, other)), by="ada").events) == [other]


def test_all_means_the_letters_there_are_however_many_and_whosever_clock_is_ahead(
    lua: Lua, world: World, letters: DeadLetterAdministration, app_id: AppId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "DECIDED_MAX", 2)
    world.publish("%%trigger x queue mails retries=0\nerror('no')")
    lua("queue.send_many('mails', { 1, 2, 3, 4, 5 })")
    world.work()
    [newest] = letters.page(app_id, LetterFilter(), limit=1)[0]
    world.rows("UPDATE dead_letters SET failed_at = now() + interval '1 hour' WHERE id = %s", newest.id)
    redrive_many, later = letters.redrive_many, []

    def while_others_fail(*arguments: Any, **options: Any) -> Decided:
        later.append(bury(world.platform, "shop", failed_at=datetime.now(UTC) + timedelta(hours=2)))
        return redrive_many(*arguments, **options)

    with monkeypatch.context() as during:
        during.setattr(letters, "redrive_many", while_others_fail)
        assert letters.redrive_all(app_id, LetterFilter(), by="ada") == 5
    assert len(later) == 3
    assert world.work() == 5
    assert letters.discard_all(app_id, LetterFilter(trigger="x"), by="ada") == 5
    assert letters.discard_all(app_id, LetterFilter(trigger="x"), by="ada") == 0
    assert {letter.id for letter in letters.page(app_id, LetterFilter(), limit=10)[0]} == set(later)


def test_what_is_decided_over_many_is_all_or_nothing(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    for trigger in ("a", "b", "c"):
        bury(world.platform, "shop", trigger=trigger)
    world.rows("ALTER TABLE deliveries ADD CHECK (trigger <> 'c')")
    with pytest.raises(psycopg.errors.CheckViolation):
        letters.redrive_many(app_id, LetterFilter(), by="ada")
    assert len(letters.page(app_id, LetterFilter(), limit=10)[0]) == 3
    assert world.count("events") == world.count("deliveries") == 0


def test_of_many_who_decide_at_once_each_letter_has_one(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    """Letters of two triggers share their events, and the ones' order is the reverse of the others'."""
    events = [uuid4() for _ in range(20)]
    for trigger, order in (("a", 1), ("b", -1)):
        for place, event in enumerate(events[::order]):
            bury(
                world.platform, "shop", trigger=trigger, event_id=event, kind="topic",
                failed_at=FAILED + timedelta(seconds=place),
            )  # fmt: skip
    singles = [letter.id for letter in letters.page(app_id, LetterFilter(), limit=100)[0]]

    def single(decide: Callable[..., object], identity: UUID) -> int:
        try:
            decide(app_id, identity, by="ada")
        except Conflict:
            return 0
        return 1

    def many(decide: Callable[..., Any], trigger: str) -> int:
        return len(decide(app_id, LetterFilter(trigger=trigger), by="bob").events)

    with ThreadPoolExecutor(8) as pool:
        tasks = [pool.submit(many, letters.redrive_many, trigger) for trigger in "abab"]
        tasks += [pool.submit(single, decide, x) for x in singles[::2] for decide in (letters.redrive, letters.discard)]
        tasks += [pool.submit(many, letters.discard_many, "a")]
        counts = [task.result() for task in tasks]
    assert sum(counts) == 40
    states = Counter(state for (state,) in world.rows("SELECT state FROM dead_letters"))
    assert states["open"] == 0
    assert world.count("deliveries") == states["redriven"]
    assert world.rows("SELECT count(DISTINCT redrives) FROM deliveries") == [(states["redriven"],)]


def test_who_waits_for_a_run_that_waits_for_them_is_told_to_try_again(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    event = uuid4()
    one, two = (bury(world.platform, "shop", trigger=name, event_id=event, kind="topic") for name in "ab")
    redrive = "SELECT picloud_redrive(%s, %s, NULL, NULL, 'script')"
    with ThreadPoolExecutor(1) as pool, world.platform.database.connection() as run:
        run.execute("SET LOCAL deadlock_timeout = '1h'")
        run.execute(redrive, [app_id, one])
        person = pool.submit(letters.redrive, app_id, two, by="ada")
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        wait_until(lambda: world.rows(waiting))
        run.execute(redrive, [app_id, two])
        with pytest.raises(Conflict, match="try again"):
            person.result()
    assert letters.states(app_id, (one, two)) == {one: LetterState.REDRIVEN, two: LetterState.REDRIVEN}


def test_a_letter_that_came_in_with_a_file_is_shown_as_far_as_it_tells(
    world: World, letters: DeadLetterAdministration, app_id: AppId
) -> None:
    failures = [{"at": "soon", "line": "3", "traceback": {"a": 1}, "log": ["x", {"message": "m"}], "used": [1]}, {}]
    identity = bury(world.platform, "shop", failures=failures, payload=b"\xff", key=b"\xff")
    first, second = letters.get(app_id, identity).failures
    assert (first.at, first.line, first.traceback, first.log, first.used) == (None, None, (), ({"message": "m"},), None)
    assert (second.code, second.message) == ("", "")


@pytest.mark.parametrize(
    "failures",
    [
        [1, "x", None, []], {"a": 1}, [attempt(at="0001-01-01T00:00:00")], [attempt(at="0001-01-01T00:00:00+14:00")],
        [attempt(at="9999-12-31T23:59:59-14:00")], [attempt(line=True)], [attempt(used={"wall_ms": {}})],
        [attempt(log=[{"level": {}, "message": [1], "fields": 3}])],
    ],
)  # fmt: skip
def test_attempts_of_any_form_are_shown(
    world: World, letters: DeadLetterAdministration, app_id: AppId, failures: Any
) -> None:
    letter = letters.get(app_id, bury(world.platform, "shop", failures=failures))
    assert len(letter.failures) == len(failures)
    assert letter_lines(letter)
    assert json.loads(LetterView.of(letter).model_dump_json())["id"] == str(letter.id)
