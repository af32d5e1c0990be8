"""Triggers: which events of an app run which script, and what happens when the script fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from itertools import accumulate, islice
from typing import Any, Final

from picloud.errors import InvalidInput, InvalidTrigger
from picloud.model.calendar import zone
from picloud.model.cron import CronExpression, ticks_after
from picloud.model.schedule import CatchUp
from picloud.model.script import SCRIPT_NAME

KEY_PATTERN_MAX_BYTES: Final = 1024
RETRIES_MAX: Final = 100
BACKOFF_MAX_S: Final = 86_400.0
"""The longest pause between two attempts."""
TIMEOUT_MAX_S: Final = 600.0
BATCH_MAX: Final = 100
WAIT_MAX_S: Final = 3600.0
LATE_MAX_S: Final = 3600.0

SHOWN_MAX: Final = 5
"""Retries, and ticks, that are told of one by one."""

CHANNEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,127}", re.ASCII)
"""Of a queue or topic."""
COLLECTION_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", re.ASCII)


class TriggerKind(StrEnum):
    """What kind of events a trigger takes."""

    KV = "kv"
    DOCS = "docs"
    CRON = "cron"
    QUEUE = "queue"
    TOPIC = "topic"
    DEAD_LETTER = "dead_letter"


class Overlap(StrEnum):
    """What happens at a tick while the runs of earlier ones are not done."""

    SKIP = "skip"
    QUEUE = "queue"
    """The tick is run after them."""
    CANCEL = "cancel"
    """They are ended, and the tick takes their place."""
    ALLOW = "allow"
    """The tick is run beside them."""


OPERATIONS: Final[Mapping[TriggerKind, tuple[str, ...]]] = {
    TriggerKind.KV: ("set", "delete"),
    TriggerKind.DOCS: ("insert", "update", "delete"),
}
"""The operations a trigger of that kind can be for."""

SOURCES: Final[Mapping[TriggerKind, str]] = {
    TriggerKind.KV: "a pattern of keys, as in 'user:*'",
    TriggerKind.DOCS: "a collection",
    TriggerKind.CRON: "a cron expression",
    TriggerKind.QUEUE: "a queue",
    TriggerKind.TOPIC: "a topic",
}
"""What a trigger of that kind takes its events from; dead-letter triggers take all of the app."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What happens when the script fails: the n-th retry waits `backoff_s * 2 ** (n - 1)`, up to the cap."""

    retries: int = 3
    """Runs after the first; then the event becomes a dead letter."""
    backoff_s: float = 5.0
    backoff_max_s: float = 3600.0
    jitter: float = 0.1
    """Part of each pause, from 0 to 1, that is drawn at random: many failures of one moment do not return at one."""

    def pause_s(self, failures: int, random: float) -> float:
        """Return the seconds before the attempt that follows so many failures; `random` is from 0 to 1."""
        whole = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(failures - 1, 64))
        return whole * (1 - self.jitter * random)

    def moments_s(self) -> tuple[float, ...]:
        """Return the seconds from the first failure to each retry, when runs take no time and chance nothing off."""
        return tuple(accumulate(self.pause_s(number, 0) for number in range(1, self.retries + 1)))

    def schedule(self) -> str:
        """Say it as an author reads it: `retries at +5 s, +15 s, +35 s, then a dead letter; ...`."""
        if not self.retries:
            return "no retry, a dead letter at once"
        moments = [f"+{_duration(moment_s)}" for moment_s in self.moments_s()]
        if self.retries > SHOWN_MAX:
            moments = [*moments[: SHOWN_MAX - 1], f"... {moments[-1]} ({self.retries} in all)"]
        drawn = f"; each pause up to {100 * self.jitter:g}% shorter" if self.jitter and self.backoff_s else ""
        return f"retries at {', '.join(moments)}, then a dead letter{drawn}"


def _duration(seconds: float) -> str:
    """Return seconds as one reads them: `0.5 s`, `2 min 35 s`, `1 h`."""
    minutes, rest_s = divmod(round(seconds, 3), 60)
    hours, rest_min = divmod(int(minutes), 60)
    parts = ((hours, "h"), (rest_min, "min"), (round(rest_s, 3), "s"))
    return " ".join(f"{number:g} {unit}" for number, unit in parts if number) or "0 s"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger of an app."""

    name: str
    """Unique in its app; the trigger of a notebook cell is called like its script."""
    kind: TriggerKind
    source: str
    """Key pattern, collection, cron expression, queue or topic; empty for dead letters."""
    script: str
    """Name of the endpoint script it runs."""
    on: tuple[str, ...] = ()
    """Operations, for `kv` and `docs`; in the order of `OPERATIONS`."""
    retry: RetryPolicy = RetryPolicy()
    timeout_s: float | None = None
    """Wall-clock limit of a run; None: that of all runs."""
    batch: int = 1
    """Messages of a queue a run gets at most."""
    wait_s: float = 0.0
    """How long a message of a queue may wait for others of its batch."""
    tz: str = "UTC"
    """The zone whose clocks a schedule goes by."""
    catch_up: CatchUp = CatchUp.LAST
    late_max_s: float = 60.0
    """A tick later than this is left to `catch_up`."""
    overlap: Overlap = Overlap.SKIP

    def describe(self) -> str:
        """Say what it takes, in the words of a `%%trigger` line."""
        parts = [str(self.kind), self.source]
        if self.on != OPERATIONS.get(self.kind, ()):
            parts.append(f"on={','.join(self.on)}")
        if self.kind is TriggerKind.CRON:
            parts[1:] = [f'"{self.source}"', f"tz={self.tz}"]
        return " ".join(part for part in parts if part)

    def describe_options(self) -> tuple[str, ...]:
        """Say what its line adds to that, as in `retries=3`."""
        retry = self.retry
        options = [f"retries={retry.retries}", f"backoff={retry.backoff_s:g}", f"backoff_max={retry.backoff_max_s:g}"]
        options += [f"jitter={retry.jitter:g}", f"timeout={'default' if self.timeout_s is None else self.timeout_s}"]
        if self.kind is TriggerKind.QUEUE:
            options += [f"batch={self.batch}", f"wait={self.wait_s:g}"]
        if self.kind is TriggerKind.CRON:
            options += [f"catch_up={self.catch_up}", f"overlap={self.overlap}"]
        return tuple(options)

    def next_ticks(self, after: datetime, count: int = SHOWN_MAX) -> tuple[datetime, ...]:
        """Return the ticks of a schedule that follow a moment, in its zone; none for other kinds."""
        if self.kind is not TriggerKind.CRON:
            return ()
        place = zone(self.tz)
        ticks = islice(ticks_after(CronExpression.parse(self.source), place, after), count)
        return tuple(tick.astimezone(place) for tick in ticks)

    def outlook(self, after: datetime) -> tuple[str, ...]:
        """Say what a plan says of it: when it retries, and when a schedule ticks next, with the zone's offsets."""
        ticks = ", ".join(tick.isoformat(" ") for tick in self.next_ticks(after))
        return (self.retry.schedule(), *([f"ticks {ticks}"] if ticks else []))


def check_trigger(trigger: Trigger) -> Trigger:
    """Return the trigger when it is valid, else raise `InvalidTrigger` with what to change."""
    if not SCRIPT_NAME.fullmatch(trigger.name):
        raise InvalidTrigger(
            f"{trigger.name[:80]!r} cannot name a trigger: use 1 to 128 characters without '/' or control characters."
        )
    where = f"trigger {trigger.name}"
    _check_source(where, trigger)
    _check_operations(where, trigger)
    _check_numbers(where, trigger)
    _check_schedule(where, trigger)
    return trigger


def _check_source(where: str, trigger: Trigger) -> None:
    kind, source = trigger.kind, trigger.source
    if kind is TriggerKind.DEAD_LETTER:
        if source:
            raise InvalidTrigger(
                f"{where}: a dead-letter trigger takes all dead letters of its app: leave {source[:80]!r} out."
            )
        return
    if not source:
        raise InvalidTrigger(f"{where}: say {SOURCES[kind]} after '{kind}'.")
    if kind is TriggerKind.KV:
        if len(source.encode("utf-8", "surrogatepass")) > KEY_PATTERN_MAX_BYTES or "\0" in source:
            raise InvalidTrigger(f"{where}: a key pattern has at most {KEY_PATTERN_MAX_BYTES} bytes, none of them NUL.")
    elif kind is TriggerKind.DOCS:
        if not COLLECTION_NAME.fullmatch(source):
            raise InvalidTrigger(
                f"{where}: {source[:80]!r} cannot name a collection: use 1 to 64 letters, digits, '_' and '-', "
                "a letter or '_' first."
            )
    elif kind in (TriggerKind.QUEUE, TriggerKind.TOPIC) and not CHANNEL_NAME.fullmatch(source):
        raise InvalidTrigger(
            f"{where}: {source[:80]!r} cannot name a {kind}: use 1 to 128 letters, digits, '_', '.' and '-', "
            "a letter or '_' first."
        )


def _check_schedule(where: str, trigger: Trigger) -> None:
    if trigger.kind is not TriggerKind.CRON:
        if (trigger.tz, trigger.catch_up, trigger.late_max_s, trigger.overlap) != _UNSCHEDULED:
            raise InvalidTrigger(f"{where}: tz=, catch_up=, late_max= and overlap= are for cron; leave them out.")
        return
    try:
        CronExpression.parse(trigger.source)
        zone(trigger.tz)
    except InvalidInput as error:
        raise InvalidTrigger(f"{where}: {error.message}.") from None
    only = {Overlap.SKIP: "the first", Overlap.CANCEL: "the last"}.get(trigger.overlap)
    if trigger.catch_up is CatchUp.ALL and only:
        raise InvalidTrigger(
            f"{where}: catch_up=all runs many ticks at once, and overlap={trigger.overlap} only {only} of them: "
            "add overlap=queue or overlap=allow."
        )


_UNSCHEDULED: Final = ("UTC", CatchUp.LAST, 60.0, Overlap.SKIP)
"""The schedule's part of a trigger that has none."""


def _check_operations(where: str, trigger: Trigger) -> None:
    allowed = OPERATIONS.get(trigger.kind, ())
    if not allowed and trigger.on:
        raise InvalidTrigger(f"{where}: on= is for kv and docs; leave it out.")
    unknown = [operation for operation in trigger.on if operation not in allowed]
    if unknown or len(set(trigger.on)) != len(trigger.on) or (allowed and not trigger.on):
        raise InvalidTrigger(f"{where}: on={','.join(trigger.on)[:80]} is not valid; use some of {','.join(allowed)}.")


def _check_numbers(where: str, trigger: Trigger) -> None:
    retry = trigger.retry
    bounds = (
        ("retries", retry.retries, 0, RETRIES_MAX),
        ("backoff", retry.backoff_s, 0, BACKOFF_MAX_S),
        ("backoff_max", retry.backoff_max_s, 0, BACKOFF_MAX_S),
        ("jitter", retry.jitter, 0, 1),
        ("timeout", 1 if trigger.timeout_s is None else trigger.timeout_s, 0.001, TIMEOUT_MAX_S),
        ("batch", trigger.batch, 1, BATCH_MAX),
        ("wait", trigger.wait_s, 0, WAIT_MAX_S),
        ("late_max", trigger.late_max_s, 0, LATE_MAX_S),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:  # also for NaN
            raise InvalidTrigger(f"{where}: {name} must be from {low:g} to {high:g}.")
    if trigger.kind is not TriggerKind.QUEUE and (trigger.batch != 1 or trigger.wait_s):
        raise InvalidTrigger(f"{where}: batch= and wait= are for queues; leave them out.")


_INTEGERS: Final = ("retries", "batch")
_NUMBERS: Final = ("backoff", "backoff_max", "jitter", "timeout", "wait", "late_max")
_WORDS: Final = ("on", "tz", "catch_up", "overlap")


def split_trigger(kind: str, words: Sequence[str]) -> tuple[str, dict[str, str]] | None:
    """Return source and options of what follows the kind in a `%%trigger` line; None when it is written otherwise."""
    source, *rest = words if words and kind != TriggerKind.DEAD_LETTER else ("", *words)
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    return (source, options) if len(options) == len(rest) else None


def trigger_of(name: str, kind: str, source: str, script: str, options: Mapping[str, str]) -> Trigger:
    """Return the trigger that a `%%trigger` line writes; `options` are its `key=value` words."""
    where = f"trigger {name}"
    try:
        known = TriggerKind(kind)
    except ValueError:
        raise InvalidTrigger(
            f"{where}: {kind[:40]!r} is no kind of trigger; use one of {', '.join(TriggerKind)}."
        ) from None
    allowed = OPERATIONS.get(known, ())
    for option in options:
        if option not in (*_INTEGERS, *_NUMBERS, *_WORDS):
            raise InvalidTrigger(
                f"{where}: there is no option {option[:40]!r}; use some of "
                f"{', '.join((*_WORDS, *_INTEGERS, *_NUMBERS))}."
            )
    named = options["on"].split(",") if "on" in options else allowed
    numbers = {option: _number(where, option, text) for option, text in options.items() if option not in _WORDS}
    policy = {f"{option}_s" if option.startswith("backoff") else option: value for option, value in numbers.items()}
    retry: dict[str, Any] = {field.name: policy[field.name] for field in fields(RetryPolicy) if field.name in policy}
    more: dict[str, Any] = _schedule(where, options)
    for option, field_name in (
        ("timeout", "timeout_s"), ("batch", "batch"), ("wait", "wait_s"), ("late_max", "late_max_s")
    ):  # fmt: skip
        if option in numbers:
            more[field_name] = numbers[option]
    on = tuple(operation for operation in allowed if operation in named) + tuple(o for o in named if o not in allowed)
    return check_trigger(Trigger(name, known, source, script, on, RetryPolicy(**retry), **more))


def _schedule(where: str, options: Mapping[str, str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {"tz": options["tz"]} if "tz" in options else {}
    for option, policy in (("catch_up", CatchUp), ("overlap", Overlap)):
        if option in options:
            try:
                chosen[option] = policy(options[option])
            except ValueError:
                raise InvalidTrigger(
                    f"{where}: {option}={options[option][:40]} is not valid; use one of {', '.join(policy)}."
                ) from None
    return chosen


def _number(where: str, option: str, text: str) -> float | int:
    try:
        return int(text) if option in _INTEGERS else float(text)
    except ValueError:
        kind = "a whole number" if option in _INTEGERS else "a number"
        raise InvalidTrigger(f"{where}: {option}={text[:40]!r} is not {kind}.") from None
