"""Access tokens as stored: everything but the secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

from picloud.model.app import AppId
from picloud.model.principal import Principal, Scope

TokenId = NewType("TokenId", UUID)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One access token; the token itself is not kept anywhere, only its hash."""

    id: TokenId
    name: str
    """Unique among the tokens of its app, or of the instance."""
    app_id: AppId | None
    """The only app it opens; None for the whole instance."""
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    """None: it does not expire."""

    @property
    def principal(self) -> Principal:
        """The caller who presents this token."""
        return Principal(name=f"token:{self.name}", scopes=self.scopes, app_id=self.app_id)
