"""The instance token: the owner's key to the whole instance, in a file only the owner can read."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from picloud.auth.policy import ALL_SCOPES
from picloud.auth.tokens import hash_token, is_token, make_token
from picloud.errors import Conflict, InvalidInput
from picloud.storage.tokens import TokenRepository

FILE_NAME = "instance-token"
TOKEN_NAME = "instance"  # noqa: S105  (the name of a token, not one)


def ensure_instance_token(home: Path, tokens: TokenRepository) -> str:
    """Return the instance token of `home`, making the file and its row in the database when they are missing.

    Deleting the file and starting again replaces the token: the old one stops working. Hosts that share one database
    therefore share the file too. Safe when several processes start at once. Raises `InvalidInput` when the file holds
    something else.
    """
    token = read_instance_token(home) or _create(home / FILE_NAME)
    digest = hash_token(token)
    if tokens.find(digest) is None:
        with suppress(Conflict):  # another process registers the same token at this moment
            tokens.replace(TOKEN_NAME, digest, ALL_SCOPES)
    return token


def read_instance_token(home: Path) -> str | None:
    """Return the token in the file of `home`, None without one; raise `InvalidInput` when it holds something else."""
    return _read(home / FILE_NAME)


def _read(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not is_token(text):
        raise InvalidInput(f"{path} does not hold a token: delete the file, and the next start makes a new one.")
    path.chmod(0o600)  # a copy or a restored backup may have widened it
    return text


def _create(path: Path) -> str:
    """Write a new token under a name of its own and link it into place: nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = make_token()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        return _read(path) or _create(path)
    finally:
        draft.unlink()
    return token
