"""From an `Authorization` header to a principal."""

from __future__ import annotations

from picloud.auth.tokens import bearer_token, hash_token
from picloud.model.principal import Principal
from picloud.storage.tokens import TokenRepository


def authenticate(tokens: TokenRepository, authorization: str | None) -> Principal | None:
    """Return who presents a valid token, None for nobody: no token, an unknown, a revoked or an expired one.

    Tokens are looked up by their hash, so no comparison of secrets takes place whose time could tell something.
    """
    token = bearer_token(authorization)
    found = tokens.find(hash_token(token)) if token else None
    return found.principal if found else None
