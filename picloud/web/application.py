"""The one HTTP surface of PiCloud as a WSGI application: script routes, admin API, health, metrics, calls of nodes."""

from __future__ import annotations

from collections.abc import Iterable

from picloud.engine.wire import EXECUTE_PATH
from picloud.errors import NotFound
from picloud.web.api.application import create_api
from picloud.web.executions import create_executions
from picloud.web.metrics import create_metrics
from picloud.web.problems import Audience, problem_of
from picloud.web.scripts import PREFIX as RUN_PREFIX
from picloud.web.scripts import ScriptRoutes
from picloud.web.services import Services
from picloud.web.wsgi import Application, Environ, StartResponse, request_id, send

API_PREFIX = "/api/v1/"
HEALTH_PATH = "/healthz"
METRICS_PATH = "/metrics"


def create_app(platform: Services) -> Application:
    """Return the WSGI application of an open platform; callable from any thread.

    `environ["picloud.principal"]`, a `Principal` put there by an in-process host, is trusted as the caller.
    """
    scripts = ScriptRoutes(platform)
    api = create_api(platform)
    metrics = create_metrics(platform)
    executions = create_executions(platform)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith(RUN_PREFIX):
            return scripts(environ, start_response)
        if path.startswith(API_PREFIX):
            return api(environ, start_response)
        try:
            if path == HEALTH_PATH:
                return _health(platform, environ, start_response)
            if path == METRICS_PATH:
                return metrics(environ, start_response)
            if path == EXECUTE_PATH:
                return executions(environ, start_response)
            raise NotFound("There is nothing here: see /run/APP/PATH and /api/v1/.")
        except Exception as error:
            problem = problem_of(error, request_id(environ), Audience.CALLER)
            return send(environ, start_response, problem.status, list(problem.headers), problem.body)

    return application


def _health(platform: Services, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer 200 when the database does; raises `PlatformError` when it does not."""
    with platform.database.connection() as connection:
        connection.execute("SELECT 1")
    return send(environ, start_response, 200, [("content-type", "application/json")], b'{"status":"ok"}')
