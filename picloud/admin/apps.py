"""Apps as a principal may see and change them."""

from __future__ import annotations

from picloud.auth import policy
from picloud.errors import NotFound
from picloud.model.app import App, check_app_name
from picloud.model.principal import Principal
from picloud.storage.apps import AppRepository


class AppAdministration:
    """The use cases around apps; each checks whose they are before it tells or does anything."""

    def __init__(self, apps: AppRepository) -> None:
        self._apps = apps

    def list(self, principal: Principal) -> list[App]:
        """Return the apps that exist for this principal, by name."""
        return [app for app in self._apps.list() if policy.sees(principal, app)]

    def get(self, principal: Principal, name: str) -> App:
        """Return the app; raise `NotFound` alike when there is none and when it is not the principal's."""
        try:
            app = self._apps.get(name)
        except NotFound as error:
            raise policy.unknown_app(name) from error
        policy.require_app(principal, app)
        return app

    def create(self, principal: Principal, name: str) -> App:
        """Make an app; only for principals of the whole instance. Raises `Conflict` when the name is taken."""
        policy.require_instance(principal)
        return self._apps.create(check_app_name(name))

    def delete(self, principal: Principal, name: str) -> None:
        """Delete the app with everything it owns, for good; only for principals of the whole instance."""
        self.get(principal, name)
        policy.require_instance(principal)
        self._apps.delete(name)
