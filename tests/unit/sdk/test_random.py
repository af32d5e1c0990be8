"""Random values are what they say, evenly spread, nobody's guess, and repeat only when a test has set a seed."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import (
    CallLimitExceeded,
    CpuLimitExceeded,
    InvalidInput,
    MemoryLimitExceeded,
    NotFound,
    ScriptRuntimeError,
    TimeLimitExceeded,
)
from picloud.model.release import TestSource
from picloud.model.script import Script, ScriptKind
from picloud.model.value import Scalar, Text, Value, inline
from picloud.platform import limits_of
from picloud.sdk.random import BYTES_MAX, TOKEN_MAX_BYTES, bytes_, integer, number, seeded, token, uuid_, uuid_v7
from picloud.sdk.run import Run
from picloud.sdk.spec import Phase
from picloud.settings import Settings

LEAST, MOST = -(2**63), 2**63 - 1
any_integer = st.integers(LEAST, MOST)


def fair(seed: bytes = b"any") -> Run:
    """Return a run whose values are the same each time."""
    run = Run(Phase.TEST)
    run.seed(seeded(seed))
    return run


def fixed(*drawn: bytes) -> Run:
    """Return a run that draws these bytes, then fails."""
    run = Run(Phase.TEST)
    rest = iter(drawn)

    def draw(count: int) -> bytes:
        value = next(rest)
        assert len(value) == count
        return value

    run.seed(draw)
    return run


def chi_square(counts: Counter[int], possible: int) -> float:
    expected = counts.total() / possible
    return sum((counts[value] - expected) ** 2 / expected for value in counts) + expected * (possible - len(counts))


# bytes, integers, numbers -----------------------------------------------------------------------------------------


@given(st.integers(0, 5000))
def test_as_many_bytes_as_asked_for(count: int) -> None:
    assert len(bytes_(Run(Phase.ENDPOINT), count)) == count


@pytest.mark.parametrize("count", [-1, BYTES_MAX + 1, LEAST, MOST])
def test_no_other_number_of_bytes(count: int) -> None:
    with pytest.raises(InvalidInput, match="count must be from 0 to"):
        bytes_(Run(Phase.ENDPOINT), count)


@given(any_integer, any_integer)
@example(LEAST, MOST)
@example(0, 2**62)
@example(MOST, MOST)
def test_an_integer_is_within_its_bounds(first: int, second: int) -> None:
    least, most = sorted((first, second))
    assert least <= integer(Run(Phase.ENDPOINT), least, most) <= most
    if least < most:
        with pytest.raises(InvalidInput, match="min must not be more than max"):
            integer(Run(Phase.ENDPOINT), most, least)


@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 9, 100, 129, 255, 256, 257, 1000])
def test_integers_are_evenly_spread(count: int) -> None:
    """Chi-square far beyond its mean would be a bias; the seed is fixed, so this holds or not for good."""
    run = fair()
    counts = Counter(integer(run, 10, 9 + count) for _ in range(50 * count))
    assert set(counts) <= set(range(10, 10 + count))
    assert chi_square(counts, count) < count + 5 * (2 * count) ** 0.5


def test_what_would_favour_some_is_drawn_again() -> None:
    """Of three bits, 7 and 6 are no faces of a die from 0 to 5."""
    assert integer(fixed(b"\xff", b"\xc0", b"\xa0"), 0, 5) == 5
    assert integer(fixed(b"\x00"), 0, 5) == 0


def test_in_a_range_of_two_thirds_of_all_integers_each_third_is_as_frequent() -> None:
    """A remainder of 64 bits would give the first half of them twice as often."""
    run, third = fair(), 2**63 // 3
    thirds = Counter((integer(run, -(2**62), -(2**62) + 6 * third - 1) + 2**62) // (2 * third) for _ in range(9000))
    assert set(thirds) == {0, 1, 2}
    assert chi_square(thirds, 3) < 14


def test_numbers_are_of_53_bits_below_one() -> None:
    assert number(fixed(b"\xff" * 7)) == 1 - 2**-53
    assert number(fixed(bytes(7))) == 0
    assert number(fixed(b"\x80" + bytes(6))) == 0.5
    run = fair()
    assert chi_square(Counter(int(number(run) * 16) for _ in range(8000)), 16) < 45


# identifiers and secrets -------------------------------------------------------------------------------------------


def test_a_uuid_is_of_version_4() -> None:
    found = {uuid_(Run(Phase.ENDPOINT)) for _ in range(500)}
    assert len(found) == 500
    for text in found:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
    assert uuid_(fixed(b"\xff" * 16)) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert uuid_(fixed(bytes(16))) == "00000000-0000-4000-8000-000000000000"


def test_the_example_of_rfc_9562() -> None:
    """Appendix A.6: 2022-02-22T14:22:22-05:00, rand_a 0xCC3 and rand_b 0x18C4DC0C0C07398F."""
    bits = (0xCC3 << 62) | 0x18C4DC0C0C07398F
    run = fixed((bits << 6).to_bytes(10))
    run.freeze(1645557742.0)
    assert uuid_v7(run) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.lists(st.floats(0, 3), max_size=50))
def test_uuids_of_version_7_grow_within_a_run_whatever_the_clock_does(steps: list[float]) -> None:
    run, now, found = Run(Phase.ENDPOINT), 1.7e9, []
    for step in steps:
        now += step - 1.5
        run._frozen_s = now  # as the clock of the system, which is set back at times; freeze() would start anew
        found.append(uuid_v7(run))
    assert all(first < second for first, second in pairwise(found))
    assert all((uuid.UUID(text).version, uuid.UUID(text).variant) == (7, uuid.RFC_4122) for text in found)


def test_they_grow_in_one_millisecond_too_also_when_its_random_bits_run_out() -> None:
    run = Run(Phase.ENDPOINT)
    run.freeze(1_700_000_000.0)
    found = [uuid_v7(run) for _ in range(2000)]
    assert sorted(set(found)) == found
    assert {text[:13] for text in found} == {found[0][:13]}
    run.last_uuid_v7 = (1_700_000_000_000 << 74) | (2**74 - 1)
    assert uuid.UUID(uuid_v7(run)).int >> 80 == 1_700_000_000_001


def test_a_clock_set_by_a_test_is_the_one_in_the_uuid() -> None:
    run = Run(Phase.TEST)
    run.freeze(2_000_000_000.0)
    uuid_v7(run)
    run.freeze(1_000_000_000.5)
    assert uuid.UUID(uuid_v7(run)).int >> 80 == 1_000_000_000_500


@pytest.mark.parametrize("now_s", [-1.0, 0.0, -6.2e10, 2.815e11])
def test_there_is_none_of_version_7_before_1970_or_after_its_48_bits(now_s: float) -> None:
    run = Run(Phase.TEST)
    run.freeze(now_s)
    with pytest.raises(InvalidInput, match="a UUID of version 7 has no time"):
        uuid_v7(run)


@given(st.integers(1, TOKEN_MAX_BYTES))
def test_a_token_can_stand_in_a_url(count: int) -> None:
    text = token(Run(Phase.ENDPOINT), count)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert len(text) == -(-count * 8 // 6)


def test_a_token_holds_256_bits_unless_told_otherwise() -> None:
    run = Run(Phase.ENDPOINT)
    assert len({token(run) for _ in range(100)}) == 100
    assert {len(token(run)) for _ in range(100)} == {43}
    for count in (0, -1, TOKEN_MAX_BYTES + 1, MOST):
        with pytest.raises(InvalidInput, match="bytes must be from 1 to"):
            token(run, count)


def test_a_seed_gives_the_same_and_each_call_something_else() -> None:
    first, second, other = seeded(b"a"), seeded(b"a"), seeded(b"b")
    values = [first(16) for _ in range(100)]
    assert [second(16) for _ in range(100)] == values
    assert len({*values, *(other(16) for _ in range(100))}) == 200
    assert len(first(10**6)) == 10**6


# lists, from Lua ----------------------------------------------------------------------------------------------------


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    """A session on an app nobody published."""

    def __init__(self, calls_max: int = 10_000, timeout_s: float = 10.0) -> None:
        limits = limits_of(Settings(run_memory_mb=16, run_calls_max=calls_max, run_timeout_s=timeout_s))
        super().__init__(nothing_published, Executor(limits), "shop", lambda _text: None)

    def value(self, source: str) -> object:
        """Return the value of the last line."""
        [echo] = self.run(source)
        return python_of(echo.value)


def python_of(value: Value) -> object:
    if isinstance(value, Text):
        return value.content
    if isinstance(value, Scalar):
        return json.loads(value.text)
    if value.fields:
        return {inline(key).strip('"'): python_of(item) for key, item in value.fields}
    return [python_of(item) for item in value.items]


SESSION = Session()


@given(st.lists(st.integers(0, 99), max_size=30))
def test_shuffling_keeps_what_is_there_and_leaves_the_list_alone(items: list[int]) -> None:
    text = ", ".join(str(item) for item in items)
    found = SESSION.value(
        f"list = {{ {text} }}\nshuffled = random.shuffle(list)\nreturn {{ json.array(list), json.array(shuffled) }}"
    )
    assert isinstance(found, list)
    assert found[0] == items
    assert sorted(found[1]) == sorted(items)


def test_each_order_is_as_frequent() -> None:
    result = SESSION.test(
        TestSource(
            "orders",
            """
            local counts = {}
            for _ = 1, 2400 do
              local order = table.concat(random.shuffle({ "a", "b", "c", "d" }))
              counts[order] = (counts[order] or 0) + 1
            end
            local chi, orders = 0, 0
            for _, count in pairs(counts) do chi, orders = chi + (count - 100) ^ 2 / 100, orders + 1 end
            expect(orders):equals(24)
            assert(chi < 57, chi)
            """,
        )
    )
    assert result.error is None, result.error


def test_each_item_comes_to_each_place_of_a_list_longer_than_one_draw() -> None:
    """The mean distance of a shuffled item from its place is a third of the length."""
    source = """
    list = {}
    for i = 1, 3000 do list[i] = i end
    calls, sum, seen = random.shuffle(list), 0, {}
    for i = 1, 3000 do sum, seen[calls[i]] = sum + math.abs(calls[i] - i), true end
    """
    found = SESSION.value(f"{source}\n{{ sum / 3000, #seen }}")
    assert isinstance(found, list)
    assert found[1] == 3000
    assert 900 < found[0] < 1100


def test_a_shuffle_takes_one_call_per_thousand_items() -> None:
    session = Session(calls_max=3)
    session.run("local list = {} for i = 1, 3 * 1024 do list[i] = i end list = random.shuffle(list)")
    with pytest.raises(CallLimitExceeded):
        session.run("local list = {} for i = 1, 5 * 1024 do list[i] = i end random.shuffle(list)")


def test_lists_may_hold_anything_and_come_from_data_modules() -> None:
    source = """
    local f, t = print, {}
    local seen = {}
    for _, item in ipairs(random.shuffle({ f, t, "text", 1.5, true })) do seen[item] = true end
    return seen[f] and seen[t] and seen.text and seen[1.5] and seen[true]
    """
    assert SESSION.value(f"(function() {source} end)()") is True
    SESSION.define(Script("cards", ScriptKind.MODULE, "return { 'ace', 'ace' }"))
    assert SESSION.value("random.shuffle(require('cards'))") == ["ace", "ace"]
    assert SESSION.value("random.choice(require('cards'))") == "ace"


def test_every_item_is_chosen_some_time() -> None:
    source = "chosen = {} for _ = 1, 500 do chosen[random.choice({ 'a', 'b', 'c' })] = true end"
    assert SESSION.value(f"{source}\nchosen") == {"a": True, "b": True, "c": True}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("random.choice({})", "random.choice: the list is empty"),
        ("random.choice('abc')", "random.choice: list must be a list, got string"),
        ("random.shuffle()", "random.shuffle: list must be a list, got nil"),
        ("random.bytes(1.5)", "random.bytes: count must be an integer, got 1.5"),
        ("random.bytes(-1)", "random.bytes: count must be from 0 to 1048576"),
        ("random.integer(2, 1)", "random.integer: min must not be more than max, got 2 and 1"),
        ("random.integer(1)", "random.integer: max must be an integer, got nil"),
        ("random.token('x')", "random.token: bytes must be an integer, got string"),
        ("random.seed(1)", "random.seed can be called in tests only"),
    ],
)
def test_it_says_what_is_wrong(source: str, message: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=re.escape(message)):
        SESSION.run(source)


def test_a_list_that_claims_to_be_endless_ends_with_the_run() -> None:
    session = Session(timeout_s=0.3)
    for function in ("shuffle", "choice"):
        endless = "setmetatable({}, { __len = function() return 1 << 62 end, __index = function() return 1 end })"
        if function == "choice":
            assert session.value(f"random.choice({endless})") == 1
        else:
            with pytest.raises((TimeLimitExceeded, CpuLimitExceeded, MemoryLimitExceeded)):
                session.run(f"random.shuffle({endless})")


def test_integers_of_all_64_bits_reach_lua_as_they_are() -> None:
    assert SESSION.value("random.integer(math.mininteger, math.mininteger)") == LEAST
    assert SESSION.value("random.integer(math.maxinteger, math.maxinteger)") == MOST
    assert SESSION.value("math.type(random.integer(math.mininteger, math.maxinteger))") == "integer"
    assert SESSION.value("#random.bytes(1048576)") == BYTES_MAX


def test_numbers_are_below_one_and_identifiers_differ() -> None:
    assert SESSION.value("random.number() < 1 and random.number() ~= random.number()") is True
    assert SESSION.value("random.uuid() ~= random.uuid() and random.uuid_v7() < random.uuid_v7()") is True
    assert SESSION.value("#random.token(3)") == 4
