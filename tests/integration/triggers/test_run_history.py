"""Runs of triggers in the history: which events, at which attempt, how they ended, and what was delivered again."""

from __future__ import annotations

import json

import pytest

from picloud.engine.executor import Executor
from picloud.engine.run_input import RunInput
from picloud.errors import DatabaseUnavailable, PicloudError, RunInterrupted
from picloud.model.run import RunRecord, RunStatus
from picloud.storage.runs import ANY, RunFilter
from tests.integration.sdk.conftest import Lua
from tests.integration.triggers.conftest import World


def runs(world: World, wanted: RunFilter = ANY) -> list[RunRecord]:
    """Return the runs of the app, oldest first, with their inputs."""
    platform = world.platform
    platform.history.flush()
    app_id = platform.apps.get("shop").id
    found = platform.run_records.list(app_id, wanted).runs
    return [platform.run_records.get(app_id, str(run.id)) for run in reversed(found)]


def given(run: RunRecord) -> RunInput:
    assert run.input
    return RunInput.model_validate_json(run.input)


def test_each_attempt_is_a_run(world: World) -> None:
    world.publish("%%trigger mails queue mails retries=1\nlog.info('try', event.attempt)\nerror('no')")
    send(world, {"to": "ada"})
    world.finish()
    first, second = runs(world)
    assert (first.kind, first.trigger, first.script, first.subject) == ("queue", "mails", "mails", "queue mails")
    assert (first.status, first.code, first.message) == (RunStatus.FAILED, "script_runtime_error", "no")
    assert (first.http_status, first.principal, first.request_id) == (None, None, None)
    assert first.events == second.events
    assert [message.attempt for run in (first, second) for message in given(run).messages] == [1, 2]
    [message] = given(first).messages
    assert message.event.payload
    assert json.loads(message.event.payload) == {"to": "ada"}
    assert [line["message"] for line in second.details["log"]] == ["try"]


def test_a_run_of_a_redriven_letter_names_it(world: World) -> None:
    world.publish("%%trigger mails queue mails retries=0\nerror('no')")
    send(world, 1)
    world.finish()
    [(letter,)] = world.rows("SELECT id FROM dead_letters")
    app_id = world.platform.apps.get("shop").id
    world.publish("%%trigger mails queue mails retries=0\nlog.info('fine')")
    assert world.platform.dead_letters.redrive(app_id, letter, by="test")
    world.finish()
    before, after = runs(world)
    assert (before.status, before.redrives) == (RunStatus.FAILED, None)
    assert (after.status, after.redrives, after.events) == (RunStatus.SUCCEEDED, letter, before.events)
    assert runs(world, RunFilter(redrives=letter)) == [after]


def test_a_batch_is_one_run_of_many_events(world: World) -> None:
    world.publish("%%trigger mails queue mails batch=10\nlog.info(#event.messages)")
    for number in range(3):
        send(world, number)
    world.finish()
    [run] = runs(world)
    assert run.subject == "queue mails and 2 more"
    assert len(set(run.events)) == len(given(run).messages) == 3
    for event in run.events:
        assert runs(world, RunFilter(event=event)) == [run]


@pytest.mark.parametrize(
    ("cell", "cause", "subject"),
    [
        ("%%trigger t kv user:*", "kv.set('user:ada', 1)", "set user:ada"),
        ("%%trigger t docs users", "docs.insert('users', {}, { id = 'ada' })", "insert users/ada"),
        ("%%trigger t topic news", "pubsub.publish('news', 1)", "topic news"),
    ],
)
def test_what_happened_is_told_in_short(world: World, lua: Lua, cell: str, cause: str, subject: str) -> None:
    world.publish(f"{cell}\nlog.info('x')")
    lua(cause)
    world.finish()
    [run] = runs(world)
    assert run.subject == subject


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DatabaseUnavailable, RunStatus.FAULT, "database_unavailable"),
        (RunInterrupted, RunStatus.INTERRUPTED, "run_interrupted"),
    ],
)
def test_a_fault_of_the_platform_is_told_as_one(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[PicloudError], status: RunStatus, code: str
) -> None:
    world.publish("%%trigger mails queue mails\nkv.get('x')")
    send(world, 1)

    def lost(*_arguments: object, **_options: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Executor, "trigger", lost)
        with pytest.raises(error):
            world.work()
    world.finish()
    cut_off, done = runs(world)
    assert (cut_off.status, cut_off.code) == (status, code)
    assert (done.status, given(done).messages[0].attempt) == (RunStatus.SUCCEEDED, 1)


def send(world: World, message: object) -> None:
    with world.platform.database.connection() as connection:
        connection.execute(
            "INSERT INTO events (app_id, id, kind, name, is_json, payload, due_at, sent_at) "
            "SELECT id, gen_random_uuid(), 'queue', 'mails', true, %s, now(), now() FROM apps WHERE name = 'shop'",
            (json.dumps(message).encode(),),
        )
