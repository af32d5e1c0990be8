"""Run `%%test` sources against scripts that need not be published."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from picloud.engine.executor import Executor, Observe
from picloud.engine.log import Write
from picloud.engine.router import Router
from picloud.engine.validator import check_source
from picloud.errors import (
    CallerError,
    ExpectationFailed,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PicloudError,
    PlatformError,
    RunInterrupted,
    ScriptError,
)
from picloud.lua.state import Scalar
from picloud.model.app import App
from picloud.model.expectation import Expectation, read_expectation
from picloud.model.http import Request, Response
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import ScriptSource, routed_script
from picloud.sdk.run import Run


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one test went."""

    __test__ = False  # not a pytest class

    name: str
    passed: bool
    assertions: int
    """How many held; 0 when it ended with an error of another kind."""
    error: ScriptError | None
    duration_ms: float

    @property
    def expectation(self) -> Expectation | None:
        """The expectation that failed and ended the test, when that is why."""
        return expectation_of(self.error)


def expectation_of(error: PicloudError | None) -> Expectation | None:
    """Return the expectation an error tells of, None for other errors."""
    return read_expectation(error.details) if isinstance(error, ExpectationFailed) and error.details else None


def call_endpoint(
    executor: Executor, app: App, source: ScriptSource, routes: tuple[Route, ...], method: str, target: str,
    *, body: bytes = b"", headers: Mapping[str, str] | None = None, timeout_s: float | None = None,
    write: Write | None = None, observe: Observe | None = None, run: Run | None = None,
) -> Response:  # fmt: skip
    """Answer a request through the real router and executor, without HTTP.

    `target` is a path with an optional query, percent-encoded as in a URL. Raises as `Dispatcher` does.
    """
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        raise InvalidInput(f"{target[:80]!r} is not a path: it starts with '/', for example /hello/ada.")
    route, params = Router(routes).match(method.upper(), unquote(path))
    script = routed_script(source, route.script)
    request = Request(
        method=method.upper(),
        path=unquote(path),
        id=uuid.uuid4().hex if run is None else run.random_bytes(16).hex(),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
    )
    return executor.endpoint(
        app, script, source, request, params, timeout_s=timeout_s, write=write, observe=observe, run=run
    )


def run_test(
    executor: Executor, app: App, source: ScriptSource, routes: tuple[Route, ...], test: TestSource,
    *, timeout_s: float | None = None, write: Write | None = None, observe: Observe | None = None,
) -> TestResult:  # fmt: skip
    """Run one test; a script's error is its result.

    `PlatformError`, `InvalidScript` and `RunInterrupted` are raised. `timeout_s` shortens the limit.
    """

    def call(
        run: Run, left_s: float, method: bytes, target: bytes, body: bytes, header_lines: bytes
    ) -> tuple[Scalar, ...]:
        fields = header_lines.decode("utf-8", "replace").split("\n") if header_lines else []
        return _answer(
            lambda: call_endpoint(
                executor, app, source, routes, method.decode("utf-8", "replace"), target.decode("utf-8", "replace"),
                body=body, headers=dict(zip(fields[::2], fields[1::2], strict=True)),
                timeout_s=left_s, write=write, observe=observe, run=run,
            )
        )  # fmt: skip

    imports = check_source(test.name, ScriptKind.ENDPOINT, test.source).imports
    linked = LinkedScript(Script(test.name, ScriptKind.ENDPOINT, test.source), imports)
    started = time.perf_counter()
    error: ScriptError | None = None
    assertions = 0
    try:
        assertions = executor.test(app, linked, source, call, timeout_s=timeout_s, write=write, observe=observe)
    except RunInterrupted:  # it has not failed, and nothing goes on after it
        raise
    except ScriptError as failure:
        error, failed = failure, expectation_of(failure)
        assertions = failed.held if failed else 0
    return TestResult(test.name, error is None, assertions, error, (time.perf_counter() - started) * 1000)


def _answer(respond: Callable[[], Response]) -> tuple[Scalar, ...]:
    """Give a test the response it would get over HTTP, with the error's own words in place of an error page."""
    try:
        response = respond()
    except PlatformError:
        raise
    except MethodNotAllowed as error:
        return _problem(405, error.code, error.message)
    except NotFound as error:
        return _problem(404, error.code, error.message)
    except CallerError as error:
        return _problem(400, error.code, error.message)
    except ScriptError as error:
        return _problem(500, error.code, error.message)
    headers: dict[str, Any] = dict(response.headers)
    kind = headers.pop("content-type", "")
    return response.status, kind, response.body, "\n".join(f"{name}\n{value}" for name, value in headers.items())


def _problem(status: int, code: str, message: str) -> tuple[Scalar, ...]:
    return status, "application/json", json.dumps({"error": {"code": code, "message": message}}), ""
