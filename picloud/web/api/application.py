"""The admin API as a WSGI application: Falcon routes, the table of operations says what happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import falcon
from pydantic import BaseModel

from picloud.auth.policy import require_scopes
from picloud.errors import InvalidInput, MethodNotAllowed, NotFound, Unauthenticated
from picloud.web.api.openapi import PREFIX, openapi_document
from picloud.web.api.operation import Call, Operation
from picloud.web.api.operations import OPERATIONS
from picloud.web.api.validation import parse_body, parse_query
from picloud.web.caller import PRINCIPAL, caller
from picloud.web.problems import Audience, problem_of
from picloud.web.services import Services
from picloud.web.wsgi import Application, Environ, StartResponse, query_pairs, read_body, request_id, send

DOCUMENT_PATH = f"{PREFIX}/openapi.json"


def create_api(services: Services) -> Application:
    """Return the WSGI application below `/api/v1`. All but the OpenAPI document needs an authenticated caller."""
    routes = _falcon_app(services)

    def api(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            if environ["PATH_INFO"] != DOCUMENT_PATH:
                _authenticate(environ, services)
        except Exception as error:
            problem = problem_of(error, request_id(environ), Audience.AUTHOR)
            return send(environ, start_response, problem.status, list(problem.headers), problem.body)
        return routes(environ, start_response)

    return api


def _authenticate(environ: Environ, services: Services) -> None:
    """Put the caller into the environ, before anything tells which paths there are."""
    principal = caller(environ, services.tokens)
    if principal is None:
        raise Unauthenticated
    environ[PRINCIPAL] = principal


def _falcon_app(services: Services) -> Application:
    app = falcon.App(media_type=falcon.MEDIA_JSON)
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    for path, operations in by_path.items():
        app.add_route(PREFIX + path, _Resource(services, operations))
    app.add_route(DOCUMENT_PATH, _Document())
    app.add_sink(_no_such_path, prefix="/")
    app.add_error_handler(Exception, _answer_error)
    app.add_error_handler(falcon.HTTPError, _answer_error)
    return app


class _Resource:
    """The operations of one path as the `on_*` responders Falcon looks for."""

    def __init__(self, services: Services, operations: Iterable[Operation]) -> None:
        responders: dict[str, Callable[..., None]] = {
            operation.method: partial(_respond, services, operation) for operation in operations
        }
        if "GET" in responders:
            responders["HEAD"] = responders["GET"]
        allow = tuple(sorted(responders))
        responders.setdefault("OPTIONS", partial(_not_allowed, allow))
        for method, responder in responders.items():
            setattr(self, f"on_{method.lower()}", responder)


class _Document:
    """The OpenAPI document."""

    def __init__(self) -> None:
        self._text = json.dumps(openapi_document(OPERATIONS))

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the document."""
        response.text = self._text
        response.set_header("x-request-id", request_id(request.env))


def _respond(
    services: Services, operation: Operation, request: falcon.Request, response: falcon.Response, **path: str
) -> None:
    """Authorize, validate, call the handler, answer."""
    principal = require_scopes(request.env[PRINCIPAL], operation.scopes)
    call = Call(services, principal, path)
    result = operation.handle(call, *_arguments(services, operation, request.env))
    response.status = operation.status
    response.set_header("x-request-id", request_id(request.env))
    if result is not None:
        response.text = result.model_dump_json()


def _arguments(services: Services, operation: Operation, environ: Environ) -> list[BaseModel]:
    arguments: list[BaseModel] = []
    if operation.body:
        body = read_body(environ, services.settings.body_max_mb * 2**20)
        arguments.append(parse_body(operation.body, body or (b"" if operation.needs_body else b"{}")))
    if operation.query:
        arguments.append(parse_query(operation.query, dict(query_pairs(environ))))
    return arguments


def _not_allowed(allow: tuple[str, ...], *_request: object, **_path: str) -> None:
    raise MethodNotAllowed(allow)


def _no_such_path(req: falcon.Request, resp: falcon.Response, **_path: Any) -> None:  # noqa: ARG001  (Falcon's names)
    raise NotFound(f"There is no such path; {DOCUMENT_PATH} lists all.")


def _answer_error(request: falcon.Request, response: falcon.Response, error: Exception, _params: Any) -> None:
    problem = problem_of(_ours(error), request_id(request.env), Audience.AUTHOR)
    response.status = problem.status
    for name, value in problem.headers:
        response.set_header(name, value)
    response.set_header("x-request-id", request_id(request.env))
    response.data = problem.body


def _ours(error: Exception) -> Exception:
    """Return Falcon's own errors as ours."""
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        allow = (error.headers or {})["Allow"] if isinstance(error.headers, dict) else ""
        return MethodNotAllowed(tuple(method for method in allow.split(", ") if method != "OPTIONS"))
    if isinstance(error, falcon.HTTPError) and error.status_code < 500:
        return InvalidInput(error.title)
    return error
