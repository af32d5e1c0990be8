"""Who may do what: pure decisions over values. Each returns nothing when the answer is yes and raises when it is no.

A principal of one app must not learn which other apps exist, so a foreign app answers `NotFound`, with the words of an
app that does not exist, and never `PermissionDenied`. What everybody may know is what a published app answers without a
token: its public routes, and that a token is needed for the others.
"""

from __future__ import annotations

from picloud.errors import NotFound, PermissionDenied, Unauthenticated
from picloud.model.app import App
from picloud.model.principal import Principal, Scope
from picloud.model.route import RouteAuth

ALL_SCOPES = frozenset(Scope)


def sees(principal: Principal, app: App) -> bool:
    """Tell whether the app exists as far as this principal can know."""
    return principal.app_id is None or principal.app_id == app.id


def require_scopes(principal: Principal | None, scopes: frozenset[Scope]) -> Principal:
    """Return the principal when it holds all the scopes; raise `Unauthenticated` or `PermissionDenied`."""
    if principal is None:
        raise Unauthenticated
    missing = sorted(scopes - principal.scopes)
    if missing:
        raise PermissionDenied(f"This needs a token with the scope {' and '.join(missing)}.")
    return principal


def require_app(principal: Principal, app: App) -> None:
    """Raise `NotFound` when the app is not the principal's to see."""
    if not sees(principal, app):
        raise unknown_app(app.name)


def require_instance(principal: Principal) -> None:
    """Raise `PermissionDenied` when the principal belongs to one app: what concerns all apps is not for it."""
    if principal.app_id is not None:
        raise PermissionDenied("This needs a token of the whole instance, not one of a single app.")


def may_call(auth: RouteAuth, principal: Principal | None, app: App) -> bool:
    """Decide whether a route may be called.

    Any valid token of the app or of the instance opens a token route, whatever its scopes: they rule the admin API.
    """
    return auth is RouteAuth.PUBLIC or (principal is not None and sees(principal, app))


def unknown_app(name: str) -> NotFound:
    """Return the answer for an app that does not exist, or must seem so."""
    return NotFound(f"There is no app {name[:80]!r}.")
