"""Triggers of kind cron: what a `%%trigger` line can say, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from picloud.errors import InvalidTrigger
from picloud.model.schedule import CatchUp
from picloud.model.trigger import Overlap, Trigger, TriggerKind, check_trigger, trigger_of
from picloud.publishing.cells import TriggerCell, parse_cell
from picloud.storage.triggers import trigger_from_json, trigger_to_json

NIGHTLY = Trigger("nightly", TriggerKind.CRON, "0 3 * * *", "nightly", tz="Europe/Berlin")


def of(source: str = "0 3 * * *", **options: str) -> Trigger:
    return trigger_of("nightly", "cron", source, "nightly", options)


def test_a_cell_says_all_of_it() -> None:
    cell = parse_cell('%%trigger nightly cron "0 3 * * *" tz=Europe/Berlin\nreturn 1')
    assert isinstance(cell, TriggerCell)
    assert cell.trigger == NIGHTLY
    line = "%%trigger nightly cron @daily catch_up=all late_max=5 overlap=queue retries=1\nreturn 1"
    full = parse_cell(line)
    assert isinstance(full, TriggerCell)
    trigger = full.trigger
    assert (trigger.source, trigger.tz, trigger.catch_up) == ("@daily", "UTC", CatchUp.ALL)
    assert (trigger.late_max_s, trigger.overlap, trigger.retry.retries) == (5, Overlap.QUEUE, 1)


def test_a_schedule_says_itself() -> None:
    assert NIGHTLY.describe() == 'cron "0 3 * * *" tz=Europe/Berlin'


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_release_keeps_it(overlap: Overlap, catch_up: CatchUp) -> None:
    trigger = replace(NIGHTLY, overlap=overlap, catch_up=catch_up, late_max_s=2.5)
    back = trigger_from_json(trigger_to_json(trigger))
    assert back == trigger
    assert isinstance(back.overlap, Overlap)
    assert isinstance(back.catch_up, CatchUp)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tz": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
        ({"tz": "../../etc/passwd"}, "there is no time zone"),
        ({"tz": "europe/berlin"}, "there is no time zone"),
        ({"tz": ""}, "there is no time zone ''"),
        ({"catch_up": "some"}, "catch_up=some is not valid; use one of none, last, all"),
        ({"overlap": "kill"}, "overlap=kill is not valid; use one of skip, queue, cancel, allow"),
        ({"catch_up": "all", "overlap": "cancel"}, "overlap=cancel only the last of them: add overlap=queue"),
        ({"catch_up": "all"}, "add overlap=queue or overlap=allow"),
        ({"late_max": "-1"}, "late_max must be from 0 to 3600"),
        ({"late_max": "nan"}, "late_max must be from 0 to 3600"),
        ({"late_max": "soon"}, "late_max='soon' is not a number"),
        ({"on": "set"}, "on= is for kv and docs"),
        ({"batch": "2"}, "batch= and wait= are for queues"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        of(**options)
    assert said in caught.value.message
    assert caught.value.message.startswith("trigger nightly: ")


@pytest.mark.parametrize(
    "source", ["", "0 3 * *", "0 0 30 2 *", "61 * * * *", "@reboot", "* * * * *\0", "9" * 5000, "٣ * * * *"]
)
def test_what_is_no_schedule_is_refused(source: str) -> None:
    with pytest.raises(InvalidTrigger, match=r"^trigger nightly: "):
        of(source)


@pytest.mark.parametrize(
    "options", [{"tz": "Europe/Berlin"}, {"catch_up": "none"}, {"overlap": "allow"}, {"late_max": "1"}]
)
def test_only_schedules_have_a_schedule(options: dict[str, str]) -> None:
    with pytest.raises(InvalidTrigger, match="are for cron"):
        trigger_of("mails", "queue", "mails", "mails", options)
    with pytest.raises(InvalidTrigger, match="are for cron"):
        check_trigger(Trigger("x", TriggerKind.TOPIC, "t", "x", overlap=Overlap.ALLOW))


def test_the_next_ticks_are_of_its_zone() -> None:
    shown = [tick.isoformat() for tick in NIGHTLY.next_ticks(datetime(2026, 3, 27, 12, tzinfo=UTC), 3)]
    assert shown == ["2026-03-28T03:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"]
    assert Trigger("x", TriggerKind.TOPIC, "t", "x").next_ticks(datetime.now(UTC)) == ()
