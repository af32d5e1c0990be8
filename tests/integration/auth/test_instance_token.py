import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from picloud.auth.authenticate import authenticate
from picloud.auth.instance import ensure_instance_token
from picloud.auth.tokens import is_token
from picloud.errors import InvalidInput
from picloud.model.principal import Scope
from picloud.storage.database import Database
from picloud.storage.tokens import TokenRepository


@pytest.fixture
def tokens(database: Database) -> TokenRepository:
    return TokenRepository(database)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_is_in_a_file_for_its_owner_only_and_opens_everything(
    tmp_path: Path, tokens: TokenRepository
) -> None:
    home = tmp_path / "home"
    token = ensure_instance_token(home, tokens)
    assert is_token(token)
    assert (home / "instance-token").read_text() == token + "\n"
    assert mode(home / "instance-token") == 0o600
    principal = authenticate(tokens, f"Bearer {token}")
    assert principal is not None
    assert (principal.name, principal.scopes, principal.app_id) == ("token:instance", frozenset(Scope), None)
    assert [path.name for path in home.iterdir()] == ["instance-token"]


def test_the_token_stays_from_start_to_start(tmp_path: Path, tokens: TokenRepository) -> None:
    assert ensure_instance_token(tmp_path, tokens) == ensure_instance_token(tmp_path, tokens)
    assert len(tokens.list()) == 1


def test_the_token_of_the_file_is_registered_again_in_a_new_database(tmp_path: Path, tokens: TokenRepository) -> None:
    token = ensure_instance_token(tmp_path, tokens)
    tokens.revoke(tokens.list()[0].id)
    assert ensure_instance_token(tmp_path, tokens) == token
    assert authenticate(tokens, f"Bearer {token}") is not None


def test_deleting_the_file_replaces_the_token(tmp_path: Path, tokens: TokenRepository) -> None:
    old = ensure_instance_token(tmp_path, tokens)
    (tmp_path / "instance-token").unlink()
    new = ensure_instance_token(tmp_path, tokens)
    assert new != old
    assert authenticate(tokens, f"Bearer {old}") is None
    assert authenticate(tokens, f"Bearer {new}") is not None


def test_a_file_readable_by_others_is_closed_again(tmp_path: Path, tokens: TokenRepository) -> None:
    ensure_instance_token(tmp_path, tokens)
    (tmp_path / "instance-token").chmod(0o644)
    ensure_instance_token(tmp_path, tokens)
    assert mode(tmp_path / "instance-token") == 0o600


@pytest.mark.parametrize("content", ["", "password", "pic_short"])
def test_a_file_that_holds_no_token_says_what_to_do(tmp_path: Path, tokens: TokenRepository, content: str) -> None:
    (tmp_path / "instance-token").write_text(content)
    with pytest.raises(InvalidInput, match="delete the file"):
        ensure_instance_token(tmp_path, tokens)


def test_many_starts_at_once_agree_on_one_token(tmp_path: Path, database_url: str) -> None:
    database = Database(database_url, pool_size=8, timeout_s=20)
    database.open()
    try:
        tokens = TokenRepository(database)
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(lambda _: ensure_instance_token(tmp_path, tokens), range(16)))
        assert len(made) == 1
        assert authenticate(tokens, f"Bearer {made.pop()}") is not None
        assert [path.name for path in tmp_path.iterdir()] == ["instance-token"]
    finally:
        database.close()
