from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.auth import policy
from picloud.errors import NotFound, PermissionDenied, Unauthenticated
from picloud.model.app import App, AppId
from picloud.model.principal import Principal, Scope
from picloud.model.route import RouteAuth


def an_app(name: str = "blog") -> App:
    return App(AppId(uuid4()), name, 0, datetime(2026, 1, 1, tzinfo=UTC))


def of_app(app: App, *scopes: Scope) -> Principal:
    return Principal("token:x", frozenset(scopes), app.id)


INSTANCE = Principal("token:instance", policy.ALL_SCOPES)


@given(st.frozensets(st.sampled_from(Scope)), st.frozensets(st.sampled_from(Scope)))
def test_all_needed_scopes_must_be_held(held: frozenset[Scope], needed: frozenset[Scope]) -> None:
    principal = Principal("token:x", held)
    if needed <= held:
        assert policy.require_scopes(principal, needed) is principal
    else:
        with pytest.raises(PermissionDenied) as caught:
            policy.require_scopes(principal, needed)
        assert all(scope in caught.value.message for scope in needed - held)


def test_nobody_is_unauthenticated_whatever_is_needed() -> None:
    with pytest.raises(Unauthenticated):
        policy.require_scopes(None, frozenset())


def test_a_foreign_app_answers_exactly_like_one_that_does_not_exist() -> None:
    own, foreign = an_app("own"), an_app("foreign")
    with pytest.raises(NotFound) as caught:
        policy.require_app(of_app(own, *Scope), foreign)
    assert caught.value.message == policy.unknown_app("foreign").message


def test_own_app_and_instance_pass() -> None:
    app = an_app()
    policy.require_app(of_app(app), app)
    policy.require_app(INSTANCE, app)


def test_a_token_of_an_app_cannot_act_on_the_instance() -> None:
    policy.require_instance(INSTANCE)
    with pytest.raises(PermissionDenied):
        policy.require_instance(of_app(an_app(), *Scope))


def test_a_public_route_is_for_everybody() -> None:
    assert policy.may_call(RouteAuth.PUBLIC, None, an_app())
    assert policy.may_call(RouteAuth.PUBLIC, of_app(an_app()), an_app())


def test_a_token_route_needs_a_token_of_the_app_or_the_instance() -> None:
    app = an_app()
    assert policy.may_call(RouteAuth.TOKEN, of_app(app), app)
    assert policy.may_call(RouteAuth.TOKEN, INSTANCE, app)
    assert not policy.may_call(RouteAuth.TOKEN, None, app)
    assert not policy.may_call(RouteAuth.TOKEN, of_app(an_app("other")), app)
