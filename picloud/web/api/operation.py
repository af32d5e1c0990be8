"""One operation of the admin API as a value: routing, validation, authorization and documentation are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from picloud.admin.apps import AppAdministration
from picloud.model.app import App
from picloud.model.principal import Principal, Scope
from picloud.web.services import Services


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized call of an operation."""

    services: Services
    principal: Principal
    path: Mapping[str, str]
    """The path's parameters, decoded."""

    @property
    def apps(self) -> AppAdministration:
        """The use cases around apps."""
        return AppAdministration(self.services.apps)

    def app(self) -> App:
        """Return the app the path names; raise `NotFound` when it is not there for this principal."""
        return self.apps.get(self.principal, self.path["app"])


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """Below `/api/v1`, with `{name}` for parameters."""
    summary: str
    handle: Callable[..., BaseModel | None]
    """Takes the `Call` and, when there is a `body` or `query` model, the validated value."""
    scopes: frozenset[Scope]
    """All are needed."""
    response: type[BaseModel] | None = None
    """None: an answer without a body, 204."""
    status: int = 200
    body: type[BaseModel] | None = None
    """Model of the JSON body, if it takes one."""
    needs_body: bool = True
    """Whether an empty body is refused; else it counts as `{}`."""
    query: type[BaseModel] | None = None
    """Model of the query, if it takes one."""

    @property
    def name(self) -> str:
        """The operation's id in the OpenAPI document."""
        return str(getattr(self.handle, "__name__"))  # noqa: B009  (a Callable has no name for the type checker)
