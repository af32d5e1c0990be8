"""Making and revoking access tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from picloud.auth.tokens import check_token_name, hash_token, make_token
from picloud.errors import InvalidInput, NotFound
from picloud.model.app import App
from picloud.model.principal import Scope
from picloud.model.token import AccessToken
from picloud.storage.tokens import TokenRepository

EXPIRES_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token at the only moment it can be shown."""

    token: str
    stored: AccessToken


class TokenAdministration:
    """The use cases around tokens."""

    def __init__(self, tokens: TokenRepository) -> None:
        self._tokens = tokens

    def create(
        self, name: str, scopes: Iterable[Scope], *, app: App | None, now: datetime, expires_days: int | None = None
    ) -> NewToken:
        """Make a token of the app, or of the instance with None, that expires so many days from now, or never."""
        granted = frozenset(scopes)
        if not granted:
            raise InvalidInput(f"A token needs at least one scope: {', '.join(Scope)}.")
        if expires_days is not None and not 0 < expires_days <= EXPIRES_DAYS_MAX:
            raise InvalidInput(f"A token expires in 1 to {EXPIRES_DAYS_MAX} days.")
        token = make_token()
        stored = self._tokens.create(
            check_token_name(name),
            hash_token(token),
            granted,
            app_id=app.id if app else None,
            expires_at=now + timedelta(days=expires_days) if expires_days is not None else None,
        )
        return NewToken(token, stored)

    def revoke(self, name: str, *, app: App | None) -> AccessToken:
        """Delete the token of this name, of the app or, with None, of the instance; raise `NotFound` without one."""
        for token in self._tokens.list(app.id if app else None):
            if token.name == name and token.app_id == (app.id if app else None):
                self._tokens.revoke(token.id)
                return token
        raise NotFound(f"There is no token {name[:80]!r} {f'of the app {app.name!r}' if app else 'of the instance'}.")
