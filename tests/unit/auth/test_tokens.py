import hashlib

import pytest

from picloud.auth.tokens import bearer_token, check_token_name, hash_token, is_token, make_token
from picloud.errors import InvalidInput


def test_a_token_is_the_prefix_and_43_url_safe_characters() -> None:
    token = make_token()
    assert token.startswith("pic_")
    assert len(token) == 4 + 43
    assert is_token(token)


def test_tokens_do_not_repeat() -> None:
    assert len({make_token() for _ in range(1000)}) == 1000


def test_the_hash_is_sha256_and_does_not_hold_the_token() -> None:
    token = make_token()
    assert hash_token(token) == hashlib.sha256(token.encode()).digest()
    assert token.encode() not in hash_token(token)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(scheme: str) -> None:
    token = make_token()
    assert bearer_token(f"{scheme} {token}") == token


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic pic_" + "a" * 43,
        "Bearer pic_" + "a" * 42,
        "Bearer pic_" + "a" * 44,
        "Bearer pic_" + "a" * 42 + "\n",
        "Bearer pic_" + "é" * 43,
        "Bearer xyz_" + "a" * 43,
        "Bearer pic_" + "a" * 43 + ", Bearer x",
        "pic_" + "a" * 43,
    ],
)
def test_anything_else_is_no_token(header: str | None) -> None:
    assert bearer_token(header) is None


def test_hashing_takes_any_text() -> None:
    assert len(hash_token("\ud800")) == 32


@pytest.mark.parametrize("name", ["ci", "a", "deploy-2026.v1_x", "A" * 64])
def test_names_of_letters_digits_and_marks_are_fine(name: str) -> None:
    assert check_token_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a\n", "é", "A" * 65, "a/b", "a\0b"])
def test_other_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a token: use 1 to 64"):
        check_token_name(name)
