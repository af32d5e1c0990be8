"""What becomes of a job that failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from procrastinate import App
from procrastinate.jobs import Job
from procrastinate.tasks import Task

from picloud.errors import DatabaseUnavailable
from picloud.settings import Settings
from picloud.storage.database import Database
from picloud.triggers.deliverer import Deliverer
from picloud.triggers.tasks import DELIVER, FAULT_PAUSE_MAX_S, FAULT_PAUSE_S, STALLED, build_app


@pytest.fixture
def app() -> App:
    database = Database("host=none", pool_size=1, timeout_s=1)
    return build_app(database, cast(Deliverer, None), Settings())


@pytest.fixture
def task(app: App) -> Task[..., object, ...]:
    return app.tasks[DELIVER]


def test_dead_workers_are_looked_for_whatever_waits(app: App) -> None:
    assert (app.tasks[STALLED].priority or 0) > (app.tasks[DELIVER].priority or 0)


def test_dead_workers_are_looked_for_every_ten_seconds(app: App) -> None:
    moments = app.periodic_registry.periodic_tasks[STALLED, ""].croniter
    moments.set_current(start_time=0.0)
    assert [moments.get_next(ret_type=float) for _ in range(7)] == [10, 20, 30, 40, 50, 60, 70]


@pytest.mark.parametrize(
    ("attempts", "pause_s"),
    [(0, FAULT_PAUSE_S), (1, 2 * FAULT_PAUSE_S), (50, FAULT_PAUSE_MAX_S), (10**6, FAULT_PAUSE_MAX_S)],
)
@pytest.mark.parametrize(("fault", "has_traceback"), [(DatabaseUnavailable(), False), (RuntimeError("x"), True)])
def test_a_delivery_comes_again_after_any_fault_and_the_log_says_so(
    task: Task[..., object, ...], attempts: int, pause_s: float, fault: Exception, has_traceback: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    job = Job(
        id=7, queue="triggers", lock=None, queueing_lock=None, task_name=DELIVER, attempts=attempts,
        task_kwargs={"trigger": "mails"},
    )  # fmt: skip
    before = datetime.now(UTC)
    again = task.get_retry_exception(fault, job)
    assert again is not None
    assert again.retry_decision.retry_at is not None
    pause = again.retry_decision.retry_at - before
    assert timedelta(seconds=pause_s) <= pause < timedelta(seconds=pause_s + 60)
    [record] = caplog.records
    assert "mails" in record.getMessage()
    assert bool(record.exc_info) is has_traceback
