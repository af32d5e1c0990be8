"""An app: the unit of isolation. Everything an author owns belongs to exactly one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType
from uuid import UUID

from picloud.errors import InvalidInput

AppId = NewType("AppId", UUID)

APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class App:
    """One app as stored."""

    id: AppId
    name: str
    """Lower-case DNS label; part of every URL of the app."""
    revision: int
    """Grows with every change of the app's scripts, routes, triggers or secrets."""
    created_at: datetime

    @property
    def is_stored(self) -> bool:
        """Whether there is such an app, and not only drafts of one."""
        return self.id != _NOT_STORED


_NOT_STORED = AppId(UUID(int=0))


def unpublished(name: str) -> App:
    """Return an app that is not stored: what drafts and the tests of a first publish run in."""
    return App(_NOT_STORED, name, 0, datetime.now(UTC))


def check_app_name(name: str) -> str:
    """Return `name` when it may name an app, else raise `InvalidInput`."""
    if not APP_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name an app: use 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'."
        )
    return name
