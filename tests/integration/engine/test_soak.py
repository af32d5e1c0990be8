"""Threads, apps and deadlines at once; `python -m benchmarks.soak` does the same for a minute."""

from __future__ import annotations

from tests.integration.engine.soak import soak


def test_runs_of_many_apps_at_once_stay_apart() -> None:
    assert soak(3) > 0
