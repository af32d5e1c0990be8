"""`/execute`: runs calls of other nodes, for the instance token only, since a call says itself who makes it."""

from __future__ import annotations

from collections.abc import Iterable

from picloud.auth.policy import ALL_SCOPES, require_instance, require_scopes
from picloud.engine.wire import ENVELOPE_BYTES, decode_call, encode_ended
from picloud.errors import MethodNotAllowed
from picloud.web.caller import caller
from picloud.web.services import Services
from picloud.web.wsgi import Application, Environ, StartResponse, read_body, send


def create_executions(services: Services) -> Application:
    """Return the WSGI application.

    Raises `Unauthenticated`, `PermissionDenied`, `MethodNotAllowed`, `BodyTooLarge`, `InvalidInput` for what is not a
    call, and `PlatformError`. Everything else that ends a call is in the answer.
    """
    limit_bytes = services.settings.body_max_mb * 2**20 + ENVELOPE_BYTES

    def executions(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        require_instance(require_scopes(caller(environ, services.tokens), ALL_SCOPES))
        if environ["REQUEST_METHOD"] != "POST":
            raise MethodNotAllowed(("POST",))
        call = decode_call(read_body(environ, limit_bytes))
        ended = encode_ended(lambda observe: services.local.execute(call, observe=observe))
        return send(environ, start_response, 200, [("content-type", "application/octet-stream")], ended)

    return executions
