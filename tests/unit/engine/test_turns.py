"""One app's runs leave threads for the others; short runs are never refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import pytest

from picloud.engine.turns import Turns
from picloud.errors import AppBusy
from picloud.model.app import AppId


def new_app() -> AppId:
    return AppId(uuid4())


@pytest.mark.parametrize("threads", [1, 2, 4, 8, 32])
def test_an_app_gets_some_threads_and_leaves_some(threads: int) -> None:
    turns = Turns(threads)
    assert 1 <= turns.runs_max <= threads
    assert threads == 1 or turns.runs_max < threads


def test_long_runs_of_one_app_are_refused_beyond_its_share_and_others_are_not() -> None:
    turns, greedy, other = Turns(8), new_app(), new_app()
    with ExitStack() as held:
        for _ in range(turns.runs_max):
            held.enter_context(turns.turn(greedy))
        for _ in range(2):
            with pytest.raises(AppBusy), turns.turn(greedy):
                pass
        with turns.turn(other):
            pass
    with turns.turn(greedy):
        pass


def test_a_burst_of_short_runs_waits_its_turn() -> None:
    turns, app = Turns(2), new_app()

    def run(_number: int) -> None:
        with turns.turn(app):
            pass

    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(run, range(2000)))) == 2000
    with pytest.raises(ZeroDivisionError), turns.turn(app):
        raise ZeroDivisionError
    run(0)
