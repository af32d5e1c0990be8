"""Eight endless loops of one app at once, while somebody else calls another app, Jupyter's API and the admin API.

Prints p50 and p99 of each, idle and under the loops, of one run of `picloud lab` with its defaults. The loops are asked
for again whenever they end, so the app is at its limits all the time.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from picloud.testing.processes import scratch_home
from tests.acceptance.test_jupyter_server import Lab, running_lab

CALLS = 400
LOOPS = 8
APPS = {
    "good": "return { message = 'hello ' .. request.query.name }",
    "evil": "while true do end",
}


def main() -> None:
    """Start a lab, publish both apps, measure twice."""
    with scratch_home(in_memory=False) as home, running_lab(Path(home)) as lab:
        for app, source in APPS.items():
            publish(lab, app, source)
        targets: dict[str, Callable[[httpx.Client], httpx.Response]] = {
            "another app's endpoint": lambda c: c.get(f"{lab.data_plane}/run/good/?name=ada"),
            "Jupyter's API": lambda c: c.get(f"{lab.url}/api/status?token={lab.token}"),
            "admin API": lambda c: c.get(f"{lab.url}/picloud/api/v1/apps?token={lab.token}"),
        }
        idle = {name: measure(call) for name, call in targets.items()}
        with Attack(f"{lab.data_plane}/run/evil/") as attack:
            loaded = {name: measure(call) for name, call in targets.items()}
        for name in targets:
            (p50, p99), (busy50, busy99) = idle[name], loaded[name]
            print(
                f"{name}: idle p50 {p50:.1f} ms p99 {p99:.1f} ms, under {LOOPS} loops "
                f"p50 {busy50:.1f} ms p99 {busy99:.1f} ms (p99 ratio {busy99 / p99:.1f})"
            )
        print(f"the loops' own answers: {dict(attack.statuses)}")


def publish(lab: Lab, app: str, source: str) -> None:
    """Make a release with one endpoint on /."""
    manifest = {
        "scripts": [{"name": "main", "kind": "endpoint", "source": source}],
        "routes": [{"method": "GET", "pattern": "/", "script": "main"}],
        "tests": [],
    }
    lab.api("POST", "/apps", json={"name": app}).raise_for_status()
    lab.api("POST", f"/apps/{app}/releases", json={"manifest": manifest}).raise_for_status()


def measure(call: Callable[[httpx.Client], httpx.Response]) -> tuple[float, float]:
    """Return p50 and p99 in ms of calls one after the other; each must succeed."""
    times = []
    with httpx.Client(timeout=30) as client:
        for number in range(CALLS + 20):
            started = time.perf_counter()
            call(client).raise_for_status()
            if number >= 20:
                times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return times[CALLS // 2], times[CALLS * 99 // 100]


class Attack:
    """Callers that ask for the endless loop again and again."""

    def __init__(self, url: str) -> None:
        self.statuses: collections.Counter[int] = collections.Counter()
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(LOOPS)]

    def __enter__(self) -> Attack:
        for thread in self._threads:
            thread.start()
        time.sleep(1)  # the loops hold what they can get
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._over.is_set():
                status = client.get(self._url).status_code
                self.statuses[status] += 1
                if status == 503:
                    self._over.wait(0.2)


if __name__ == "__main__":
    main()
