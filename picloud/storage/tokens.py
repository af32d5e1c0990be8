"""Access tokens. The repository sees hashes only, never a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from picloud.errors import Conflict, NotFound
from picloud.model.app import AppId
from picloud.model.principal import Scope
from picloud.model.token import AccessToken, TokenId
from picloud.storage.database import Database
from picloud.storage.queries import load

_SQL = load("tokens.sql")
_KNOWN = frozenset(Scope)
"""A scope of a later version, read after a downgrade, grants nothing."""


class TokenRepository:
    """Stores access tokens; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        token_hash: bytes,
        scopes: Iterable[Scope],
        *,
        app_id: AppId | None = None,
        expires_at: datetime | None = None,
    ) -> AccessToken:
        """Add a token, of one app or, with None, of the instance; raise `Conflict` when its name is taken there."""
        values = {"app_id": app_id, "name": name, "hash": token_hash, "expires_at": expires_at}
        return self._write("create_token", values | {"scopes": _texts(scopes)})

    def replace(self, name: str, token_hash: bytes, scopes: Iterable[Scope]) -> AccessToken:
        """Add a token of the instance, or give the one of that name a new hash, so that the old token is void.

        Raises `Conflict` when a token of this hash is there already.
        """
        return self._write("replace_token", {"name": name, "hash": token_hash, "scopes": _texts(scopes)})

    def list(self, app_id: AppId | None = None) -> list[AccessToken]:
        """Return the tokens of one app, or with None all there are, by app and name; expired ones too."""
        return _fetch(self._database, "list_tokens", {"app_id": app_id})

    def find(self, token_hash: bytes) -> AccessToken | None:
        """Return the token of this hash, None when there is none or it has expired by the database's clock."""
        found = _fetch(self._database, "find_token", {"hash": token_hash})
        return found[0] if found else None

    def revoke(self, token_id: TokenId) -> None:
        """Delete a token; raise `NotFound` when it is not there."""
        with self._database.connection() as connection:
            deleted = connection.execute(_SQL["revoke_token"], {"id": token_id}).fetchone()
        if deleted is None:
            raise NotFound("There is no such token.")

    def _write(self, statement: str, values: Mapping[str, Any]) -> AccessToken:
        try:
            return _fetch(self._database, statement, values)[0]
        except UniqueViolation as error:
            raise Conflict(f"There is a token {values['name']!r} already: revoke it or choose another name.") from error


def _fetch(database: Database, statement: str, values: Mapping[str, Any]) -> list[AccessToken]:
    with database.connection() as connection:
        return [_token(*row) for row in connection.execute(_SQL[statement], values)]


def _token(
    token_id: UUID,
    name: str,
    app_id: UUID | None,
    scopes: Iterable[str],
    created_at: datetime,
    expires_at: datetime | None,
) -> AccessToken:
    return AccessToken(
        id=TokenId(token_id),
        name=name,
        app_id=AppId(app_id) if app_id else None,
        scopes=frozenset(Scope(scope) for scope in scopes if scope in _KNOWN),
        created_at=created_at,
        expires_at=expires_at,
    )


def _texts(scopes: Iterable[Scope]) -> list[str]:
    return sorted(scope.value for scope in scopes)
