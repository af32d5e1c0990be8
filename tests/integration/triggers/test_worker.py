"""The worker as a process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from procrastinate.jobs import Job, Status

from picloud.platform import Platform
from picloud.storage.embedded import acquire
from picloud.testing.processes import postmaster_pid, scratch_home, wait_until
from picloud.triggers.tasks import HOUSEKEEPING, build_app

WORKER = ("-m", "picloud", "worker")


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_home() as home:
        yield home


@contextmanager
def worker(log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PICLOUD_")}
    environment |= {f"PICLOUD_{name}": value for name, value in settings.items()}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *WORKER], env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or "The worker is ready" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def defer_housekeeping(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW"
            "('default', %s, 0, NULL, NULL, '{\"timestamp\": 0}', NULL)::procrastinate_job_to_defer_v1])",
            [HOUSEKEEPING],
        )


def add_expired_token(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO tokens (name, hash, scopes, expires_at) VALUES ('old', 'x', '{}', now() - interval '1 year')"
        )


def has_expired_token(conninfo: str) -> bool:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT FROM tokens WHERE name = 'old'").fetchone() is not None


def count(conninfo: str, table: str) -> int:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_housekeeping_deletes_expired_tokens_and_leaves_no_job(database_url: str, tmp_path: Path) -> None:
    add_expired_token(database_url)
    with worker(tmp_path / "log", DATABASE_URL=database_url) as process:
        defer_housekeeping(database_url)
        wait_until(lambda: not has_expired_token(database_url))
        wait_until(lambda: count(database_url, "procrastinate_jobs") == 0)
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_the_server_it_held(home: Path, tmp_path: Path, name: signal.Signals) -> None:
    with worker(tmp_path / "log", HOME=str(home)) as process:
        assert postmaster_pid(home) is not None
        process.send_signal(name)
        assert process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert postmaster_pid(home) is None


def test_it_works_again_after_the_database_was_away(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with worker(log, HOME=str(home)) as process:
        server = postmaster_pid(home)
        assert server is not None
        os.kill(server, signal.SIGKILL)
        with acquire(home) as lease:
            add_expired_token(lease.conninfo())
            defer_housekeeping(lease.conninfo())
            wait_until(lambda: not has_expired_token(lease.conninfo()), timeout_s=60)
        process.terminate()
        assert process.wait(30) == 0


def test_no_database_at_the_start_is_an_error(tmp_path: Path) -> None:
    environment = os.environ | {"PICLOUD_DATABASE_URL": f"host={tmp_path} dbname=none"}
    done = subprocess.run([sys.executable, *WORKER], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "database does not answer" in done.stderr.lower()


def test_the_end_of_a_job_the_server_forgot_ends_no_other_of_its_number(platform: Platform) -> None:
    app = build_app(platform.database, platform.deliverer, platform.settings)
    forgotten = Job(id=1, queue="default", lock=None, queueing_lock=None, task_name=HOUSEKEEPING, worker_id=7)

    async def end() -> None:
        async with app.open_async():
            for delete in (True, False):
                await app.job_manager.finish_job(forgotten, Status.SUCCEEDED, delete)

    with platform.database.connection() as connection:
        insert = "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', %s)"
        connection.execute(insert, [HOUSEKEEPING])
    asyncio.run(end())
    with platform.database.connection() as connection:
        assert connection.execute("SELECT id, status FROM procrastinate_jobs").fetchall() == [(1, "todo")]
