"""`docs` on a real database: documents come back as they were, filters find what they say, with indexes or without."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL
from pydantic import SecretStr

from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.documents import AllOf, AnyOf, Condition, Filter, Not, Operator, Order, Query, path_text
from picloud.model.release import TestSource
from picloud.platform import Platform, open_platform
from picloud.sdk.docs import DOCUMENT_MAX_BYTES, INDEXES_MAX, _position, _sealed
from picloud.sdk.filters import parse_filter
from picloud.settings import Settings
from picloud.storage import documents
from picloud.storage.data import DataSession
from picloud.storage.document_query import Statement
from picloud.storage.embedded import Lease
from picloud.testing.fixtures import fresh_database
from tests.integration.sdk.conftest import Lua
from tests.integration.sdk.naughty import NAUGHTY

OpenApp = Callable[[str], Lua]
NOW_S = 1_764_010_000.0
slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def data(platform: Platform, app: str = "shop", *, discard: bool = False) -> Iterator[DataSession]:
    """Open an app's data, as a run does."""
    with suppress(Conflict):
        platform.apps.create(app)
    with closing(DataSession(platform.runs, platform.apps.get(app), lambda: 10.0, discard=discard)) as session:
        yield session


@pytest.fixture
def session(platform: Platform) -> Iterator[DataSession]:
    with data(platform) as opened:
        yield opened


def put(session: DataSession, collection: str, values: list[Any]) -> list[str]:
    """Insert values under the ids 000, 001 and so on."""
    ids = [f"{number:03}" for number in range(len(values))]
    for document_id, value in zip(ids, values, strict=True):
        documents.insert(session, collection, document_id, json.dumps(value, ensure_ascii=False), now_s=NOW_S)
    return ids


def ids_of(session: DataSession, collection: str, query: Query, *, limit: int = 1000) -> list[str]:
    found, end = documents.find(session, collection, query, limit=limit, after=None, bytes_max=2**22)
    assert end is None
    return [document.id for document in found]


def quoted(text: str) -> str:
    """Return a Lua string of this text."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def from_json(value: Any) -> str:
    """Return a Lua expression for a value."""
    return f"json.decode({quoted(json.dumps(value))})"


# documents -------------------------------------------------------------------------------------------------------


def test_a_document_is_what_was_put_in_beside_what_is_known_of_it(lua: Lua) -> None:
    found = lua("local id, version = docs.insert('c', { a = 1, id = 'own' }) return { docs.get('c', id), id, version }")
    document, document_id, version = found
    assert document["id"] == document_id
    assert document["version"] == version
    assert document["value"] == {"a": 1, "id": "own"}
    assert set(document) == {"id", "version", "created_at", "updated_at", "value"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", document["created_at"])
    assert document["created_at"] == document["updated_at"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", document_id)


def test_ids_that_are_made_grow_with_time(lua: Lua) -> None:
    assert lua("""
        local ids = {}
        for i = 1, 100 do ids[i] = docs.insert("c", { i = i }) end
        local found = docs.find("c")
        for i = 1, 100 do if found[i].id ~= ids[i] or found[i].value.i ~= i then return false end end
        return docs.find("c", { reverse = true, limit = 1 })[1].id == ids[100]
    """)


all_text = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | all_text
    | st.text(st.sampled_from("\0\1\2\3\4\5\6\\u0"), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(all_text, inner, max_size=4),
    max_leaves=15,
)


@slow
@given(st.dictionaries(all_text, json_values, max_size=5))
def test_any_json_comes_back_equal(lua: Lua, value: dict[str, Any]) -> None:
    """Through Lua: integers, floats, -0.0, NUL and all text, empty tables and arrays are what they were."""
    assert lua(f"""
        local value = {from_json(value)}
        local text = json.encode(value)
        local id, version = docs.insert("c", value)
        local same = json.encode(docs.get("c", id).value) == text
        local patched = json.encode(docs.patch("c", id, {{}}).value) == text
        docs.replace("c", id, value)
        local replaced = json.encode(docs.find("c", {{ reverse = true, limit = 1 }})[1].value) == text
        docs.delete("c", id)
        return same and patched and replaced
    """)


@pytest.mark.parametrize(
    "value", ["1e15", "-0.0", "2.0", "1e300", "5e-324", "math.maxinteger", "math.mininteger", "2^63", "json.null", "{}",
              "json.array{}", "{ {} }", "{ json.array{} }", "{ json.null, 1 }", "'a\\0b'"],
)  # fmt: skip
def test_values_keep_their_types_through_insert_and_patch(lua: Lua, value: str) -> None:
    assert lua(f"""
        local v = {value}
        local id = docs.insert("c", {{ v = v, w = 1 }})
        local function same(x) return json.encode(x) == json.encode(v) and math.type(x) == math.type(v) end
        return same(docs.get("c", id).value.v) and same(docs.patch("c", id, {{ w = 2 }}).value.v)
          and same(docs.get("c", id).value.v)
          and docs.count("c", {{ filter = {{ v = {{ eq = v }} }} }}) == 1
    """)


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_any_text_can_be_a_value_a_key_an_id_and_in_a_filter(lua: Lua, text: str) -> None:
    lua(f"text = {quoted(text)}")
    lua("docs.insert('c', { [text] = text, x = text }, { id = 'it' })")
    assert lua("return docs.get('c', 'it').value[text] == text and docs.find('c')[1].value.x == text")
    if len(text) < 50_000:
        assert lua("return docs.count('c', { filter = { x = text } })") == 1
        assert lua("return docs.count('c', { filter = { x = text .. 'x' } })") == 0
    if len(text.encode()) <= 256:
        lua("docs.insert('c', { x = 'before' .. text .. 'after', list = { text } }, { id = 'around' })")
        assert lua("return docs.count('c', { filter = { list = { contains = text } } })") == 1
        assert lua("return docs.count('c', { filter = { x = { prefix = text } } })") == (2 if text == "" else 1)
        assert lua("return docs.count('c', { filter = { x = { contains = text } } })") == 2
    if len(text.encode()) <= 100:
        lua("path = text:gsub('[.\\\\]', '\\\\%0')")
        assert lua("return docs.count('c', { filter = { [path] = text } })") == 1
        assert lua("docs.index('c', path) return docs.count('c', { filter = { [path] = text } })") == 1
        assert lua("return docs.indexes('c')[1] == path and docs.drop_index('c', path)")
    if "\0" not in text and 0 < len(text.encode()) <= 256:
        assert lua("docs.insert('d', {}, { id = text }) return docs.get('d', text).id == text")
        assert lua("return docs.find('d', { limit = 1 })[1].id == text and docs.delete('d', text)")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("docs.insert('', {})", "docs.insert: the collection '' must have 1 to 64 letters"),
        ("docs.insert('1a', {})", "must have 1 to 64 letters"),
        ("docs.insert('a\\n', {})", "must have 1 to 64 letters"),
        ("docs.insert(('a'):rep(65), {})", "must have 1 to 64 letters"),
        ("docs.insert('documents; DROP TABLE documents', {})", "must have 1 to 64 letters"),
        ("docs.insert('c', { 1, 2 })", "value must be a table with strings as keys"),
        ("docs.insert('c', json.array{})", "value must be a table with strings as keys"),
        ("docs.insert('c', 'x')", "value must be a table with strings as keys"),
        ("docs.insert('c', json.null)", "value must be a table with strings as keys"),
        ("docs.insert('c')", "docs.insert: value must be a value"),
        ("docs.insert('c', {}, { id = '' })", "an id has 1 to 256 bytes without NUL"),
        ("docs.insert('c', {}, { id = 'a\\0b' })", "an id has 1 to 256 bytes without NUL"),
        ("docs.insert('c', {}, { id = ('ü'):rep(129) })", "of 258 bytes"),
        ("docs.insert('c', {}, { id = '\\xff' })", "is not UTF-8"),
        ("docs.insert('c', {}, { id = 5 })", "id must be a string"),
        ("docs.insert('c', { x = ('x'):rep(2^20) })", "value has 1048584 bytes as JSON"),
        ("docs.insert('c', {}, { id = 'x' }) docs.insert('c', {}, { id = 'x' })", "there is a document 'x' already"),
        ("docs.replace('c', 'none', {})", "docs.replace: there is no document 'none'"),
        ("docs.replace('c', 'none', {}, { if_version = 1 })", "there is no document 'none'"),
        ("docs.patch('c', 'none', {})", "docs.patch: there is no document 'none'"),
        ("docs.patch('c', 'none', { 1 })", "changes must be a table with strings as keys"),
        ("local id = docs.insert('c', {}) docs.replace('c', id, {}, { if_version = 1 })", "now, not 1"),
        ("local id = docs.insert('c', {}) docs.patch('c', id, {}, { if_version = 1 })", "now, not 1"),
        ("local id = docs.insert('c', {}) docs.delete('c', id, { if_version = 1 })", "now, not 1"),
        ("s = ('x'):rep(6e5) docs.insert('c', { a = s }, { id = 'x' }) docs.patch('c', 'x', { b = s })", "as JSON"),
        ("docs.find('c', { limit = 0 })", "limit must be from 1 to 1000"),
        ("docs.find('c', { limit = 1001 })", "limit must be from 1 to 1000"),
        ("docs.find('c', { filter = 5 })", "the filter must be a table"),
        ("docs.find('c', { filter = { a = { like = 'x' } } })", "there is no operator 'like'"),
        ("docs.find('c', { where = {} })", "there is no option 'where'"),
        ("docs.find('c', { sort = 'age' })", "sort must be a list of strings"),
        ("docs.find('c', { sort = { 'a', 'b', 'c', 'd', 'e' } })", "at most 4 paths"),
        ("docs.find('c', { sort = { 'a\\\\' } })", "ends with a backslash"),
        ("docs.find('c', { cursor = '!' })", "the cursor is none that docs.find gave"),
        ("docs.find('c', { cursor = '' })", "the cursor is none that docs.find gave"),
        ("docs.find('c', { cursor = ('A'):rep(10000) })", "the cursor is none that docs.find gave"),
        ("docs.index('c', ('x'):rep(257))", "at most 256 bytes"),
        ("for i = 1, 17 do docs.index('c', 'p' .. i) end", "at most 16 indexes"),
        ("docs.count('c', { filter = { a = function() end } })", "which JSON cannot hold"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(lua: Lua, source: str, message: str) -> None:
    assert message in lua.fails(source)


def test_codes_tell_what_went_wrong(lua: Lua) -> None:
    code = "return select(2, pcall(function() {} end)).code"
    lua("docs.insert('c', {}, { id = 'x' })")
    assert lua(code.format("docs.insert('c', {}, { id = 'x' })")) == "conflict"
    assert lua(code.format("docs.replace('c', 'x', {}, { if_version = 1 })")) == "conflict"
    assert lua(code.format("docs.patch('c', 'y', {})")) == "not_found"


def test_versions_never_come_back_and_guard_changes(lua: Lua) -> None:
    assert lua("""
        local last = 0
        local function later(version)
          assert(math.type(version) == "integer" and version > last)
          last = version
        end
        for i = 1, 20 do
          later(select(2, docs.insert("c", { i = i }, { id = "x" })))
          later(docs.replace("c", "x", { i = -i }, { if_version = last }))
          later(docs.patch("c", "x", { j = i }, { if_version = last }).version)
          assert(not pcall(docs.patch, "c", "x", { j = 0 }, { if_version = last - 1 }))
          assert(docs.get("c", "x").version == last and docs.get("c", "x").value.j == i)
          assert(docs.delete("c", "x", { if_version = last }))
        end
        return docs.delete("c", "x", { if_version = last })
    """) is False  # fmt: skip


def test_times_are_those_of_the_run(session: DataSession) -> None:
    documents.insert(session, "c", "x", "{}", now_s=NOW_S)
    changed = documents.replace(session, "c", "x", '{"a":1}', if_version=None, now_s=NOW_S + 0.5)
    assert changed == documents.get(session, "c", "x")
    assert (changed.created_at, changed.updated_at) == ("2025-11-24T18:46:40.000000Z", "2025-11-24T18:46:40.500000Z")


def test_the_largest_document_goes_in_and_comes_out(lua: Lua) -> None:
    size = DOCUMENT_MAX_BYTES - len('{"x":""}')
    assert (
        lua(f"local id = docs.insert('c', {{ x = ('ü'):rep({size // 2}) }}) return #docs.get('c', id).value.x") == size
    )
    assert lua("""
        local t, depth = {}, 98
        local inner = t
        for i = 1, depth do inner.t = {} inner = inner.t end
        local id = docs.insert("c", t)
        docs.patch("c", id, t)
        local found = docs.count("c", { filter = { ["t.t.t"] = { exists = true } } })
        return json.encode(docs.get("c", id).value) == json.encode(t) and found
    """) == 1  # fmt: skip


# filters against a model -----------------------------------------------------------------------------------------

MISSING: Any = object()
PATHS = [("a",), ("b",), ("b", "c"), ("a.b",), ("",), ("x'\"{}\0%s",)]
LONG = "l" * 600
SCALARS = [
    None, True, False, 0, 1, 1.0, -0.0, -1, 0.5, 1e15, 10**15, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63),
    2.0**63, -(2.0**63), 2.0**64, 1e300, -1e300, 5e-324, 0.1, 0.1 + 0.2, "", "a", "A", "ab", "a%", "a_b", "aXb", "%",
    "_", "a\\", "ä", "\0", "a\0", "\1", "\2\3", "\6", "z", "💩", "1", "null", "true", "\u202e", LONG, LONG + "a",
    LONG + "b",
]  # fmt: skip
scalars = st.sampled_from(SCALARS)
lists = st.lists(scalars, max_size=3) | st.lists(st.lists(scalars, max_size=2), max_size=2)
anything = scalars | scalars | lists | st.dictionaries(st.sampled_from(["c", "d", ""]), scalars | lists, max_size=2)
values = st.dictionaries(st.sampled_from(["a", "b", "a.b", "", PATHS[-1][0]]), anything, max_size=4)
texts = scalars.filter(lambda value: isinstance(value, str))
ordered = scalars.filter(lambda value: isinstance(value, int | float | str) and not isinstance(value, bool))


def condition(operators: list[Operator], operands: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    return st.builds(Condition, st.sampled_from(PATHS), st.sampled_from(operators), operands)


conditions = (
    condition([Operator.EQ, Operator.CONTAINS], anything)
    | condition([Operator.GT, Operator.GTE, Operator.LT, Operator.LTE], ordered)
    | condition([Operator.IN], st.lists(anything, max_size=4))
    | condition([Operator.PREFIX, Operator.CONTAINS], texts)
    | condition([Operator.EXISTS], st.booleans())
)
filters: st.SearchStrategy[Filter] = st.recursive(
    conditions,
    lambda inner: (
        st.builds(AllOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=5,
)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def kind(value: Any) -> int:
    """Return the place of a value's type in the order of values."""
    if value is MISSING:
        return 0
    if value is None:
        return 1
    if isinstance(value, bool):
        return 2
    return {int: 3, float: 3, str: 4, list: 5, dict: 6}[type(value)]


def same(a: Any, b: Any) -> bool:
    if kind(a) != kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def rank(value: Any) -> Any:
    """Return what a value is ordered by."""
    place = kind(value)
    return (place, value if place in (2, 3) else value.encode() if place == 4 else 0)


def holds(part: Filter, value: Any) -> bool:
    match part:
        case AllOf(parts):
            return all(holds(inner, value) for inner in parts)
        case AnyOf(parts):
            return any(holds(inner, value) for inner in parts)
        case Not(inner):
            return not holds(inner, value)
        case Condition(path, operator, operand):
            return meets(operator, at(value, path), operand)


def meets(operator: Operator, found: Any, operand: Any) -> bool:
    comparable = kind(found) == kind(operand)
    match operator:
        case Operator.EQ:
            return same(found, operand)
        case Operator.IN:
            return any(same(found, item) for item in operand)
        case Operator.EXISTS:
            return operand is (found is not MISSING)
        case Operator.PREFIX:
            return isinstance(found, str) and found.startswith(operand)
        case Operator.CONTAINS:
            if isinstance(found, list):
                return any(same(item, operand) for item in found)
            return isinstance(found, str) and isinstance(operand, str) and operand in found
        case Operator.GT:
            return comparable and bool(rank(found) > rank(operand))
        case Operator.GTE:
            return comparable and bool(rank(found) >= rank(operand))
        case Operator.LT:
            return comparable and bool(rank(found) < rank(operand))
        case Operator.LTE:
            return comparable and bool(rank(found) <= rank(operand))


numbers = count()


@settings(slow, max_examples=150)
@given(st.lists(values, max_size=12), st.lists(filters, min_size=1, max_size=3), st.sets(st.sampled_from(PATHS)))
def test_filters_find_what_they_say_with_and_without_indexes(
    session: DataSession, stored: list[Any], asked: list[Filter], indexed: set[tuple[str, ...]]
) -> None:
    collection = f"c{next(numbers)}"
    half = len(stored) // 2
    put(session, collection, stored[:half])
    expected = [[f"{i:03}" for i, value in enumerate(stored) if holds(part, value)] for part in asked]
    for path in indexed:  # some documents are there already, others come later
        documents.add_index(session, collection, path, indexes_max=INDEXES_MAX)
    for number, value in enumerate(stored[half:], half):
        documents.insert(session, collection, f"{number:03}", "{}", now_s=NOW_S)
        documents.replace(session, collection, f"{number:03}", json.dumps(value), if_version=None, now_s=NOW_S)
    for part, ids in zip(asked, expected, strict=True):
        assert ids_of(session, collection, Query(part)) == ids
        assert documents.count(session, collection, Query(part)) == len(ids)
    for path in indexed:
        assert documents.drop_index(session, collection, path)
    for part, ids in zip(asked, expected, strict=True):
        assert ids_of(session, collection, Query(part)) == ids


orders = st.builds(Order, st.sampled_from(PATHS), st.booleans())


@settings(slow, max_examples=100)
@given(
    st.lists(values, max_size=14),
    st.builds(Query, filters | st.just(AllOf(())), st.lists(orders, max_size=3).map(tuple), st.booleans()),
    st.sets(st.sampled_from(PATHS)),
    st.integers(1, 5),
)
def test_pages_are_the_sorted_whole_with_and_without_indexes(
    session: DataSession, stored: list[Any], query: Query, indexed: set[tuple[str, ...]], limit: int
) -> None:
    collection = f"s{next(numbers)}"
    rows = list(zip(put(session, collection, stored), stored, strict=True))
    expected = sorted((row for row in rows if holds(query.filter, row[1])), reverse=query.descending)
    for order in reversed(query.orders):

        def key(row: tuple[str, Any], order: Order = order) -> Any:
            place, value = rank(at(row[1], order.path))
            return place, value[:511] if place == 4 else value

        expected.sort(key=key, reverse=order.descending)
    for turn in range(2):
        seen: list[str] = []
        after = None
        while True:
            page, after = documents.find(session, collection, query, limit=limit, after=after, bytes_max=2**20)
            seen += [document.id for document in page]
            if after is None:
                break
            assert len(page) == limit
            if turn and len(seen) == limit:  # cursors outlive a change of indexes
                for path in indexed:
                    documents.drop_index(session, collection, path)
        assert seen == [document_id for document_id, _ in expected]
        for path in indexed:
            documents.add_index(session, collection, path, indexes_max=INDEXES_MAX)


def test_filters_through_lua(lua: Lua) -> None:
    lua("""
        local ada = { name = "Ada", age = 36, tags = { "math", "code" }, address = { city = "London" } }
        docs.insert("u", ada, { id = "ada" })
        docs.insert("u", { name = "Bob", age = 17.5, tags = json.array{}, address = json.null }, { id = "bob" })
        docs.insert("u", { name = "Cyd", age = "36", tags = { { "math" } }, ["address.city"] = "Bern" }, { id = "cyd" })
    """)
    for text, ids in [
        ("{}", "ada bob cyd"),
        ("{ age = 36 }", "ada"),
        ("{ age = 36.0 }", "ada"),
        ("{ age = '36' }", "cyd"),
        ("{ age = { gte = 17.5, lt = 36 } }", "bob"),
        ("{ age = { ne = 36 } }", "bob cyd"),
        ("{ age = { ['in'] = { 36, '36' } } }", "ada cyd"),
        ("{ age = { ['in'] = {} } }", ""),
        ("{ tags = { contains = 'math' } }", "ada"),
        ("{ tags = { contains = { 'math' } } }", "cyd"),
        ("{ tags = { eq = json.array{} } }", "bob"),
        ("{ tags = { eq = { 'math', 'code' } } }", "ada"),
        ("{ ['tags.1'] = 'math' }", ""),
        ("{ ['tags.0'] = 'math' }", ""),
        ("{ name = { contains = 'd' } }", "ada cyd"),
        ("{ name = { prefix = 'C' } }", "cyd"),
        ("{ ['address.city'] = 'London' }", "ada"),
        ("{ ['address\\\\.city'] = 'Bern' }", "cyd"),
        ("{ address = json.null }", "bob"),
        ("{ address = { exists = false } }", "cyd"),
        ("{ address = { exists = true } }", "ada bob"),
        ("{ address = { eq = { city = 'London' } } }", "ada"),
        ("{ ['or'] = { { name = 'Bob' }, { ['address.city'] = 'London' } } }", "ada bob"),
        ("{ ['not'] = { ['or'] = { { name = 'Bob' }, { age = 36 } } } }", "cyd"),
        ("{ ['and'] = { { name = { gt = 'A' } }, { name = { lte = 'Bob' } } } }", "ada bob"),
    ]:
        found = lua(
            f"local t = {{}} for i, d in ipairs(docs.find('u', {{ filter = {text} }})) do t[i] = d.id end return t"
        )
        assert " ".join(found or ()) == ids, text
        assert lua(f"return docs.count('u', {{ filter = {text} }})") == len(ids.split()), text


def test_a_list_of_a_thousand_and_a_long_needle_take_no_long_time(lua: Lua) -> None:
    lua("for i = 1, 500 do docs.insert('c', { n = i, s = ('ab'):rep(500) }) end")
    lua("list = {} for i = 1, 1000 do list[i] = 2 * i end")
    assert lua("return docs.count('c', { filter = { n = { ['in'] = list } } })") == 250
    assert lua("return docs.count('c', { filter = { s = { contains = ('ab'):rep(128) } } })") == 500
    assert lua("return docs.count('c', { filter = { s = { contains = 'b' .. ('ab'):rep(127) .. 'b' } } })") == 0


def test_a_cursor_made_by_hand_does_no_harm(session: DataSession) -> None:
    """The seal keeps nobody from making one; it says only where to go on."""
    put(session, "c", [{"n": 1}, {"n": 2}])
    query, seal = Query(orders=(Order(("n",), False),)), b"any"
    wrong = [b"", b"\n", b"zz\nx", b"00", b"00\na\0b", b"00\n\xff", b"00\n" + b"x" * 257, b"00" * 9000 + b"\nx"]
    for place in (*wrong, b"00\nx", b"\n'", b"00\n\n\n", b"ff" * 2000 + b"\nx"):
        cursor = base64.urlsafe_b64encode(_sealed(seal, place) + place).decode()
        if place in wrong:
            with pytest.raises(InvalidInput, match="the cursor is none"):
                _position(cursor, seal, 1)
        else:
            documents.find(session, "c", query, limit=5, after=_position(cursor, seal, 1), bytes_max=2**22)


@pytest.mark.parametrize(
    "path",
    [
        "x') OR true --",
        "x' -> 'y",
        '"',
        "%(app_id)s",
        "%s",
        "{}",
        "{0}",
        "$1",
        "::jsonb",
        "a\\'b",
        "\\\\'; SELECT 1; --",
    ],
)
def test_a_path_is_never_sql(lua: Lua, path: str) -> None:
    lua("docs.insert('c', { x = 1 })")
    lua(f"path = {quoted(path)}")
    assert lua("return docs.count('c', { filter = { [path] = 1 } })") == 0
    assert lua("docs.index('c', path) return docs.count('c', { filter = { [path] = { gte = 1 } } })") == 0
    assert lua("return #docs.find('c', { sort = { path, '-' .. path } })") == 1
    assert lua("return docs.drop_index('c', path)")


# pages -----------------------------------------------------------------------------------------------------------


def test_pages_hold_everything_once_while_others_write(lua: Lua, open_app: OpenApp) -> None:
    lua("for i = 100, 199 do docs.insert('c', { n = i % 10 }, { id = 'k' .. i }) end docs.index('c', 'n')")
    other = open_app("shop")
    seen: list[str] = []
    cursor: str | None = None
    for page in range(100):
        options = "{ sort = { 'n' }, limit = 7" + (f", cursor = '{cursor}'" if cursor else "") + " }"
        ids, cursor = lua(
            f"local d, c = docs.find('c', {options}) local t = {{}} for i, x in ipairs(d) do t[i] = x.id end "
            "return { json.array(t), c or json.null }"
        )
        seen += ids
        other(f"docs.insert('c', {{ n = {page % 10} }}, {{ id = 'y{page}' }}) docs.delete('c', 'y{page - 3}')")
        if cursor is None:
            break
    assert sorted(i for i in seen if i.startswith("k")) == [f"k{i}" for i in range(100, 200)]
    assert len(seen) == len(set(seen))


def test_a_page_ends_before_it_grows_too_large(lua: Lua) -> None:
    lua("for i = 1, 9 do docs.insert('c', { x = ('x'):rep(2^20 - 100) }) end")
    assert lua("""
        local sizes, cursor, found = {}, nil, nil
        repeat
          found, cursor = docs.find("c", { cursor = cursor })
          sizes[#sizes + 1] = #found
        until not cursor
        return sizes
    """) == [4, 4, 1]  # fmt: skip


def test_cursors_are_for_one_query_and_not_to_be_changed(lua: Lua) -> None:
    lua("for i = 1, 9 do docs.insert('c', { n = i }) docs.insert('d', { n = i }) end")
    cursor = lua("return select(2, docs.find('c', { filter = { n = { gt = 2 } }, sort = { 'n' }, limit = 2 }))")
    used = "docs.find('{}', {{ filter = {{ n = {{ gt = {} }} }}, sort = {{ '{}' }}, limit = 3, cursor = '{}'{} }})"
    assert lua("return #" + used.format("c", 2, "n", cursor, "")) == 3
    for wrong in (
        used.format("d", 2, "n", cursor, ""),
        used.format("c", 3, "n", cursor, ""),
        used.format("c", 2, "-n", cursor, ""),
        used.format("c", 2, "n", cursor, ", reverse = true"),
        f"docs.find('c', {{ cursor = '{cursor}' }})",
    ):
        assert "the cursor is none that docs.find gave for these options" in lua.fails(wrong)
    content = base64.urlsafe_b64decode(cursor)
    for number in range(len(content)):
        changed = bytearray(content)
        changed[number] ^= 1
        text = base64.urlsafe_b64encode(changed).decode()
        assert "the cursor is none" in lua.fails(used.format("c", 2, "n", text, ""))
    for text in (cursor[:-4], cursor + "AAAA", cursor[4:], "AAAA" * 100, "%00", "é", "\\0"):
        assert "the cursor is none" in lua.fails(used.format("c", 2, "n", text, ""))


# indexes ---------------------------------------------------------------------------------------------------------

ROWS = 20_000


def plan(session: DataSession, query: Query, *, used: bool = True) -> str:
    """Return the server's plan for `find`."""
    ids = dict(session.fetch("SELECT path, id FROM document_indexes WHERE app_id = %(app_id)s", {}))
    statement = Statement("c", query, ids if used else {})
    composed = SQL("EXPLAIN ANALYZE ") + statement.find(None)
    rows = session.fetch(composed, statement.values | {"limit": 101, "bytes_max": 2**22})
    return "\n".join(line for (line,) in rows)


def condition_of(value: Any) -> Query:
    return Query(parse_filter(json.dumps(value)))


@pytest.fixture(scope="module")
def filled(
    embedded_server: Lease, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A platform with the collection c of 20 000 documents, beside one of another app, as large; only to be read."""
    with (
        fresh_database(embedded_server, template_database) as url,
        open_platform(Settings(home=tmp_path_factory.mktemp("filled"), database_url=SecretStr(url))) as platform,
    ):
        for app in ("shop", "other"):
            with data(platform, app) as own:
                own.fetch(
                    SQL("""
                    INSERT INTO documents (app_id, collection, id, version, created_at, updated_at, body, search)
                    SELECT %(app_id)s, 'c', 'd' || i, 1, now(), now(), value::text, value
                    FROM generate_series(1, %(rows)s) AS i,
                        jsonb_build_object('n', i, 's', 'k' || i, 't', i %% 7, 'pad', repeat('x', 100)) AS value
                    """).format(),
                    {"rows": ROWS},
                )
                for path in ("n", "s", "t"):
                    documents.add_index(own, "c", (path,), indexes_max=INDEXES_MAX)
        with platform.database.connection() as connection:
            connection.execute("ANALYZE documents, document_keys, document_indexes")
        yield platform


@pytest.fixture
def many(filled: Platform) -> Iterator[DataSession]:
    """The app `shop` of `filled`."""
    with data(filled) as session:
        yield session


def rows_read(text: str) -> int:
    """Return the most rows a step of a plan gave or threw away."""
    return max(int(float(n)) for n in re.findall(r"rows=([\d.]+) loops|Removed by \w+: (\d+)", text) for n in n if n)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (condition_of({"n": 777}), 1),
        (condition_of({"n": {"gte": 100, "lt": 130}}), 30),
        (condition_of({"n": {"gt": ROWS - 20}}), 20),
        (condition_of({"n": {"in": list(range(1, 60, 2))}}), 30),
        (condition_of({"s": "k5"}), 1),
        (condition_of({"s": {"prefix": "k777"}}), 11),
        (condition_of({"n": {"lt": 50}, "pad": {"prefix": "x"}}), 49),
        (condition_of({"and": [{"n": {"lt": 50}}, {"or": [{"t": 1}, {"t": 2}]}]}), 14),
        (Query(orders=(Order(("n",), True),), descending=True), 101),
        (Query(parse_filter('{"n":{"gt":500}}'), (Order(("n",), False),)), 101),
    ],
)
def test_the_planner_uses_the_index_of_a_declared_path(many: DataSession, query: Query, found: int) -> None:
    text = plan(many, query)
    assert "document_keys_order" in text, text
    assert "Seq Scan on document" not in text.replace("Seq Scan on document_indexes", ""), text
    assert rows_read(text) <= 2 * found + 50, text
    without = plan(many, query, used=False)
    assert "document_keys" not in without
    assert rows_read(without) >= ROWS / 2, without
    assert len(documents.find(many, "c", query, limit=101, after=None, bytes_max=2**22)[0]) == found


def test_an_undeclared_path_uses_no_index(many: DataSession) -> None:
    text = plan(many, condition_of({"pad": "y"}))
    assert "document_keys" not in text
    assert rows_read(text) >= ROWS


def test_pages_of_an_indexed_order_start_where_the_last_ended(many: DataSession) -> None:
    query = Query(orders=(Order(("n",), False),))
    statement = Statement("c", query, dict(many.fetch("SELECT path, id FROM document_indexes WHERE path = 'n'", {})))
    _, after = documents.find(many, "c", query, limit=1000, after=None, bytes_max=2**22)
    for _ in range(5):
        _, after = documents.find(many, "c", query, limit=1000, after=after, bytes_max=2**22)
    composed = SQL("EXPLAIN ANALYZE ") + statement.find(after)
    rows = many.fetch(composed, statement.values | {"limit": 101, "bytes_max": 2**22})
    text = "\n".join(line for (line,) in rows)
    assert rows_read(text) <= 110, text


def test_indexes_are_declared_listed_and_dropped(lua: Lua) -> None:
    assert lua("return { docs.index('c', 'b.c'), docs.index('c', 'b.c'), docs.index('d', 'x') }") == [True, False, True]
    assert lua("return docs.index('c', 'a\\\\.b')") is True
    assert lua("return docs.indexes('c')") == ["a\\.b", "b.c"]
    assert lua("return docs.index('c', '\\\\b.c')") is False  # the same path
    assert lua("return { docs.drop_index('c', 'b.c'), docs.drop_index('c', 'b.c'), #docs.indexes('c') }") == [
        True,
        False,
        1,
    ]


def test_no_document_misses_an_index_declared_while_others_write(platform: Platform) -> None:
    start = threading.Barrier(5)
    stop = threading.Event()

    def write(worker: int) -> int:
        with data(platform) as session:
            start.wait(20)
            number = 0
            while not stop.is_set():
                document_id = f"{worker}-{number}"
                documents.insert(session, "c", document_id, '{"n":1}', now_s=NOW_S)
                if number % 3 == 0:
                    documents.replace(session, "c", document_id, '{"n":2}', if_version=None, now_s=NOW_S)
                if number % 5 == 0:
                    documents.delete(session, "c", document_id, if_version=None)
                number += 1
            return number

    with data(platform) as session, ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker) for worker in range(4)]
        start.wait(20)
        try:
            for _ in range(15):
                documents.add_index(session, "c", ("n",), indexes_max=INDEXES_MAX)
                both = Query(AnyOf((Condition(("n",), Operator.EQ, 1), Condition(("n",), Operator.EQ, 2))))
                n = Query(Condition(("n",), Operator.GTE, 1))
                less, middle, more = (documents.count(session, "c", query) for query in (both, n, both))
                assert less <= middle + 60
                assert middle <= more + 60
                documents.drop_index(session, "c", ("n",))
            documents.add_index(session, "c", ("n",), indexes_max=INDEXES_MAX)
        finally:
            stop.set()
        assert all(writer.result() for writer in writers)
        [(there,)] = session.fetch("SELECT count(*) FROM documents WHERE app_id = %(app_id)s", {})
        [(wrong,)] = session.fetch(
            "SELECT count(*) FROM documents AS d LEFT JOIN document_keys AS k ON k.document_id = d.id "
            "WHERE k.key IS DISTINCT FROM picloud_document_key(d.search -> 'n')", {},
        )  # fmt: skip
        assert there > 0
        assert wrong == 0
        assert documents.count(session, "c", Query(Condition(("n",), Operator.GTE, 1))) == there


def test_an_index_dropped_between_two_statements_loses_nothing(
    platform: Platform, session: DataSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(session, "c", [{"n": 1}, {"n": 2}])
    monkeypatch.setattr(documents, "_declared", lambda _session, _collection: {"n": 12345})  # it was there a moment ago
    query = Query(Condition(("n",), Operator.EQ, 2), (Order(("n",), False),))
    assert ids_of(session, "c", query) == ["001"]
    assert documents.count(session, "c", query) == 1


def test_many_collections_in_one_transaction_take_few_locks(session: DataSession) -> None:
    """The server's table of locks is shared by all apps: a script that filled it would stop them."""
    session.begin()
    for number in range(300):
        documents.insert(session, f"c{number}", "x", "{}", now_s=NOW_S)
    [(held,)] = session.fetch(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", {}
    )
    session.rollback()
    assert 0 < held <= 8


# apps ------------------------------------------------------------------------------------------------------------


def test_two_apps_see_nothing_of_each_other(open_app: OpenApp) -> None:
    one, two = open_app("one"), open_app("two")
    for lua in (one, two):
        lua("docs.index('c', 'n')")
    one("docs.insert('c', { n = 1 }, { id = 'x' }) docs.insert('c', { n = 1 }, { id = 'own' })")
    two("docs.insert('c', { n = 2 }, { id = 'x' })")
    assert two("return docs.get('c', 'own')") is None
    assert two("return docs.delete('c', 'own')") is False
    assert "there is no document 'own'" in two.fails("docs.patch('c', 'own', { n = 3 })")
    assert "there is no document 'own'" in two.fails("docs.replace('c', 'own', {})")
    assert two("return docs.count('c', { filter = { n = 1 } })") == 0
    assert two("return #docs.find('c', { sort = { 'n' } })") == 1
    two("docs.drop_index('c', 'n')")
    assert one("return docs.indexes('c')") == ["n"]
    assert one("return docs.count('c', { filter = { n = { gte = 0 } } })") == 2
    cursor = one("return select(2, docs.find('c', { limit = 1 }))")
    assert two(f"return #docs.find('c', {{ cursor = '{cursor}' }})") == 1


def test_a_statement_without_app_id_sees_and_changes_one_app_only(platform: Platform) -> None:
    for app in ("one", "two"):
        with data(platform, app) as session:
            put(session, "c", [{"n": 1}])
            documents.add_index(session, "c", ("n",), indexes_max=INDEXES_MAX)
    with data(platform, "one") as session:
        for table in ("documents", "document_keys", "document_indexes"):
            counted = SQL(f"SELECT count(*) FROM {table}").format()
            assert session.fetch(counted, {}) == [(1,)], table
            with pytest.raises(Exception, match="row-level security"):
                session.fetch(SQL(f"UPDATE {table} SET app_id = gen_random_uuid()").format(), {}, guarded=True)
        session.fetch("DELETE FROM documents", {})
    with data(platform, "two") as session:
        assert documents.count(session, "c", Query()) == 1
        assert documents.count(session, "c", Query(Condition(("n",), Operator.EQ, 1))) == 1


def test_deleting_an_app_deletes_everything(platform: Platform) -> None:
    for app in ("one", "two"):
        with data(platform, app) as session:
            put(session, "c", [{"n": 1}, {"n": 2}])
            documents.add_index(session, "c", ("n",), indexes_max=INDEXES_MAX)
    with data(platform, "one") as gone:
        with platform.database.connection() as connection:
            connection.execute("DELETE FROM apps WHERE name = 'one'")
        with pytest.raises(NotFound, match="the app is gone"):
            documents.insert(gone, "c", "x", "{}", now_s=NOW_S)
    with platform.database.connection() as connection:
        for table, rows in (("documents", 2), ("document_keys", 2), ("document_indexes", 1)):
            assert connection.execute(SQL("SELECT count(*) FROM " + table)).fetchone() == (rows,)


# transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_keeps_nothing(platform: Platform, session: DataSession) -> None:
    put(session, "c", [{"n": 1}])
    session.begin()
    documents.insert(session, "c", "new", '{"n":2}', now_s=NOW_S)
    documents.change(session, "c", "000", lambda _body: '{"n":3}', if_version=None, now_s=NOW_S)
    documents.add_index(session, "c", ("n",), indexes_max=INDEXES_MAX)
    assert documents.count(session, "c", Query(Condition(("n",), Operator.GTE, 2))) == 2
    session.rollback()
    assert ids_of(session, "c", Query()) == ["000"]
    assert documents.indexes(session, "c") == []
    found = documents.get(session, "c", "000")
    assert found is not None
    assert found.body == '{"n": 1}'


def test_what_can_be_expected_does_not_end_the_transaction(session: DataSession) -> None:
    session.begin()
    documents.insert(session, "c", "x", "{}", now_s=NOW_S)
    for failing, error in [
        (lambda: documents.insert(session, "c", "x", "{}", now_s=NOW_S), Conflict),
        (lambda: documents.replace(session, "c", "x", "{}", if_version=1, now_s=NOW_S), Conflict),
        (lambda: documents.replace(session, "c", "y", "{}", if_version=None, now_s=NOW_S), NotFound),
        (lambda: documents.change(session, "c", "x", str, if_version=1, now_s=NOW_S), Conflict),
        (lambda: documents.change(session, "c", "y", str, if_version=None, now_s=NOW_S), NotFound),
        (lambda: documents.delete(session, "c", "x", if_version=1), Conflict),
        (lambda: documents.add_index(session, "c", ("n",), indexes_max=0), InvalidInput),
    ]:
        with pytest.raises(error):
            failing()  # type: ignore[no-untyped-call]
        assert documents.count(session, "c", Query()) == 1
    session.commit()
    assert ids_of(session, "c", Query()) == ["x"]
    assert documents.indexes(session, "c") == []


def test_what_a_test_does_is_undone(lua: Lua) -> None:
    source = """
        local id, version = docs.insert("c", { n = 1 })
        assert(not pcall(docs.insert, "c", {}, { id = id }))
        assert(not pcall(docs.patch, "c", id, {}, { if_version = version - 1 }))
        assert(not pcall(docs.patch, "c", "none", {}))
        docs.index("c", "n")
        expect(docs.patch("c", id, { m = 2 }).value):equals({ n = 1, m = 2 })
        expect(docs.count("c", { filter = { n = 1 } })):equals(1)
        expect(#docs.find("c", { sort = { "-n" } })):equals(1)
    """
    for _ in range(2):
        result = lua.session.test(TestSource("t", source))
        assert (result.error, result.passed) == (None, True)
    lua("docs.insert('d', {})")
    result = lua.session.test(TestSource("t", source))
    assert (result.error, result.passed) == (None, True)
    assert lua("return { docs.count('c'), #docs.indexes('c'), docs.count('d') }") == [0, 0, 1]


# concurrency -----------------------------------------------------------------------------------------------------


def race(open_app: OpenApp, source: str, workers: int = 8) -> list[Any]:
    """Run a text in several sessions at once; each knows its number as `me`."""
    sessions = [open_app("shop") for _ in range(workers)]
    barrier = threading.Barrier(workers)

    def one(number: int) -> Any:
        barrier.wait(20)
        return sessions[number](f"local me = {number} {source}")

    with ThreadPoolExecutor(workers) as pool:
        return [done.result() for done in [pool.submit(one, number) for number in range(workers)]]


def test_eight_that_patch_the_same_documents_lose_nothing(lua: Lua, open_app: OpenApp) -> None:
    lua("docs.index('c', 'w3') for i = 1, 3 do docs.insert('c', {}, { id = 'd' .. i }) end")
    race(open_app, """
        for i = 1, 15 do
          for d = 1, 3 do docs.patch("c", "d" .. d, { ["w" .. me] = i, last = me, inner = { ["w" .. me] = { i } } }) end
        end
    """)  # fmt: skip
    for d in (1, 2, 3):
        value = lua(f"return docs.get('c', 'd{d}').value")
        assert [value[f"w{me}"] for me in range(8)] == [15] * 8
        assert [value["inner"][f"w{me}"] for me in range(8)] == [[15]] * 8
    assert lua("return docs.count('c', { filter = { w3 = 15 } })") == 3


def test_eight_that_replace_with_versions_lose_nothing(lua: Lua, open_app: OpenApp) -> None:
    lua("for d = 1, 2 do docs.insert('c', { n = 0, by = {} }, { id = 'd' .. d }) end")
    done = race(open_app, """
        local wins, misses = 0, 0
        for i = 1, 20 do
          for d = 1, 2 do
            local document = docs.get("c", "d" .. d)
            local value = document.value
            value.n = value.n + 1
            value.by["w" .. me] = (value.by["w" .. me] or 0) + 1
            local change = (i + me) % 2 == 0 and docs.replace or docs.patch
            local ok, problem = pcall(change, "c", document.id, value, { if_version = document.version })
            if ok then wins = wins + 1 else
              assert(problem.code == "conflict", problem.message)
              misses = misses + 1
            end
          end
        end
        return { wins, misses }
    """)  # fmt: skip
    wins = [win for win, _ in done]
    assert all(win + miss == 40 for win, miss in done)
    values = lua("return { docs.get('c', 'd1').value, docs.get('c', 'd2').value }")
    assert sum(value["n"] for value in values) == sum(wins) > 0
    for me, win in enumerate(wins):
        assert sum(value["by"].get(f"w{me}", 0) for value in values) == win


def test_of_eight_that_insert_one_id_one_wins(open_app: OpenApp, lua: Lua) -> None:
    lua("docs.insert('c', {})")
    won = race(open_app, "return (pcall(docs.insert, 'c', { me = me }, { id = 'x' }))")
    assert sorted(won) == [False] * 7 + [True]
    assert lua("return docs.get('c', 'x').value.me") == won.index(True)


def test_paths_of_the_model_are_written_like_those_of_scripts(session: DataSession) -> None:
    put(session, "c", [{"a.b": 1}, {"a": {"b": 1}}])
    for path, ids in ((("a.b",), ["000"]), (("a", "b"), ["001"])):
        assert ids_of(session, "c", Query(parse_filter(json.dumps({path_text(path): 1})))) == ids
