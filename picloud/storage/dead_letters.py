"""Dead letters as people see them: whoever may is shown them and decides; scripts have `picloud.storage.events`."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from picloud.model.app import AppId
from picloud.storage.database import Database
from picloud.storage.events import DeadLetter
from picloud.storage.queries import load

LIST_MAX: Final = 200

_SQL = load("events.sql")


class DeadLetterRepository:
    """Lists dead letters and takes decisions over them; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, app_id: AppId) -> list[DeadLetter]:
        """Return the app's dead letters nobody has decided over, newest first, at most `LIST_MAX`."""
        values = {"app_id": app_id, "limit": LIST_MAX, "before_us": None, "before_id": None}
        with self._database.connection() as connection:
            return [DeadLetter(*row) for row in connection.execute(_SQL["list_dead"], values)]

    def redrive(self, app_id: AppId, identity: UUID, *, by: str) -> bool:
        """Let the trigger that failed take it again, as the trigger is now; return whether there was such a letter."""
        values = {"app_id": app_id, "id": identity, "edited": None, "edited_is_json": None, "by": by}
        row = self._database.fetch_one(_SQL["redrive"], values)
        return row is not None and row[0] is not None

    def discard(self, app_id: AppId, identity: UUID, *, by: str) -> bool:
        """Leave it as it is, off the list; return whether there was such a letter."""
        return self._database.fetch_one(_SQL["discard"], {"app_id": app_id, "id": identity, "by": by}) is not None
