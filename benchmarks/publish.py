"""Publishing: what part of seeded breaking changes the gate stops, and how soon a commit is what callers get.

The changes are made to the modules of the example notebooks, whose own tests are the gate. The time is from the commit
of a release to the first answer of the new version, over HTTP, from a data plane that is another process.
"""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from picloud.errors import InvalidInput, TestsFailed
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.notebook import author, load_notebook
from picloud.settings import Settings

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PUBLISHES = 100
CHANGES = 300
SEED = 1
BREAKING = (
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r"==", "~="),
    (r"~=", "=="),
    (r"\band\b", "or"),
    (r"\bor\b", "and"),
    (r"\bnot ", ""),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r" < ", " > "),
    (r" > ", " < "),
    (r"\.\. ", '.. "x" .. '),
    (r"\breturn (?=[^\n]*\S)(?!M\b)", "return nil and "),
    (r"(?<=function M\.)\w+", "renamed"),
    (r"(?<![\w.])[0-9]+\b", "7777"),
)
"""What is looked for in a module, and what it becomes."""


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as home, open_platform(Settings(home=Path(home))) as platform:
        _gate(platform)
        _first_answers(platform, home)


def _gate(platform: Platform) -> None:
    manifests = [_manifest(file) for file in sorted(NOTEBOOKS.glob("*.ipynb"))]
    sound = [manifest for manifest in manifests if not _is_stopped(platform, manifest)]
    changed = [change for manifest in sound for change in _changes(manifest)]
    chosen = random.Random(SEED).sample(changed, min(CHANGES, len(changed)))
    passed = [what for what, manifest in chosen if not _is_stopped(platform, manifest)]
    for what in passed:
        print(f"  not stopped: {what}")
    stopped = len(chosen) - len(passed)
    print(f"gate: {stopped} of {len(chosen)} breaking changes stopped, {100 * stopped / len(chosen):.1f} %")


def _manifest(file: Path) -> Manifest:
    """Return what a notebook has defined at its end: of cells that begin alike the last one counts."""
    notebook = load_notebook(file)
    last = {"".join(cell["source"]).partition("\n")[0]: cell for cell in notebook["cells"]}
    return author([(file.name, {**notebook, "cells": list(last.values())})]).manifest


def _changes(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Yield the manifest with one change at one place of one module, and what was changed."""
    if not manifest.tests:
        return
    for script in manifest.scripts:
        if script.kind is not ScriptKind.MODULE:
            continue
        code = re.sub(r"--[^\n]*", lambda comment: " " * len(comment[0]), script.source)
        for pattern, instead in BREAKING:
            for found in re.finditer(pattern, code):
                source = script.source[: found.start()] + instead + script.source[found.end() :]
                line = script.source.count("\n", 0, found.start()) + 1
                scripts = tuple(replace(s, source=source) if s == script else s for s in manifest.scripts)
                yield f"{script.name}, line {line}: {found[0]!r} -> {instead!r}", replace(manifest, scripts=scripts)


def _is_stopped(platform: Platform, manifest: Manifest) -> bool:
    name = "mutants"
    try:
        platform.publisher.publish(name, manifest, author="benchmark", create=True)
    except (TestsFailed, InvalidInput):
        return True
    platform.apps.delete(name)
    return False


def _first_answers(platform: Platform, home: str) -> None:
    port = _free_port()
    run = [sys.executable, "-m", "picloud", "serve", "--port", str(port)]
    with subprocess.Popen(run, env=os.environ | {"PICLOUD_HOME": home}) as server:
        try:
            _publish(platform, 0)
            _wait_for(port, 0)
            times = [_first_answer(platform, port, version) for version in range(1, PUBLISHES + 1)]
        finally:
            server.terminate()
    p95 = quantiles(times, n=20)[-1]
    print(f"commit to first answer over {PUBLISHES} publishes: median {median(times):.2f} ms, p95 {p95:.2f} ms")


def _first_answer(platform: Platform, port: int, version: int) -> float:
    """Return the milliseconds from a commit to the first answer of its version."""
    _publish(platform, version)
    committed = time.perf_counter()
    _wait_for(port, version)
    return (time.perf_counter() - committed) * 1000


def _publish(platform: Platform, version: int) -> None:
    modules = [Script(f"m{number}", ScriptKind.MODULE, f"return {{ n = {number} }}") for number in range(20)]
    endpoint = Script("hello", ScriptKind.ENDPOINT, f'local m = require("m1")\nreturn "{version} " .. m.n')
    manifest = Manifest((endpoint, *modules), (Route("GET", "/hello", "hello"),))
    platform.publisher.publish("fresh", manifest, author="benchmark", create=True)


def _wait_for(port: int, version: int) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/run/fresh/hello") as response:
                if response.read() == f"{version} 1".encode():
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
