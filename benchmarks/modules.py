"""What modules cost: requests through imports against the same endpoint without, and a publish as an app grows.

Ratios of one run, in one thread, without HTTP: the dispatcher's whole work, its read of the app's revision included.
The database is an embedded server in a temporary home.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from picloud.model.http import Request
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings

REQUESTS = 4000
PUBLISHES = 5
SIZES = (10, 100, 1000)


def main() -> None:
    """Print the cost of a warm request for each shape, and of a publish for each size."""
    with tempfile.TemporaryDirectory() as home, open_platform(Settings(home=Path(home))) as platform:
        requests(platform)
        publishes(platform)


def requests(platform: Platform) -> None:
    """Compare endpoints of one app, in turns."""
    chain = [module(f"c{n}", [f"c{n + 1}"] if n < 8 else []) for n in range(1, 9)]
    diamond = [module("top", [f"d{n}" for n in range(18)]), module("base", [])]
    diamond += [module(f"d{n}", ["base"]) for n in range(18)]
    entries = {"no import": [], "chain of 8": ["c1"], "diamond of 20": ["top"]}
    ends = {f"e{n}": Script(f"e{n}", ScriptKind.ENDPOINT, text(needs)) for n, needs in enumerate(entries.values())}
    publish(platform, "shapes", [*chain, *diamond, *ends.values()])
    times: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(REQUESTS):
        for number, name in enumerate(entries):
            times[name].append(seconds(partial(get, platform, f"/e{number}")))
    base = statistics.median(times["no import"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name}: {median * 1e6:.0f} us, ratio {median / base:.2f}")


def publishes(platform: Platform) -> None:
    """Change one module that nothing else requires in apps of growing size."""
    for size in SIZES:
        scripts = [module(f"m{n}", [f"m{n - 1}"] if n % 5 else []) for n in range(size - 1)]
        name, taken = f"size-{size}", []
        for round_ in range(PUBLISHES + 1):
            changed = Script("changed", ScriptKind.MODULE, f"return {{ value = {round_} }}")
            taken.append(seconds(partial(publish, platform, name, [*scripts, changed])))
        again = statistics.median(taken[1:])
        print(f"publish of {size} scripts: first {taken[0] * 1e3:.0f} ms, one changed {again * 1e3:.0f} ms")


def text(needs: list[str]) -> str:
    """A script that requires modules and returns a function's answer."""
    lines = [f"local {name} = require('{name}')" for name in needs]
    return "\n".join([*lines, "return { value = 1 }"])


def module(name: str, needs: list[str]) -> Script:
    """A module that requires others."""
    return Script(name, ScriptKind.MODULE, text(needs))


def publish(platform: Platform, app: str, scripts: list[Script]) -> None:
    """Make the scripts the app; each endpoint answers `/NAME`."""
    routes = tuple(Route("GET", f"/{s.name}", s.name) for s in scripts if s.kind is ScriptKind.ENDPOINT)
    platform.publisher.publish(app, Manifest(tuple(scripts), routes), author="bench", create=True)


def get(platform: Platform, path: str) -> None:
    """Answer one request."""
    match = platform.dispatcher.match("shapes", "GET", path)
    platform.dispatcher.run(match, Request("GET", path, "id"))


def seconds(work: Callable[[], None]) -> float:
    """Return how long it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
