import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from picloud.errors import DatabaseUnavailable
from picloud.storage.database import Database
from picloud.storage.embedded import Lease, acquire
from picloud.testing.processes import postmaster_pid, scratch_home, wait_until


def kill_server(home: Path) -> None:
    pid = postmaster_pid(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def one(database: Database) -> int:
    with database.connection() as connection:
        row = connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


def test_a_block_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('kept')")
    with pytest.raises(RuntimeError, match="mine"), database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('lost')")
        raise RuntimeError("mine")
    with database.connection() as connection:
        assert connection.execute("SELECT name FROM apps").fetchall() == [("kept",)]


def test_statement_errors_are_the_callers_to_understand(database: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation), database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('a'), ('a')")
    with pytest.raises(psycopg.errors.QueryCanceled), database.connection() as connection:
        connection.execute("SET LOCAL statement_timeout = 1")
        connection.execute("SELECT pg_sleep(10)")
    assert one(database) == 1


def test_no_server_is_unavailable_and_says_nothing_about_it(tmp_path: Path) -> None:
    database = Database(f"host={tmp_path} dbname=secret", pool_size=1, timeout_s=0.2)
    database.open()
    with pytest.raises(DatabaseUnavailable) as failure:
        one(database)
    assert str(tmp_path) not in failure.value.message
    assert failure.value.__cause__ is not None
    database.close()


def test_an_exhausted_pool_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, timeout_s=0.1)
    database.open()
    with database.connection(), pytest.raises(DatabaseUnavailable):
        one(database)
    assert one(database) == 1
    database.close()


def test_a_closed_database_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, timeout_s=0.1)
    database.open()
    database.close()
    with pytest.raises(DatabaseUnavailable):
        one(database)


def test_a_terminated_connection_costs_only_the_block_that_used_it(database: Database, database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable), database.connection() as connection:
        with psycopg.connect(database_url) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        connection.execute("SELECT 1")
    assert one(database) == 1


def test_idle_connections_that_were_terminated_cost_nothing(database: Database, database_url: str) -> None:
    with database.connection() as first, database.connection() as second:
        pids = [first.info.backend_pid, second.info.backend_pid]
    with psycopg.connect(database_url) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert one(database) == 1


class TestWithAServerOfItsOwn:
    @pytest.fixture
    def home(self) -> Iterator[Path]:
        with scratch_home() as home:
            yield home

    @pytest.fixture
    def lease(self, home: Path) -> Iterator[Lease]:
        with acquire(home) as lease:
            yield lease

    def test_a_killed_server_is_unavailable_until_it_is_back(self, home: Path, lease: Lease) -> None:
        database = Database(lease.conninfo(), pool_size=4, timeout_s=10)
        database.open()
        with database.connection() as first, database.connection() as second:
            assert first is not second
        with pytest.raises(DatabaseUnavailable), database.connection() as connection:
            kill_server(home)
            connection.execute("SELECT pg_sleep(60)")
        with acquire(home):
            assert one(database) == 1
        database.close()

    def test_calls_that_wait_out_an_outage_succeed(self, home: Path, lease: Lease) -> None:
        database = Database(lease.conninfo(), pool_size=4, timeout_s=30)
        database.open()
        with database.connection() as connection:
            backend = connection.info.backend_pid
        kill_server(home)
        wait_until(lambda: not psutil.pid_exists(backend))  # until then the connection still answers, or breaks in use
        answers: list[int] = []
        callers = [threading.Thread(target=lambda: answers.append(one(database))) for _ in range(6)]
        for caller in callers:
            caller.start()
        with acquire(home):
            for caller in callers:
                caller.join()
        assert answers == [1] * 6
        database.close()
