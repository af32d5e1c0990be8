"""Operations on apps."""

from __future__ import annotations

from picloud.web.api.models import AppBody, AppList, AppView
from picloud.web.api.operation import Call


def list_apps(call: Call) -> AppList:
    """Return the apps the caller may see."""
    return AppList(apps=[AppView.of(app) for app in call.apps.list(call.principal)])


def create_app(call: Call, body: AppBody) -> AppView:
    """Make an app."""
    return AppView.of(call.apps.create(call.principal, body.name))


def get_app(call: Call) -> AppView:
    """Return one app."""
    return AppView.of(call.app())


def delete_app(call: Call) -> None:
    """Delete an app with everything it owns."""
    call.apps.delete(call.principal, call.path["app"])
