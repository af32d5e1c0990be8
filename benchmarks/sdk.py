"""What a call of the SDK costs: kv.get and kv.set from a script, against the same statement from bare psycopg.

Both in one thread of one process, on one database, in turns; the figures are medians of rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from picloud.model.app import App
from picloud.model.http import Request
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.storage.prepare import prepared
from picloud.storage.queries import load

CALLS = 2000
ROUNDS = 7
SOURCES = {
    "kv.get": f'for i = 1, {CALLS} do kv.get("key") end',
    "kv.set": f'for i = 1, {CALLS} do kv.set("key", "value") end',
}


def main() -> None:
    """Print one line per function."""
    with tempfile.TemporaryDirectory(prefix="picloud-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        settings = Settings(home=home, run_timeout_s=60, run_cpu_s=60, run_calls_max=2 * CALLS)
        with open_platform(settings) as platform, prepared(settings) as conninfo:
            scripts = tuple(Script(name, ScriptKind.ENDPOINT, text) for name, text in sorted(SOURCES.items()))
            routes = tuple(Route("GET", f"/{name}", name) for name in sorted(SOURCES))
            platform.publisher.publish("bench", Manifest(scripts, routes), author="bench", create=True)
            app = platform.apps.get("bench")
            with psycopg.connect(conninfo, autocommit=True) as connection:
                for name in SOURCES:
                    compare(name, platform, lambda name=name: bare(connection, app, name))  # type: ignore[misc]


def compare(name: str, platform: Platform, plain: Callable[[], None]) -> None:
    """Time both in turns."""
    match = platform.dispatcher.match("bench", "GET", f"/{name}")
    script_s, plain_s = [], []
    for _ in range(ROUNDS):
        script_s.append(timed(lambda: platform.dispatcher.run(match, Request("GET", f"/{name}", "id"))))
        plain_s.append(timed(plain))
    script, other = CALLS / statistics.median(script_s), CALLS / statistics.median(plain_s)
    print(f"{name}: {script:.0f}/s from a script, {other:.0f}/s from psycopg, ratio {script / other:.2f}")


def bare(connection: psycopg.Connection, app: App, name: str) -> None:
    """Run the statement of a function as often as the script does."""
    statement = load("kv.sql")[name.removeprefix("kv.")]
    values = {"app_id": app.id, "key": b"key", "is_json": False, "value": b"value", "expires": None}
    values |= {"only_if_absent": False}
    for _ in range(CALLS):
        connection.execute(statement, values | {"now": time.time()}).fetchall()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
