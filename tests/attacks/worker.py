"""Runs hostile scripts, one JSON line in, one out; a process of its own, so that a hang or abort shows from outside."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from picloud.engine.executor import Executor
from picloud.engine.testing import run_test
from picloud.engine.validator import check_source
from picloud.errors import PicloudError
from picloud.model.app import App, AppId
from picloud.model.http import Request, Response
from picloud.model.release import TestSource
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

_APP = App(AppId(uuid4()), "victim", 1, datetime.now(UTC))
_MODULES = {
    "greet": Script("greet", ScriptKind.MODULE, 'return { hello = function() return "hello" end }'),
}


def _linked(name: str, kind: ScriptKind, source: str) -> LinkedScript:
    return LinkedScript(Script(name, kind, source), check_source(name, kind, source).imports)


def _call(executor: Executor, source: str) -> Response:
    scripts = {name: _linked(name, s.kind, s.source) for name, s in _MODULES.items()}
    snapshot = Snapshot(_APP, scripts, ())
    request = Request("GET", "/", "id", headers={"cookie": "a=b"})
    return executor.endpoint(_APP, _linked("attack", ScriptKind.ENDPOINT, source), snapshot, request, {})


def _test(executor: Executor, source: str) -> Response:
    result = run_test(executor, _APP, Snapshot(_APP, {}, ()), (), TestSource("attack", source))
    if result.error is not None:
        raise result.error
    return Response(200, (), b"passed")


def _attempt(executor: Executor, order: dict[str, Any], source: str) -> dict[str, Any]:
    started = time.monotonic()
    code, body = "ok", ""
    try:
        run = _test if order["kind"] == "test" else _call
        body = run(executor, source).body[:200].decode("utf-8", "replace")
    except PicloudError as error:
        code, body = error.code, error.message[:200]
    except Exception as error:  # a Python error here is a finding, which the test shows
        code, body = type(error).__name__, str(error)[:200]
    return {"code": code, "body": body, "seconds": time.monotonic() - started}


def main() -> None:
    """Answer orders until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        executor = Executor(limits_of(Settings(run_memory_mb=order["memory_mb"], run_timeout_s=order["timeout_s"])))
        attack = _attempt(executor, order, order["source"])
        probe = _attempt(executor, {"kind": "endpoint"}, order["probe"])
        sys.stdout.write(json.dumps({"attack": attack, "probe": probe}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
