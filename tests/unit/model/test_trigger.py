"""Triggers as values: what a `%%trigger` line says, what is refused, and when the next attempt is."""

import re
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from picloud.errors import InvalidTrigger
from picloud.model.trigger import (
    BACKOFF_MAX_S,
    OPERATIONS,
    RetryPolicy,
    Trigger,
    TriggerKind,
    check_trigger,
    trigger_of,
)
from picloud.publishing.cells import TriggerCell, parse_cell
from picloud.storage.triggers import key_like, trigger_from_json, trigger_to_json

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "triggers.md"


def parsed(line: str) -> Trigger:
    cell = parse_cell(f"{line}\nreturn 1")
    assert isinstance(cell, TriggerCell)
    assert cell.script.name == cell.trigger.script == cell.trigger.name
    return cell.trigger


@pytest.mark.parametrize(
    ("line", "trigger"),
    [
        ("%%trigger x kv user:*", Trigger("x", TriggerKind.KV, "user:*", "x", ("set", "delete"))),
        ('%%trigger x kv "a b"', Trigger("x", TriggerKind.KV, "a b", "x", ("set", "delete"))),
        ("%%trigger x kv a=b on=delete", Trigger("x", TriggerKind.KV, "a=b", "x", ("delete",))),
        ("%%trigger x docs notes", Trigger("x", TriggerKind.DOCS, "notes", "x", ("insert", "update", "delete"))),
        ("%%trigger x docs notes on=delete,insert", Trigger("x", TriggerKind.DOCS, "notes", "x", ("insert", "delete"))),
        ("%%trigger x topic a.b-c", Trigger("x", TriggerKind.TOPIC, "a.b-c", "x")),
        ("%%trigger x dead_letter", Trigger("x", TriggerKind.DEAD_LETTER, "", "x")),
        ("%%trigger x dead_letter retries=0", Trigger("x", TriggerKind.DEAD_LETTER, "", "x", (), RetryPolicy(0))),
        (
            "%%trigger x queue mails batch=10 wait=2.5 retries=7 backoff=1.5 backoff_max=60 jitter=0.5 timeout=30",
            Trigger("x", TriggerKind.QUEUE, "mails", "x", (), RetryPolicy(7, 1.5, 60, 0.5), 30, 10, 2.5),
        ),
    ],
)
def test_a_line_says_which_events_run_the_cell(line: str, trigger: Trigger) -> None:
    assert parsed(line) == trigger


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "x corn a",
            "'corn' is no kind of trigger; use one of kv, docs, cron, queue, topic, dead_letter.",
        ),
        ("x KV a", "'KV' is no kind of trigger"),
        ("x kv", "trigger x: say a pattern of keys, as in 'user:*' after 'kv'."),
        ("x docs", "say a collection after 'docs'"),
        ("x queue", "say a queue after 'queue'"),
        ("x topic", "say a topic after 'topic'"),
        ('x topic ""', "say a topic after 'topic'"),
        ("x docs a.b", "'a.b' cannot name a collection: use 1 to 64 letters"),
        ("x docs " + "a" * 65, "cannot name a collection"),
        ("x queue 1a", "'1a' cannot name a queue: use 1 to 128 letters"),
        ("x topic ä", "'ä' cannot name a topic"),
        ("x queue " + "a" * 129, "cannot name a queue"),
        ("x kv " + "a" * 1025, "a key pattern has at most 1024 bytes"),
        ("x kv " + "ä" * 513, "a key pattern has at most 1024 bytes"),
        ("x kv a\0b", "a key pattern has at most 1024 bytes, none of them NUL"),
        ("x kv a on=insert", "on=insert is not valid; use some of set,delete."),
        ("x kv a on=", "on= is not valid; use some of set,delete."),
        ("x docs a on=set,update", "on=update,set is not valid; use some of insert,update,delete."),
        ("x queue a on=set", "on= is for kv and docs; leave it out."),
        (
            "x queue a color=red",
            "there is no option 'color'; use some of on, tz, catch_up, overlap, retries, batch",
        ),
        ("x queue a retries=1.5", "retries='1.5' is not a whole number."),
        ("x queue a backoff=soon", "backoff='soon' is not a number."),
        ("x queue a retries=-1", "retries must be from 0 to 100."),
        ("x queue a retries=101", "retries must be from 0 to 100."),
        ("x queue a backoff=nan", "backoff must be from 0 to 86400."),
        ("x queue a backoff=inf", "backoff must be from 0 to 86400."),
        ("x queue a backoff_max=86401", "backoff_max must be from 0 to 86400."),
        ("x queue a jitter=1.1", "jitter must be from 0 to 1."),
        ("x queue a timeout=0", "timeout must be from 0.001 to 600."),
        ("x queue a batch=0", "batch must be from 1 to 100."),
        ("x queue a wait=3601", "wait must be from 0 to 3600."),
        ("x topic a batch=2", "batch= and wait= are for queues; leave them out."),
        ("x kv a wait=2", "batch= and wait= are for queues; leave them out."),
    ],
)
def test_what_cannot_be_is_said(line: str, message: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        parsed(f"%%trigger {line}")
    assert message in refused.value.message
    assert refused.value.message.startswith("trigger x: ")


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, "-" + "9" * 5000])
def test_huge_numbers_are_refused_with_a_sentence(digits: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        parsed(f"%%trigger x queue a retries={digits}")
    assert len(refused.value.message) < 200


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidTrigger, match="cannot name a trigger"):
        trigger_of("a/b", "topic", "t", "x", {})


def test_an_operation_is_named_once() -> None:
    with pytest.raises(InvalidTrigger, match="on=set,set is not valid"):
        check_trigger(Trigger("x", TriggerKind.KV, "a", "x", ("set", "set")))


def test_dead_letters_have_no_source() -> None:
    with pytest.raises(InvalidTrigger, match="takes all dead letters of its app: leave 'x' out"):
        trigger_of("x", "dead_letter", "x", "x", {})


policies = st.builds(
    RetryPolicy,
    st.integers(0, 100),
    st.floats(0, BACKOFF_MAX_S),
    st.floats(0, BACKOFF_MAX_S),
    st.floats(0, 1),
)


@given(policies, st.integers(1, 10**6), st.floats(0, 1))
def test_a_pause_is_never_negative_nor_above_the_cap(policy: RetryPolicy, failures: int, random: float) -> None:
    assert 0 <= policy.pause_s(failures, random) <= policy.backoff_max_s


@given(policies, st.integers(1, 10**6))
def test_without_chance_no_pause_is_shorter_than_the_one_before(policy: RetryPolicy, failures: int) -> None:
    assert policy.pause_s(failures, 0) <= policy.pause_s(failures + 1, 0)


@given(policies, st.integers(1, 100), st.floats(0, 1))
def test_chance_takes_no_more_than_its_part(policy: RetryPolicy, failures: int, random: float) -> None:
    whole = policy.pause_s(failures, 0)
    assert whole * (1 - policy.jitter) - 1e-6 <= policy.pause_s(failures, random) <= whole


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (RetryPolicy(), "retries at +5 s, +15 s, +35 s, then a dead letter; each pause up to 10% shorter"),
        (RetryPolicy(3, 60, 7200, 0), "retries at +1 min, +3 min, +7 min, then a dead letter"),
        (RetryPolicy(2, 3599.5, 86_400, 0), "retries at +59 min 59.5 s, +2 h 59 min 58.5 s, then a dead letter"),
        (RetryPolicy(1, 0, jitter=1), "retries at +0 s, then a dead letter"),
        (RetryPolicy(0), "no retry, a dead letter at once"),
        (RetryPolicy(1, 0.5, jitter=0), "retries at +0.5 s, then a dead letter"),
        (RetryPolicy(9, 1, 4, 0), "retries at +1 s, +3 s, +7 s, +11 s, ... +31 s (9 in all), then a dead letter"),
    ],
)
def test_the_schedule_is_said_as_one_reads_it(policy: RetryPolicy, text: str) -> None:
    assert policy.schedule() == text


@given(policies)
def test_the_moments_of_retries_are_their_pauses_added_up(policy: RetryPolicy) -> None:
    moments = policy.moments_s()
    assert len(moments) == policy.retries
    for number, (before, moment) in enumerate(pairwise((0.0, *moments)), 1):
        assert moment == pytest.approx(before + policy.pause_s(number, 0))


def test_what_it_takes_is_said_in_the_words_of_a_line() -> None:
    assert parsed("%%trigger x kv a:*").describe() == "kv a:*"
    assert parsed("%%trigger x docs notes on=delete").describe() == "docs notes on=delete"
    assert parsed("%%trigger x dead_letter").describe() == "dead_letter"


sources = st.sampled_from(TriggerKind).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.just("")
        if kind is TriggerKind.DEAD_LETTER
        else st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", fullmatch=True),
        st.sets(st.sampled_from(OPERATIONS[kind]), min_size=1).map(sorted).map(tuple)
        if kind in OPERATIONS
        else st.just(()),
    )
)


@given(sources, policies, st.none() | st.floats(0.001, 600))
def test_a_release_keeps_a_trigger_as_it_is(
    source: tuple[TriggerKind, str, tuple[str, ...]], policy: RetryPolicy, timeout_s: float | None
) -> None:
    trigger = Trigger("x", source[0], source[1], "x", source[2], policy, timeout_s)
    assert trigger_from_json(trigger_to_json(trigger)) == trigger


def like(pattern: bytes) -> re.Pattern[bytes]:
    """Return what PostgreSQL does with a LIKE pattern over bytes, written from its manual."""
    parts = re.findall(rb"\\(.)|(%)|(_)|(.)", pattern, re.DOTALL)
    return re.compile(
        b"".join(b".*" if many else b"." if one else re.escape(quoted or plain) for quoted, many, one, plain in parts),
        re.DOTALL,
    )


texts = st.text(alphabet="*%_\\a:?[]\nä", max_size=12)


@given(texts, texts)
@example("100%:*", "100%:x")
@example("a_b", "axb")
@example("\\*", "\\anything")
def test_a_star_matches_anything_and_all_else_itself(pattern: str, key: str) -> None:
    oracle = re.sub(r"[?\[]", r"[\g<0>]", pattern)  # of fnmatch's special characters the star alone is one here
    assert bool(like(key_like(pattern)).fullmatch(key.encode())) == fnmatchcase(key, oracle)


@given(st.text(alphabet="%_\\a:ä", max_size=12))
def test_a_pattern_matches_itself(pattern: str) -> None:
    assert like(key_like(pattern)).fullmatch(pattern.encode())


def test_the_page_has_every_kind_and_option_with_its_default_and_bounds() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for word in (*TriggerKind, *(operation for on in OPERATIONS.values() for operation in on)):
        assert f"`{word}`" in text
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)
    retry = RetryPolicy()
    assert {name: default for name, default, _, _ in rows} == {
        "retries": f"{retry.retries}", "backoff": f"{retry.backoff_s:g}", "backoff_max": f"{retry.backoff_max_s:g}",
        "jitter": f"{retry.jitter:g}", "timeout": "that of all runs", "batch": "1", "wait": "0",
    }  # fmt: skip
    for name, _, low, high in rows:
        with pytest.raises(InvalidTrigger, match=f"{name} must be from {low} to {high}"):
            trigger_of("x", "queue", "q", "x", {name: str(int(float(high)) + 1)})
