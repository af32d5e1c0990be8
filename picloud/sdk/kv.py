"""`kv`: values under keys, with expiry, versions and atomic changes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Final

from picloud.errors import InvalidInput
from picloud.sdk.run import Run
from picloud.sdk.spec import Data, Namespace, Rows
from picloud.storage import kv as storage

KEY_MAX_BYTES: Final = 1024
VALUE_MAX_BYTES: Final = 1024 * 1024
KEYS_MAX: Final = 1000
"""Keys of one call."""
TRANSFER_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of values that one call takes or gives."""
TTL_MAX_S: Final = 100 * 366 * 86400.0
_VERSION: Final = re.compile(rb"-?[0-9]{1,19}(?:\.0)?")

kv = Namespace(
    "kv",
    f"""Values under keys, one set of them per app.

A key is a string of 1 to {KEY_MAX_BYTES} bytes. A value is anything JSON can hold, or a string of any bytes, of at most
{VALUE_MAX_BYTES // 2**20} MiB. Each entry has a version, an integer that grows with every change, also past a deletion:
pass it as `if_version` to change an entry only if nobody else has. An entry with a `ttl` is gone when that many seconds
have passed. One call takes or gives at most {KEYS_MAX} keys and {TRANSFER_MAX_BYTES // 2**20} MiB of values.

Every call is atomic. To change several entries at once use `kv.commit`, or `transaction`.""",
)

Key = Annotated[bytes, f"1 to {KEY_MAX_BYTES} bytes"]
Ttl = Annotated[float | None, "seconds after which the entry is gone; left out: never"]
IfVersion = Annotated[int | None, "only when the entry has this version"]


@kv.function(
    returns="the value and its version, or nil when there is no entry",
    example="""
    kv.set("greeting", "hello")
    local value, version = kv.get("greeting")
    value --> "hello"
    """,
)
def get(run: Run, key: Key) -> tuple[Data, int] | None:
    """Read an entry."""
    found = storage.get(run.data, _key(key), now_s=run.now_s())
    return None if found is None else (Data(*found[0]), found[1])


@kv.function(
    returns="the entry's version, or nil when a condition did not hold and nothing was changed",
    example="""
    local version = kv.set("counter", { hits = 1 })
    kv.set("counter", { hits = 2 }, { if_version = version })
    kv.set("counter", { hits = 3 }, { if_version = version }) --> nil
    kv.set("lock", "me", { only_if_absent = true, ttl = 30 })
    kv.set("lock", "you", { only_if_absent = true }) --> nil
    """,
)
def set(  # noqa: A001  the name scripts know
    run: Run,
    key: Key,
    value: Annotated[Data, f"what JSON can hold, or a string of any bytes; at most {VALUE_MAX_BYTES // 2**20} MiB"],
    *,
    ttl: Ttl = None,
    only_if_absent: Annotated[bool, "only when there is no entry"] = False,
    if_version: IfVersion = None,
) -> int | None:
    """Set an entry. Without `ttl` it stays, also when it was to expire before."""
    content, now_s, expires_s = _content(value), run.now_s(), _expires(run, ttl)
    if if_version is None:
        return storage.put(
            run.data, _key(key), content, expires_s=expires_s, now_s=now_s, only_if_absent=only_if_absent
        )
    if only_if_absent:
        raise InvalidInput("only_if_absent and if_version exclude each other")
    return storage.swap(run.data, _key(key), content, if_version=if_version, expires_s=expires_s, now_s=now_s)


@kv.function(
    returns="whether there was an entry, of that version, to delete",
    example="""
    kv.set("old", 1)
    kv.delete("old") --> true
    kv.delete("old") --> false
    """,
)
def delete(run: Run, key: Key, *, if_version: IfVersion = None) -> bool:
    """Delete an entry."""
    return storage.delete(run.data, _key(key), if_version=if_version, now_s=run.now_s())


@kv.function(
    returns="whether there is an entry",
    example="""
    kv.set("here", false)
    kv.exists("here") --> true
    """,
)
def exists(run: Run, key: Key) -> bool:
    """Tell whether there is an entry."""
    return storage.exists(run.data, _key(key), now_s=run.now_s())


@kv.function(
    returns="the sum",
    errors={"invalid_input": "the entry holds something else than an integer, or the sum has more than 64 bits"},
    example="""
    kv.incr("visits") --> 1
    kv.incr("visits", 10) --> 11
    kv.incr("window", 1, { ttl = 60 }) --> 1
    """,
)
def incr(
    run: Run,
    key: Key,
    by: Annotated[int, "what to add; may be negative"] = 1,
    *,
    ttl: Annotated[
        float | None, "seconds after which an entry made by this call is gone; an older one keeps its own"
    ] = None,
) -> int:
    """Add to an integer, atomically; an entry that is not there counts as 0."""
    return storage.incr(run.data, _key(key), by, expires_s=_expires(run, ttl), now_s=run.now_s())


@kv.function(
    returns="a table of the entries there are, by key",
    example="""
    kv.set_many({ a = 1, b = { 2 } })
    kv.get_many({ "a", "b", "none" }) --> { a = 1, b = { 2 } }
    """,
)
def get_many(run: Run, keys: Annotated[list[bytes], f"at most {KEYS_MAX} keys"]) -> dict[bytes, Data]:
    """Read several entries, all of one moment."""
    found = storage.get_many(run.data, _keys(keys), now_s=run.now_s(), bytes_max=TRANSFER_MAX_BYTES)
    return {key: Data(*content) for key, content in found.items()}


@kv.function(example='kv.set_many({ a = 1, b = "two" }, { ttl = 3600 })')
def set_many(run: Run, entries: Annotated[dict[bytes, Data], "values by key"], *, ttl: Ttl = None) -> None:
    """Set several entries at once."""
    storage.put_many(run.data, _contents(entries), expires_s=_expires(run, ttl))


@kv.function(
    returns="entries `{ key, value, version }` in the order of their keys' bytes, and a cursor when there are more",
    example="""
    kv.set_many({ ["user:1"] = "ada", ["user:2"] = "bob" })
    local entries, cursor = kv.list("user:")
    entries[2].value --> "bob"
    cursor --> nil
    """,
)
def list_(
    run: Run,
    prefix: Annotated[bytes, "what the keys begin with, no character being special; left out: all keys"] = b"",
    *,
    limit: Annotated[int, f"entries at most, up to {KEYS_MAX}; a page ends sooner when its values grow large"] = 100,
    cursor: Annotated[str | None, "where to go on, from the page before"] = None,
) -> tuple[Rows, str | None]:
    """List entries page by page. Each entry that is there throughout comes exactly once, whatever else is written."""
    if not 1 <= limit <= KEYS_MAX:
        raise InvalidInput(f"limit must be from 1 to {KEYS_MAX}, got {limit}")
    if len(prefix) > KEY_MAX_BYTES:
        raise InvalidInput(f"the prefix has more than {KEY_MAX_BYTES} bytes")
    after = _after(cursor)
    entries, more = storage.page(run.data, prefix, after, limit=limit, now_s=run.now_s(), bytes_max=TRANSFER_MAX_BYTES)
    rows = tuple((entry.key, Data(entry.is_json, entry.content), entry.version) for entry in entries)
    return Rows(("key", "value*", "version"), rows), _cursor(entries[-1].key) if more else None


@kv.function(
    returns="whether all checks held; otherwise nothing was changed",
    example="""
    local _, version = kv.get("from")
    kv.set_many({ from = 10, to = 0 })
    local balance, version = kv.get("from")
    kv.commit({ checks = { from = version }, set = { from = balance - 3, to = 3 } }) --> true
    kv.commit({ checks = { from = version }, delete = { "to" } }) --> false
    """,
)
def commit(
    run: Run,
    *,
    checks: Annotated[
        dict[bytes, Data] | None, "the versions entries must have, by key; false for an entry that must not be there"
    ] = None,
    set: Annotated[dict[bytes, Data] | None, "values to set, by key"] = None,  # noqa: A002
    delete: Annotated[list[bytes] | None, "keys to delete"] = None,
    ttl: Ttl = None,
) -> bool:
    """Change several entries at once, if they have not changed in the meantime."""
    sets = _contents(set or {})
    deletes = _keys(delete or [])
    wanted = {_key(key): _version(key, check) for key, check in (checks or {}).items()}
    if both := sorted(sets.keys() & {*deletes}):
        raise InvalidInput(f"{_shown(both[0])} is to be set and deleted")
    if len(sets) + len(deletes) + len(wanted) > KEYS_MAX:
        raise InvalidInput(f"more than {KEYS_MAX} keys")
    return storage.commit(
        run.data, checks=wanted, sets=sets, deletes=deletes, expires_s=_expires(run, ttl), now_s=run.now_s()
    )


def _key(key: bytes) -> bytes:
    if not 1 <= len(key) <= KEY_MAX_BYTES:
        raise InvalidInput(f"a key has 1 to {KEY_MAX_BYTES} bytes, this one {len(key)}")
    return key


def _keys(keys: list[bytes]) -> list[bytes]:
    if len(keys) > KEYS_MAX:
        raise InvalidInput(f"more than {KEYS_MAX} keys")
    return [_key(key) for key in keys]


def _content(value: Data) -> storage.Content:
    if len(value.content) > VALUE_MAX_BYTES:
        raise InvalidInput(
            f"the value has {len(value.content)} bytes, more than the {VALUE_MAX_BYTES} an entry may hold"
        )
    return storage.Content(value.is_json, value.content)


def _contents(entries: dict[bytes, Data]) -> dict[bytes, storage.Content]:
    contents = {key: _content(value) for key, value in zip(_keys([*entries]), entries.values(), strict=True)}
    _check_transfer(len(content.content) for content in contents.values())
    return contents


def _check_transfer(sizes: Iterable[int]) -> None:
    if (total := sum(sizes)) > TRANSFER_MAX_BYTES:
        raise InvalidInput(f"the values have {total} bytes in all, more than the {TRANSFER_MAX_BYTES} of one call")


def _expires(run: Run, ttl: float | None) -> float | None:
    if ttl is None:
        return None
    if not 0 < ttl <= TTL_MAX_S:
        raise InvalidInput("ttl must be more than 0 seconds and less than 100 years")
    return run.now_s() + ttl


def _version(key: bytes, check: Data) -> int | None:
    if check.is_json and check.content == b"false":
        return None
    if check.is_json and _VERSION.fullmatch(check.content):
        return int(float(check.content)) if b"." in check.content else int(check.content)
    raise InvalidInput(f"the check of {_shown(key)} must be a version, or false for an entry that must not be there")


def _shown(key: bytes) -> str:
    """Return a key as it reads in a message."""
    return f"'{key[:80].decode('utf-8', 'backslashreplace')}'"


def _cursor(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def _after(cursor: str | None) -> bytes:
    try:
        return base64.b64decode(cursor or "", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("the cursor is none that kv.list gave") from None
