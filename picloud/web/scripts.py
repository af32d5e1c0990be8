"""Script routes: `/run/{app}/{path}`. The hot path, so plain WSGI: match, authorize, read, run, answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from picloud.auth.policy import may_call, require_scopes, sees
from picloud.auth.tokens import bearer_token
from picloud.engine.router import no_route
from picloud.errors import InvalidInput, NotFound, StaleRevision, Unauthenticated
from picloud.model.app import APP_NAME
from picloud.model.http import Request, Response
from picloud.model.principal import Principal, Scope
from picloud.model.run import RunReport
from picloud.web.caller import caller
from picloud.web.problems import Audience, problem_of
from picloud.web.services import Services
from picloud.web.wsgi import (
    Environ,
    Headers,
    StartResponse,
    decoded_path,
    header_fields,
    query_pairs,
    read_body,
    request_id,
    script_headers,
    send,
)

if TYPE_CHECKING:
    from picloud.engine.dispatcher import Dispatcher

PREFIX = "/run/"
RELEASE = "HTTP_X_PICLOUD_RELEASE"
"""The environ key of the header that asks for an old release: `X-PiCloud-Release: 3`."""
STALE_MAX = 3
"""Times a request looks for its route again."""
_RELEASE_NUMBER = re.compile("[1-9][0-9]{0,17}")
_MAY_CALL_RELEASES = frozenset({Scope.APP_ADMIN})


class ScriptRoutes:
    """The WSGI application below `/run/`."""

    def __init__(self, services: Services) -> None:
        self._dispatcher = services.dispatcher
        self._old_releases = services.old_releases
        self._apps = services.apps
        self._tokens = services.tokens
        self._body_limit_bytes = services.settings.body_max_mb * 2**20

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; every error becomes a response."""
        try:
            response, timing = self._run_current(environ)
            headers = script_headers(response.headers) + timing
        except Exception as error:
            problem = problem_of(error, request_id(environ), Audience.CALLER)
            return send(environ, start_response, problem.status, list(problem.headers), problem.body)
        return send(environ, start_response, response.status, headers, response.body)

    def _run_current(self, environ: Environ) -> tuple[Response, Headers]:
        """Find the route anew when a publish landed before the run began."""
        for _ in range(STALE_MAX):
            with suppress(StaleRevision):
                return self._run(environ)
        return self._run(environ)

    def _run(self, environ: Environ) -> tuple[Response, Headers]:
        """Return the answer, and what the run used when the route tells it."""
        app_name, path = split_run_path(decoded_path(environ))
        method = environ["REQUEST_METHOD"]
        principal = caller(environ, self._tokens)
        release = environ.get(RELEASE)
        dispatcher = self._dispatcher if release is None else self._released(principal, app_name, path, release)
        match = dispatcher.match(
            app_name, method, path, may_know=lambda app, route: may_call(route.auth, principal, app)
        )
        if not may_call(match.route.auth, principal, match.app):
            raise no_route(path) if principal else Unauthenticated
        request = Request(
            method=method,
            path=path,
            id=request_id(environ),
            query=query_pairs(environ),
            headers=_headers_for_script(environ),
            body=read_body(environ, self._body_limit_bytes),
            principal=principal.name if principal and sees(principal, match.app) else None,  # else a stranger
        )
        if not match.route.timing:
            return dispatcher.run(match, request), []
        reports: list[RunReport] = []
        response = dispatcher.run(match, request, observe=reports.append)
        return response, [("server-timing", server_timing(report)) for report in reports]

    def _released(self, principal: Principal | None, app_name: str, path: str, number: str) -> Dispatcher:
        """Return what answers from an old release, to whoever administers the app; no other learns what it has been."""
        if principal is None:
            raise Unauthenticated
        try:
            app = self._apps.get(app_name)
        except NotFound:
            raise no_route(path) from None
        if not sees(principal, app):
            raise no_route(path)
        require_scopes(principal, _MAY_CALL_RELEASES)
        if not _RELEASE_NUMBER.fullmatch(number):
            raise InvalidInput(f"X-PiCloud-Release: {number[:40]!r} is not the number of a release.")
        return self._old_releases.dispatcher(app, int(number))


def split_run_path(path: str) -> tuple[str, str]:
    """Return app name and path below it of `/run/{app}/{path}`; raise `NotFound` for what cannot name an app."""
    name, slash, rest = path[len(PREFIX) :].partition("/")
    if not APP_NAME.fullmatch(name):
        raise no_route(slash + rest or "/") if name else NotFound("Name an app: /run/APP/PATH.")
    return name, slash + rest or "/"


def server_timing(report: RunReport) -> str:
    """Return the report as the header `Server-Timing` (https://www.w3.org/TR/server-timing/), durations in ms."""
    return (
        f"run;dur={report.wall_ms:.3f}, cpu;dur={report.cpu_ms:.3f}, "
        f'sdk;dur={report.calls_ms:.3f};desc="{report.calls} calls", '
        f'memory;desc="{report.peak_bytes} bytes", scripts;desc="{report.cached} cached, {report.compiled} compiled"'
    )


def _headers_for_script(environ: Environ) -> dict[str, str]:
    """Return the headers without a PiCloud token: its owner gave it to PiCloud, not to whoever wrote the script."""
    fields = header_fields(environ)
    if bearer_token(fields.get("authorization")):
        del fields["authorization"]
    return fields
