"""Who makes a request."""

from __future__ import annotations

from picloud.auth.authenticate import authenticate
from picloud.model.principal import Principal
from picloud.storage.tokens import TokenRepository
from picloud.web.wsgi import Environ

PRINCIPAL = "picloud.principal"
"""Environ key an in-process host sets; HTTP clients reach only keys that begin with HTTP_ or CONTENT_."""


def caller(environ: Environ, tokens: TokenRepository) -> Principal | None:
    """Return the principal the host vouches for, else the one whose valid bearer token came along, else None."""
    vouched = environ.get(PRINCIPAL)
    if isinstance(vouched, Principal):
        return vouched
    return authenticate(tokens, environ.get("HTTP_AUTHORIZATION"))
