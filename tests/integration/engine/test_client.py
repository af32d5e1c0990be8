"""The executor's client: who runs a call, at which revision, and for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.engine.client import Call, ExecutorClient, ScriptIdentity
from picloud.errors import NotFound, StaleRevision, TimeLimitExceeded
from picloud.model.http import Request, Response
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings


@pytest.fixture
def open_node(database_url: str, tmp_path: Path) -> Iterator[Callable[[], Platform]]:
    settings = Settings(home=tmp_path, database_url=SecretStr(database_url))
    with ExitStack() as stack:
        yield lambda: stack.enter_context(open_platform(settings))


def publish(platform: Platform, text: str) -> None:
    manifest = Manifest((Script("who", ScriptKind.ENDPOINT, text),), (Route("GET", "/who", "who"),))
    platform.publisher.publish("blog", manifest, author="cli:test", create=True)


def call_of(platform: Platform, *, deadline: float | None = None) -> Call:
    app = platform.apps.get("blog")
    return Call(app.id, app.name, app.revision, "who", {}, Request("GET", "/who", "id"), deadline)


def test_the_revision_of_the_call_is_run_while_it_is_kept(open_node: Callable[[], Platform]) -> None:
    node, fresh = open_node(), open_node()
    publish(node, "return 'old'")
    call = call_of(node)
    assert node.local.execute(call).body == b"old"
    publish(node, "return 'new'")
    assert node.local.execute(call).body == b"old"
    with pytest.raises(StaleRevision):
        fresh.local.execute(call)
    assert fresh.local.execute(call_of(node)).body == b"new"


def test_an_app_of_the_same_name_that_came_later_is_not_the_one_meant(open_node: Callable[[], Platform]) -> None:
    node, fresh = open_node(), open_node()
    publish(node, "return 'old'")
    call = call_of(node)
    node.apps.delete("blog")
    with pytest.raises(NotFound):
        fresh.local.execute(call)
    publish(node, "return 'new'")
    with pytest.raises(StaleRevision):
        fresh.local.execute(call)


def test_a_deadline_that_has_passed_stops_the_run(open_node: Callable[[], Platform]) -> None:
    node = open_node()
    publish(node, "while true do end")
    with pytest.raises(TimeLimitExceeded):
        node.local.execute(call_of(node, deadline=time.monotonic() - 1))


def test_with_an_identity_nothing_is_looked_up(open_node: Callable[[], Platform]) -> None:
    node = open_node()
    publish(node, "return 'found'")
    match = node.dispatcher.match("blog", "GET", "/who")
    script = match.snapshot.find("who")
    assert script is not None
    call = call_of(node)
    node.apps.delete("blog")
    before = node.caches["snapshots"].read()
    identity = ScriptIdentity(script, match.snapshot)
    assert node.local.execute_with_identity(identity, call).body == b"found"
    assert node.local.execute_with_identity(identity, call).body == b"found"
    assert node.caches["snapshots"].read() == before
    assert node.caches["chunks"].read().hits == 1


def test_a_client_that_has_no_use_for_identities_gets_the_plain_call(open_node: Callable[[], Platform]) -> None:
    node = open_node()
    publish(node, "return 1")
    match = node.dispatcher.match("blog", "GET", "/who")
    script = match.snapshot.find("who")
    assert script is not None
    calls: list[Call] = []

    class Plain(ExecutorClient):
        def execute(self, call: Call, *, observe: object = None) -> Response:
            calls.append(call)
            return Response(204, (), b"")

    call = call_of(node)
    assert Plain().execute_with_identity(ScriptIdentity(script, match.snapshot), call).status == 204
    assert calls == [call]
