from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from picloud.admin.tokens import TokenAdministration
from picloud.auth.authenticate import authenticate
from picloud.auth.tokens import hash_token, make_token
from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.app import App
from picloud.model.principal import Scope
from picloud.model.token import TokenId
from picloud.storage.apps import AppRepository
from picloud.storage.database import Database
from picloud.storage.tokens import TokenRepository

READ = [Scope.SCRIPT_READ]
NOW = datetime.now(UTC)


@pytest.fixture
def tokens(database: Database) -> TokenRepository:
    return TokenRepository(database)


@pytest.fixture
def blog(database: Database) -> App:
    return AppRepository(database).create("blog")


def test_a_token_is_found_by_its_hash_and_stored_as_nothing_else(tokens: TokenRepository, database: Database) -> None:
    secret = make_token()
    made = tokens.create("ci", hash_token(secret), [Scope.DATA_READ, Scope.SCRIPT_READ])
    assert tokens.find(hash_token(secret)) == made
    assert made.scopes == {Scope.SCRIPT_READ, Scope.DATA_READ}
    assert (made.app_id, made.expires_at, made.principal.name) == (None, None, "token:ci")
    with database.connection() as connection:
        row = connection.execute("SELECT t::text FROM tokens t").fetchone()
    assert row is not None
    assert secret not in row[0]
    assert secret.removeprefix("pic_") not in row[0]


def test_an_unknown_token_is_nobody(tokens: TokenRepository) -> None:
    assert tokens.find(hash_token(make_token())) is None
    assert authenticate(tokens, f"Bearer {make_token()}") is None
    assert authenticate(tokens, None) is None


def test_an_expired_token_is_nobody_but_listed(tokens: TokenRepository) -> None:
    late, fresh = make_token(), make_token()
    tokens.create("late", hash_token(late), READ, expires_at=NOW - timedelta(seconds=1))
    tokens.create("fresh", hash_token(fresh), READ, expires_at=NOW + timedelta(hours=1))
    assert authenticate(tokens, f"Bearer {late}") is None
    assert authenticate(tokens, f"Bearer {fresh}") is not None
    assert [token.name for token in tokens.list()] == ["fresh", "late"]


def test_names_are_unique_per_app_and_in_the_instance(tokens: TokenRepository, blog: App) -> None:
    tokens.create("ci", hash_token("1"), READ)
    tokens.create("ci", hash_token("2"), READ, app_id=blog.id)
    with pytest.raises(Conflict, match="There is a token 'ci' already"):
        tokens.create("ci", hash_token("3"), READ, app_id=blog.id)
    assert [token.app_id for token in tokens.list()] == [None, blog.id]
    assert [token.app_id for token in tokens.list(blog.id)] == [blog.id]


def test_a_revoked_token_stops_working(tokens: TokenRepository) -> None:
    secret = make_token()
    made = tokens.create("ci", hash_token(secret), READ)
    tokens.revoke(made.id)
    assert authenticate(tokens, f"Bearer {secret}") is None
    with pytest.raises(NotFound):
        tokens.revoke(made.id)
    with pytest.raises(NotFound):
        tokens.revoke(TokenId(uuid4()))


def test_tokens_go_with_their_app(tokens: TokenRepository, blog: App, database: Database) -> None:
    tokens.create("ci", hash_token("1"), READ, app_id=blog.id)
    AppRepository(database).delete("blog")
    assert tokens.list() == []


def test_a_replaced_token_leaves_the_old_one_void(tokens: TokenRepository) -> None:
    tokens.replace("instance", hash_token("old"), READ)
    tokens.replace("instance", hash_token("new"), READ)
    assert tokens.find(hash_token("old")) is None
    assert tokens.find(hash_token("new")) is not None


def test_a_scope_of_a_later_version_grants_nothing(tokens: TokenRepository, database: Database) -> None:
    tokens.create("ci", hash_token("1"), READ)
    with database.connection() as connection:
        connection.execute("UPDATE tokens SET scopes = scopes || 'universe:manage'::text")
    assert tokens.list()[0].scopes == {Scope.SCRIPT_READ}


def test_administration_makes_a_token_that_works_until_it_expires(tokens: TokenRepository, blog: App) -> None:
    made = TokenAdministration(tokens).create("ci", READ, app=blog, now=NOW, expires_days=2)
    assert made.stored.expires_at == NOW + timedelta(days=2)
    principal = authenticate(tokens, f"Bearer {made.token}")
    assert principal is not None
    assert principal.app_id == blog.id


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_administration_refuses_an_expiry_out_of_range(tokens: TokenRepository, days: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 3650 days"):
        TokenAdministration(tokens).create("ci", READ, app=None, now=NOW, expires_days=days)


def test_administration_refuses_a_token_without_scopes(tokens: TokenRepository) -> None:
    with pytest.raises(InvalidInput, match="at least one scope"):
        TokenAdministration(tokens).create("ci", [], app=None, now=NOW)


def test_administration_revokes_the_token_of_the_right_owner(tokens: TokenRepository, blog: App) -> None:
    administration = TokenAdministration(tokens)
    administration.create("ci", READ, app=None, now=NOW)
    administration.create("ci", READ, app=blog, now=NOW)
    administration.revoke("ci", app=None)
    assert [token.app_id for token in tokens.list()] == [blog.id]
    with pytest.raises(NotFound, match="of the instance"):
        administration.revoke("ci", app=None)
