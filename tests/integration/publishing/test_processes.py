"""Publishes of real processes: killed at any moment, they leave the old or the new release; of several, one wins."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from pydantic import SecretStr

from picloud.errors import Conflict
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings

KILLS = 40
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def version(number: int) -> Manifest:
    """Many parts that all say the same number."""
    scripts = tuple(Script(f"m{n:02}", ScriptKind.MODULE, f"return {{ v = {number} }}") for n in range(10))
    ends = tuple(Script(f"z{n}", ScriptKind.ENDPOINT, f"return {number}") for n in range(3))
    routes = tuple(Route("GET", f"/{number}/{n}", f"z{n}") for n in range(3))
    return Manifest(scripts + ends, routes, (TestSource("t", f"assert({number} > 0)"),))


def settings_of(home: Path, url: str) -> Settings:
    return Settings(home=home, database_url=SecretStr(url))


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(settings_of(tmp_path, database_url)) as opened:
        yield opened


def publish_for_ever(home: Path, url: str, start: int, ready: Connection) -> None:
    """Tell before the first publish, and after it."""
    with open_platform(settings_of(home, url)) as platform:
        for number in range(start, start + 10_000):
            if number <= start + 1:
                ready.send(number)
            platform.publisher.publish("app", version(number), author=f"process {os.getpid()}", create=True)


def publish_once(home: Path, url: str, number: int, base: int, barrier: object, outcome: Connection) -> None:
    with open_platform(settings_of(home, url)) as platform:
        barrier.wait()  # type: ignore[attr-defined]
        try:
            platform.publisher.publish("app", version(number), author=f"process {number}", create=True, base=base)
            outcome.send((number, ""))
        except Conflict as error:
            outcome.send((0, error.message))


def test_a_publish_killed_at_any_moment_leaves_the_old_or_the_new_release(
    platform: Platform, database_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    seen = set()
    for kill in range(KILLS):
        ours, theirs = PROCESSES.Pipe()
        process = PROCESSES.Process(target=publish_for_ever, args=(tmp_path, database_url, 1 + kill * 10_000, theirs))
        process.start()
        assert process.pid is not None
        ours.recv()
        if kill % 4:  # the others are killed at their first, perhaps
            ours.recv()
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        live = platform.publisher.live("app")
        if live == Manifest():  # killed before its first publish was done
            continue
        app = platform.apps.get("app")
        latest = platform.releases.latest(app.id)
        assert latest is not None
        assert live == latest.manifest
        assert app.revision == latest.number
        assert live == version(int(live.scripts[-1].source.removeprefix("return ")))
        seen.add(latest.number)
    assert len(seen) > KILLS // 2, "hardly any publish was under way"
    numbers = [release.number for release in platform.releases.list(platform.apps.get("app").id)]
    assert numbers == list(range(len(numbers), 0, -1))


@pytest.mark.parametrize("is_new", [True, False])
def test_of_two_processes_that_publish_at_once_one_wins(
    platform: Platform, database_url: str, tmp_path: Path, is_new: bool
) -> None:
    base = 0 if is_new else platform.publisher.publish("app", version(99), author="t", create=True).release.number
    barrier = PROCESSES.Barrier(2)
    pipes = [PROCESSES.Pipe() for _ in range(2)]
    processes = [
        PROCESSES.Process(target=publish_once, args=(tmp_path, database_url, number, base, barrier, theirs))
        for number, (_, theirs) in enumerate(pipes, start=1)
    ]
    for process in processes:
        process.start()
    outcomes = [ours.recv() for ours, _ in pipes]
    for process in processes:
        process.join()
    [winner] = [number for number, _ in outcomes if number]
    [refused] = [message for number, message in outcomes if not number]
    assert f"release {base + 1} by process {winner} changed" in refused
    assert platform.publisher.live("app") == version(winner)
