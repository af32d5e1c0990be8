"""Operations on releases: publish, plan, look back, roll back."""

from __future__ import annotations

from picloud.auth.policy import require_instance, require_scopes
from picloud.errors import NotFound, PermissionDenied
from picloud.model.app import App
from picloud.model.principal import Scope
from picloud.web.api.models import (
    ChangeView,
    DifferenceView,
    PlanBody,
    PlanView,
    PublishedView,
    ReleaseBody,
    ReleaseEntry,
    ReleaseList,
    ReleaseView,
    RollbackQuery,
)
from picloud.web.api.operation import Call

NUMBER_MAX_DIGITS = 18
"""What surely fits the database's bigint."""


def list_releases(call: Call) -> ReleaseList:
    """Return the app's releases."""
    return ReleaseList(releases=[ReleaseEntry.of(release) for release in call.services.releases.list(call.app().id)])


def get_release(call: Call) -> ReleaseView:
    """Return one release with its manifest."""
    return ReleaseView.whole(call.services.releases.get(call.app().id, _number(call)))


def create_release(call: Call, body: ReleaseBody) -> PublishedView:
    """Publish a manifest or notebooks."""
    app_name = _app_to_publish(call, create=body.create)
    force = _force(call, body.force.reason if body.force else None)
    authored = body.to_publish()
    published = call.services.publisher.publish(
        app_name,
        authored.manifest,
        author=call.principal.name,
        message=body.message,
        notebook=body.notebook_label(),
        create=body.create,
        base=body.base_release,
        force=force,
        places=authored.places,
    )
    return PublishedView.of(published)


def plan_release(call: Call, body: PlanBody) -> PlanView:
    """Tell what publishing would change, and change nothing."""
    app, authored = call.app(), body.to_publish()
    return PlanView.of(call.services.publisher.plan(app.name, authored.manifest, places=authored.places))


def get_difference(call: Call) -> DifferenceView:
    """Return how a release differs from the one before."""
    changes = call.services.publisher.difference(call.app().id, _number(call))
    return DifferenceView(changes=[ChangeView.of(change) for change in changes])


def roll_back(call: Call, query: RollbackQuery) -> PublishedView:
    """Publish an earlier release again."""
    app, number = call.app(), _number(call)
    force = _force(call, query.force_reason)
    return PublishedView.of(call.services.publisher.rollback(app.name, number, author=call.principal.name, force=force))


def _force(call: Call, reason: str | None) -> str | None:
    """Return the reason when the caller may force a publish: else any token that publishes could skip the tests."""
    if reason is not None and Scope.APP_ADMIN not in call.principal.scopes:
        raise PermissionDenied(
            "To publish although tests fail needs a token with the scope app:admin: mend the tests, or leave 'force' "
            "out."
        )
    return reason


def _app_to_publish(call: Call, *, create: bool) -> str:
    try:
        app: App = call.app()
    except NotFound:
        if not create or call.principal.app_id is not None:
            raise
        require_scopes(call.principal, frozenset({Scope.APP_ADMIN}))
        require_instance(call.principal)
        return call.path["app"]
    return app.name


def _number(call: Call) -> int:
    text = call.path["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_MAX_DIGITS):
        raise NotFound(f"There is no release {text[:40]!r}: releases are numbered from 1.")
    return int(text)
