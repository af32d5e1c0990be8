"""`docs`: collections of JSON documents, with filters, sorting, versions and indexes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Annotated, Final

from picloud.errors import InvalidInput
from picloud.model.documents import PATH_MAX_BYTES, Document, Order, Position, Query, parse_path, shown
from picloud.model.trigger import COLLECTION_NAME
from picloud.sdk.filters import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    IN_MAX,
    ORDERS_MAX,
    TERM_MAX_BYTES,
    parse_filter,
    parse_orders,
)
from picloud.sdk.merge_patch import merge_patch
from picloud.sdk.random import uuid_v7
from picloud.sdk.run import Run
from picloud.sdk.spec import Cell, Data, Namespace, Row, Rows, Value
from picloud.storage import documents as storage

DOCUMENT_MAX_BYTES: Final = 1024 * 1024
"""Of a document as JSON."""
ID_MAX_BYTES: Final = 256
LIMIT_MAX: Final = 1000
PAGE_MAX_BYTES: Final = 4 * 1024 * 1024
INDEXES_MAX: Final = 16
"""Of one collection."""
CURSOR_MAX_BYTES: Final = 8 * 1024
_SEAL_BYTES: Final = 16
_COLUMNS: Final = ("id", "version", "created_at", "updated_at", "value*")

docs = Namespace(
    "docs",
    f"""Collections of JSON documents. A document is a table of this form:

    {{ id = "...", version = 1764010000000000, created_at = "2026-11-24T18:46:40.000000Z", updated_at = "...",
      value = {{ status = "open", address = {{ city = "Bern" }} }} }}

`value` is what you store: a table with strings as keys and anything JSON can hold in it, at most
{DOCUMENT_MAX_BYTES // 2**20} MiB as JSON. It comes back as it was, integers as integers and floats as floats. An id is
a text of 1 to {ID_MAX_BYTES} bytes without NUL; one that is made for you is a UUID of version 7, so that later
documents come later. The version is an integer that grows with every change, also past a deletion: pass it as
`if_version` to change a document only if nobody else has; if somebody has, the error `conflict` is raised. Times are
RFC 3339 in UTC. The name of a collection has 1 to 64 letters, digits, `_` and `-`, with a letter or `_` first; a
collection is there once a document is in it.

A **path** says where in `value` something is: keys with dots between them, like `address.city`. A backslash takes the
next character as it stands: `"a\\\\.b"` in Lua is the one key `a.b`. Paths do not lead into lists. A path has at most
{PATH_MAX_BYTES} bytes.

A **filter** is a table of paths and what must be there; all of it must hold. The value at the path `p`

- `{{ p = v }}`, `{{ p = {{ eq = v }} }}`: equals `v`; 1 equals 1.0. For a table or list as `v` write `eq`.
- `{{ p = {{ ne = v }} }}`: does not equal `v`, or is not there.
- `{{ p = {{ gt = v }} }}`, `gte`, `lt`, `lte`: is more than, at least, less than, at most `v`; numbers are compared
  with numbers, strings with strings in the order of their bytes.
- `{{ p = {{ ["in"] = list }} }}`: equals one of the list's values, at most {IN_MAX}.
- `{{ p = {{ prefix = s }} }}`: is a string that begins with `s`.
- `{{ p = {{ contains = v }} }}`: is a list with an element that equals `v`, or a string with the string `v` in it, of
  at most {TERM_MAX_BYTES} bytes.
- `{{ p = {{ exists = true }} }}`: is there; with `false`: is not.

`{{ ["and"] = {{ f, g }} }}`, `{{ ["or"] = {{ f, g }} }}` and `{{ ["not"] = f }}` put filters together. Several
conditions on a path can stand in one table: `{{ age = {{ gte = 18, lt = 65 }} }}`. `json.null` is a value:
`{{ p = json.null }}` holds when null is there, not when nothing is. Values are never converted: a number never equals a
string. A key called `and`, `or` or `not` is the path `"\\\\and"`. A filter has at most {CONDITIONS_MAX} conditions and
{DEPTH_MAX} levels.

Without an index a filter reads the whole collection. `docs.index` declares a path: filters that need a condition on it
(`eq`, `gt`, `gte`, `lt`, `lte`, `in`, `prefix`, `exists`) and orders that begin with it read no more than needed.""",
)

Collection = Annotated[str, "the collection's name"]
Id = Annotated[str, "the document's id"]
IfVersion = Annotated[int | None, "only when the document has this version"]
IfFilter = Annotated[Value | None, "which documents; left out: all"]

_CONFLICT: Final = "the document has another version than `if_version`"
_NOT_FOUND: Final = "there is no such document"


@docs.function(
    returns="the document's id and version",
    errors={"conflict": "there is a document with this id already"},
    example="""
    local id, version = docs.insert("todos", { title = "write", done = false })
    docs.get("todos", id).value.title --> "write"
    docs.insert("todos", { title = "rest" }, { id = "rest" }) --> "rest"
    """,
)
def insert(
    run: Run,
    collection: Collection,
    value: Annotated[Value, f"a table with strings as keys, of at most {DOCUMENT_MAX_BYTES // 2**20} MiB as JSON"],
    *,
    id: Annotated[str | None, f"its id, of 1 to {ID_MAX_BYTES} bytes; left out: a new one"] = None,  # noqa: A002
) -> tuple[str, int]:
    """Add a document."""
    document_id = uuid_v7(run) if id is None else _id(id)
    return document_id, storage.insert(
        run.data, _collection(collection), document_id, _body(value, "value"), now_s=run.now_s()
    )


@docs.function(
    returns="the document, or nil when there is none",
    example="""
    docs.insert("users", { name = "Ada" }, { id = "ada" })
    docs.get("users", "ada").value --> { name = "Ada" }
    docs.get("users", "bob") --> nil
    """,
)
def get(run: Run, collection: Collection, id: Id) -> Row | None:  # noqa: A002
    """Read a document."""
    found = storage.get(run.data, _collection(collection), _id(id))
    return None if found is None else _row(found)


@docs.function(
    returns="the document's new version",
    errors={"not_found": _NOT_FOUND, "conflict": _CONFLICT},
    example="""
    local id, version = docs.insert("users", { name = "Ada" })
    docs.replace("users", id, { name = "Ada", born = 1815 }, { if_version = version })
    docs.get("users", id).value.born --> 1815
    """,
)
def replace(
    run: Run,
    collection: Collection,
    id: Id,  # noqa: A002
    value: Annotated[Value, "the new value, all of it"],
    *,
    if_version: IfVersion = None,
) -> int:
    """Give a document another value."""
    changed = storage.replace(
        run.data, _collection(collection), _id(id), _body(value, "value"), if_version=if_version, now_s=run.now_s()
    )
    return changed.version


@docs.function(
    returns="the document as it is now",
    errors={"not_found": _NOT_FOUND, "conflict": _CONFLICT},
    example="""
    docs.insert("users", { name = "Ada", address = { city = "London", zip = "W1" } }, { id = "ada" })
    local ada = docs.patch("users", "ada", { born = 1815, address = { zip = json.null } })
    ada.value --> { name = "Ada", born = 1815, address = { city = "London" } }
    """,
)
def patch(
    run: Run,
    collection: Collection,
    id: Id,  # noqa: A002
    changes: Annotated[Value, "what to set, tables within tables; json.null removes a key"],
    *,
    if_version: IfVersion = None,
) -> Row:
    """Change parts of a document, atomically ([RFC 7396](https://www.rfc-editor.org/rfc/rfc7396)).

    Tables with strings as keys are merged, level by level; lists and all other values are replaced as a whole.
    """
    checked = _body(changes, "changes")
    changed = storage.change(
        run.data, _collection(collection), _id(id), lambda body: _body(merge_patch(body, checked), "the value"),
        if_version=if_version, now_s=run.now_s(),
    )  # fmt: skip
    return _row(changed)


@docs.function(
    returns="whether there was such a document",
    errors={"conflict": _CONFLICT},
    example="""
    local id = docs.insert("todos", { title = "rest" })
    docs.delete("todos", id) --> true
    docs.delete("todos", id) --> false
    """,
)
def delete(run: Run, collection: Collection, id: Id, *, if_version: IfVersion = None) -> bool:  # noqa: A002
    """Delete a document."""
    return storage.delete(run.data, _collection(collection), _id(id), if_version=if_version)


@docs.function(
    returns="documents in order, and a cursor when there are more",
    example="""
    for i, city in ipairs({ "Bern", "Rome", "Bern" }) do
      docs.insert("users", { age = 10 * i, address = { city = city } })
    end
    local found = docs.find("users", { filter = { ["address.city"] = "Bern", age = { gte = 10 } }, sort = { "-age" } })
    found[1].value.age --> 30
    local page, cursor = docs.find("users", { sort = { "age" }, limit = 2 })
    local rest = docs.find("users", { sort = { "age" }, limit = 2, cursor = cursor })
    rest[1].value.age --> 30
    """,
)
def find(
    run: Run,
    collection: Collection,
    *,
    filter: IfFilter = None,  # noqa: A002
    sort: Annotated[
        list[str] | None, f"at most {ORDERS_MAX} paths, the first decides first; with `-` in front: descending"
    ] = None,
    reverse: Annotated[bool, "the other way round; without `sort`, newest first"] = False,
    limit: Annotated[int, f"documents at most, up to {LIMIT_MAX}; a page ends sooner when it grows large"] = 100,
    cursor: Annotated[
        str | None, "from the page before; all options but `limit` must be the same; it tells what it was sorted by"
    ] = None,
) -> tuple[Rows, str | None]:
    """Find documents page by page, in the order of their ids or of what they have at some paths.

    What is not there comes first, then null, false, true, numbers, strings in the order of their first 511 bytes,
    lists, tables. Documents that are equal in this come in the order of their ids, turned round with `-` at the last
    path. A document that is there throughout and is not changed comes exactly once, whatever else is written. A page
    has at most 4 MiB of documents, but one at least.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidInput(f"limit must be from 1 to {LIMIT_MAX}, got {limit}")
    texts = sort or []
    query = _query(filter, texts, reverse)
    seal = json.dumps([_collection(collection), filter, texts, reverse]).encode()
    after = None if cursor is None else _position(cursor, seal, len(texts))
    found, end = storage.find(run.data, collection, query, limit=limit, after=after, bytes_max=PAGE_MAX_BYTES)
    return Rows(_COLUMNS, tuple(map(_cells, found))), None if end is None else _cursor(end, seal)


@docs.function(
    returns="how many there are",
    example="""
    docs.insert("todos", { done = true })
    docs.insert("todos", { done = false })
    docs.count("todos", { filter = { done = true } }) --> 1
    """,
)
def count(run: Run, collection: Collection, *, filter: IfFilter = None) -> int:  # noqa: A002
    """Count documents."""
    return storage.count(run.data, _collection(collection), Query(parse_filter(filter)))


@docs.function(
    returns="whether it is new",
    errors={"invalid_input": f"the collection has {INDEXES_MAX} indexes already"},
    example="""
    docs.index("users", "address.city") --> true
    docs.index("users", "address.city") --> false
    """,
)
def index(run: Run, collection: Collection, path: Annotated[str, "what filters and orders use often"]) -> bool:
    """Declare an index on a path, so that finding by it need not read the whole collection.

    Takes in the documents there are, while writers of the collection wait. Each index makes writes a little slower.
    """
    return storage.add_index(run.data, _collection(collection), parse_path(path), indexes_max=INDEXES_MAX)


@docs.function(
    returns="whether there was such an index",
    example="""
    docs.index("users", "age")
    docs.drop_index("users", "age") --> true
    """,
)
def drop_index(run: Run, collection: Collection, path: Annotated[str, "a declared path"]) -> bool:
    """Drop an index."""
    return storage.drop_index(run.data, _collection(collection), parse_path(path))


@docs.function(
    returns="declared paths",
    example="""
    docs.index("users", "age")
    docs.indexes("users") --> { "age" }
    """,
)
def indexes(run: Run, collection: Collection) -> list[str]:
    """List the indexes of a collection."""
    return storage.indexes(run.data, _collection(collection))


def _row(document: Document) -> Row:
    return Row(_COLUMNS, _cells(document))


def _cells(document: Document) -> tuple[Cell, ...]:
    return (*document[:4], Data(True, document.body.encode()))


def _query(filter_text: str | None, sort: list[str], reverse: bool) -> Query:
    orders = parse_orders(sort)
    descending = bool(orders) and orders[-1].descending
    turned = tuple(Order(order.path, order.descending != reverse) for order in orders)
    return Query(parse_filter(filter_text), turned, descending != reverse)


def _collection(name: str) -> str:
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidInput(
            f"the collection {shown(name)} must have 1 to 64 letters, digits, '_' and '-', with a letter or '_' first"
        )
    return name


def _id(text: str) -> str:
    size = len(text.encode())
    if not 1 <= size <= ID_MAX_BYTES or "\0" in text:
        raise InvalidInput(f"an id has 1 to {ID_MAX_BYTES} bytes without NUL, got {shown(text)} of {size} bytes")
    return text


def _body(text: str, what: str) -> str:
    if not text.startswith("{"):
        raise InvalidInput(f"{what} must be a table with strings as keys, not a list or a single value")
    if (size := len(text.encode())) > DOCUMENT_MAX_BYTES:
        raise InvalidInput(f"{what} has {size} bytes as JSON, more than the {DOCUMENT_MAX_BYTES} of a document")
    return text


def _cursor(end: Position, seal: bytes) -> str:
    place = b"\n".join([*(key.hex().encode() for key in end.keys), end.id.encode()])
    return base64.urlsafe_b64encode(_sealed(seal, place) + place).decode()


def _position(cursor: str, seal: bytes, keys: int) -> Position:
    """Return where a page ended; the seal tells cursors of other queries, and what is no cursor."""
    wrong = InvalidInput("the cursor is none that docs.find gave for these options")
    if len(cursor) > CURSOR_MAX_BYTES:
        raise wrong
    try:
        content = base64.b64decode(cursor, altchars=b"-_", validate=True)
        place = content[_SEAL_BYTES:]
        *found, document_id = place.split(b"\n", keys)
        position = Position(tuple(bytes.fromhex(key.decode()) for key in found), _id(document_id.decode()))
    except (ValueError, InvalidInput):
        raise wrong from None
    if content[:_SEAL_BYTES] != _sealed(seal, place) or len(position.keys) != keys:
        raise wrong
    return position


def _sealed(seal: bytes, place: bytes) -> bytes:
    return hashlib.sha256(b"%d\n%s%s" % (len(seal), seal, place)).digest()[:_SEAL_BYTES]
