"""Who is calling, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from picloud.model.app import AppId


class Scope(StrEnum):
    """The seven scopes; there are no others."""

    SCRIPT_READ = "script:read"
    SCRIPT_WRITE = "script:write"
    ROUTE_MANAGE = "route:manage"
    TRIGGER_MANAGE = "trigger:manage"
    DATA_READ = "data:read"
    DATA_WRITE = "data:write"
    APP_ADMIN = "app:admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller of the admin API."""

    name: str
    """`token:NAME`, `jupyter:USER` or `cli:USER`: what releases record as their author."""
    scopes: frozenset[Scope]
    app_id: AppId | None = None
    """The only app it may see; None for the whole instance."""
