"""Triggers: events per second from a commit to their end, beside bare procrastinate with jobs that do nothing.

Both have worker processes of the same kind, with as many threads and the same settings, on one server; each has a
database of its own, and all are there all the time. The rounds of the two take turns. The delay is from the commit of
single messages to the start of their runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import LiteralString
from uuid import UUID

import psycopg
from procrastinate import App, PsycopgConnector

from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.storage.migrate import default_folder
from picloud.triggers.tasks import POOL_SIZE
from picloud.triggers.worker import work

EVENTS = 1000
ROUNDS = 5
SINGLE = 300
PAUSE_S = 0.02
LOAD: LiteralString = """
INSERT INTO events (app_id, id, kind, name, is_json, payload, due_at, sent_at)
SELECT %(app_id)s, gen_random_uuid(), 'queue', %(queue)s, true, convert_to(n::text, 'UTF8'), now(), now()
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
"""
PEER_LOAD: LiteralString = """
SELECT procrastinate_defer_jobs_v1(array_agg(ROW('default', 'nothing', 0, NULL, NULL, jsonb_build_object('n', n), NULL)
    ::procrastinate_job_to_defer_v1))
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
"""


def main() -> None:
    """Print a row for one and for two workers."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as home, open_platform(Settings(home=Path(home))) as platform:
        app_id = _publish(platform)
        peer = _peer_database(platform.database.conninfo)
        print(f"{settings.worker_threads} threads each, {EVENTS} events a round, median of {ROUNDS} rounds")
        print("workers  events/s  bare jobs/s  ratio  commit to start: p50      p99")
        with ExitStack() as running:
            for workers in (1, 2):
                running.enter_context(_worker(home, "-m", "picloud", "worker"))
                running.enter_context(_worker(home, "-m", "benchmarks.triggers", peer))
                _row(platform, app_id, peer, workers)


def _row(platform: Platform, app_id: UUID, peer: str, workers: int) -> None:
    ours, theirs = [], []
    values = {"app_id": app_id, "queue": "load", "first": 1, "last": EVENTS}
    for _ in range(ROUNDS):
        ours.append(_rate(platform.database.conninfo, LOAD, values, "events"))
        theirs.append(_rate(peer, PEER_LOAD, values, "procrastinate_jobs"))
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    delays = _delays(platform, app_id)
    rates = f"{workers:7}  {median(ours):8.0f}  {median(theirs):11.0f}  {ratio:5.2f}"
    print(f"{rates}  {median(delays):17.1f} ms  {quantiles(delays, n=100)[-1]:5.1f} ms", flush=True)


def _rate(conninfo: str, load: LiteralString, values: dict[str, object], table: LiteralString) -> float:
    """Return how many a second are done, from the commit until none is left."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        _wait_until(lambda: _is_empty(connection, table))
        connection.execute(load, values)
        committed = time.perf_counter()
        _wait_until(lambda: _is_empty(connection, table))
        return EVENTS / (time.perf_counter() - committed)


def _delays(platform: Platform, app_id: UUID) -> list[float]:
    """Return the milliseconds from the commit of a message to the start of its run, for messages one by one."""
    committed = {}
    with psycopg.connect(platform.database.conninfo, autocommit=True) as connection:
        connection.execute("DELETE FROM kv_entries")
        for number in range(SINGLE):
            connection.execute(LOAD, {"app_id": app_id, "queue": "single", "first": number, "last": number})
            committed[number] = time.time()
            time.sleep(PAUSE_S)
        _wait_until(lambda: _is_empty(connection, "events"))
        started = connection.execute("SELECT convert_from(key, 'UTF8'), convert_from(value, 'UTF8') FROM kv_entries")
        return [1000 * (float(at) - committed[int(number)]) for number, at in started]


def _is_empty(connection: psycopg.Connection, table: LiteralString) -> bool:
    left = f"SELECT EXISTS (SELECT FROM {table} LIMIT 1)"
    return connection.execute(left).fetchone() == (False,)


def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def _publish(platform: Platform) -> UUID:
    scripts = (
        Script("load", ScriptKind.ENDPOINT, "return"),
        Script("single", ScriptKind.ENDPOINT, "local at = time.now() kv.set(tostring(event.message), at)"),
    )
    triggers = tuple(Trigger(s.name, TriggerKind.QUEUE, s.name, s.name) for s in scripts)
    platform.publisher.publish("load", Manifest(scripts, triggers=triggers), author="benchmark", create=True)
    return platform.apps.get("load").id


def _peer_database(conninfo: str) -> str:
    """Make a database that has the schema of procrastinate and nothing else; return how to connect to it."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
    peer = psycopg.conninfo.make_conninfo(conninfo, dbname="peer")
    with psycopg.connect(peer, autocommit=True) as connection:
        connection.execute((default_folder() / "0002_procrastinate.sql").read_bytes())
    return peer


@contextmanager
def _worker(home: str, *command: str) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        environment = os.environ | {"PICLOUD_HOME": home}
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)

        def is_ready() -> bool:
            log.seek(0)
            return b"The worker is ready" in log.read() or process.poll() is not None

        _wait_until(is_ready)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def run_peer(conninfo: str) -> None:
    """Run jobs that do nothing, as `picloud worker` runs its own, over the connector as procrastinate has it."""
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    settings = Settings()
    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=POOL_SIZE))

    @app.task(name="nothing")
    def nothing(n: int) -> None:
        pass

    asyncio.run(work(app, settings.worker_threads, drain_s=1.0, interrupt=lambda: None))


if __name__ == "__main__":
    if sys.argv[1:]:
        run_peer(sys.argv[1])
    else:
        main()
