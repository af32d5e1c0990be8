"""Documents of one app. Times are seconds since 1970, by the caller's clock; bodies are texts of JSON objects."""

from __future__ import annotations

from collections.abc import Callable

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.documents import Document, Path, Position, Query, shown
from picloud.storage.data import DataSession
from picloud.storage.document_query import Statement, stored_keys, stored_path
from picloud.storage.queries import load
from picloud.storage.searchable import original_text, searchable

_SQL = load("documents.sql")


def get(session: DataSession, collection: str, document_id: str) -> Document | None:
    """Return a document, None when it is not there."""
    rows = session.fetch(_SQL["get"], {"collection": collection, "id": document_id})
    return Document(*rows[0]) if rows else None


def insert(session: DataSession, collection: str, document_id: str, body: str, *, now_s: float) -> int:
    """Add a document and return its version; raise `Conflict` when the id is taken."""
    values = {"collection": collection, "id": document_id, "body": body, "search": searchable(body), "now": now_s}
    rows = session.fetch(_SQL["insert"], values)
    if not rows:
        raise Conflict(f"there is a document {shown(document_id)} already")
    return int(rows[0][0])


def replace(
    session: DataSession, collection: str, document_id: str, body: str, *, if_version: int | None, now_s: float
) -> Document:
    """Give a document another body and return it; raise `NotFound`, or `Conflict` when it has another version."""
    values = {"collection": collection, "id": document_id, "body": body, "search": searchable(body), "now": now_s}
    rows = session.fetch(_SQL["replace"], values | {"if_version": if_version})
    if not rows:
        raise _missed(session, collection, document_id, if_version)
    document_id, version, created_at, updated_at = rows[0]
    return Document(document_id, version, created_at, updated_at, body)


def change(
    session: DataSession, collection: str, document_id: str, new_body: Callable[[str], str],
    *, if_version: int | None, now_s: float,
) -> Document:  # fmt: skip
    """Give a document the body made from its own, which nobody changes in between; returns and raises as `replace`."""
    with session.transaction():
        rows = session.fetch(_SQL["lock"], {"collection": collection, "id": document_id})
        if not rows or if_version not in (None, rows[0][0]):
            raise _missed(session, collection, document_id, if_version)
        body = new_body(rows[0][1])
        return replace(session, collection, document_id, body, if_version=None, now_s=now_s)


def delete(session: DataSession, collection: str, document_id: str, *, if_version: int | None) -> bool:
    """Delete a document and return whether it was there; raise `Conflict` when it has another version."""
    values = {"collection": collection, "id": document_id, "if_version": if_version}
    if session.fetch(_SQL["delete"], values):
        return True
    missed = _missed(session, collection, document_id, if_version)
    if isinstance(missed, Conflict):
        raise missed
    return False


def find(
    session: DataSession, collection: str, query: Query, *, limit: int, after: Position | None, bytes_max: int
) -> tuple[list[Document], Position | None]:
    """Return documents in order, and where the page ends when there are more.

    A page has at most `limit` documents, and but for its first no more than `bytes_max` of bodies.
    """

    for declared in (_declared(session, collection), {}):
        statement = Statement(collection, query, declared)
        composed = statement.find(after)
        rows = session.fetch(composed, statement.values | {"limit": limit + 1, "bytes_max": bytes_max})
        if rows[0][0] or statement.index_id is None:  # else it was dropped in between
            break
    found = [row[1:] for row in rows[:limit] if row[1] is not None]
    documents = [Document(*row[:5]) for row in found]
    if not found or found[-1][5] == len(found):
        return documents, None
    return documents, Position(tuple(found[-1][6]), documents[-1].id)


def count(session: DataSession, collection: str, query: Query) -> int:
    """Return how many documents there are."""
    for declared in (_declared(session, collection), {}):
        statement = Statement(collection, query, declared)
        composed = statement.count()
        [(alive, number)] = session.fetch(composed, statement.values)
        if alive or statement.index_id is None:
            break
    return int(number)


def indexes(session: DataSession, collection: str) -> list[str]:
    """Return the declared paths of a collection."""
    return sorted(original_text(path) for path in _declared(session, collection))


def add_index(session: DataSession, collection: str, path: Path, *, indexes_max: int) -> bool:
    """Declare a path, with all documents there are, and return whether it is new; raise `InvalidInput` beyond the most.

    Writers wait until it is done, also those of other collections that share its lock. A path that is declared already
    costs one read: scripts may declare what they need each time they run.
    """
    if stored_path(path) in _declared(session, collection):
        return False
    values = {"collection": collection, "path": stored_path(path), "keys": stored_keys(path)}
    with session.transaction():
        session.fetch(_SQL["lock_indexes"], values)
        added = session.fetch(_SQL["add_index"], values)
        if added:
            if len(_declared(session, collection)) > indexes_max:
                raise InvalidInput(f"a collection has at most {indexes_max} indexes: drop one first")
            session.fetch(_SQL["fill_index"], values | {"index_id": added[0][0]})
    return bool(added)


def drop_index(session: DataSession, collection: str, path: Path) -> bool:
    """Forget a declared path and return whether it was one. Writers wait until it is done, as in `add_index`."""
    if stored_path(path) not in _declared(session, collection):
        return False
    values = {"collection": collection, "path": stored_path(path)}
    with session.transaction():
        session.fetch(_SQL["lock_indexes"], values)
        dropped = session.fetch(_SQL["drop_index"], values)
        for (index_id,) in dropped:
            session.fetch(_SQL["empty_index"], {"index_id": index_id})
    return bool(dropped)


def _declared(session: DataSession, collection: str) -> dict[str, int]:
    """Return the ids of the collection's indexes, by path."""
    return dict(session.fetch(_SQL["indexes"], {"collection": collection}))


def _missed(session: DataSession, collection: str, document_id: str, if_version: int | None) -> NotFound | Conflict:
    """Return why a document was not changed."""
    rows = session.fetch(_SQL["version"], {"collection": collection, "id": document_id})
    if if_version is None or not rows:
        return NotFound(f"there is no document {shown(document_id)}")
    return Conflict(f"the document {shown(document_id)} has version {rows[0][0]} now, not {if_version}")
