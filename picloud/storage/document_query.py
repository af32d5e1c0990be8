"""From a question about documents to SQL. Every value is a parameter; the text is made of constants of this package.

The conditions on `search` alone decide which documents are found. An index only narrows and sorts: of the declared
paths the filter or the order uses, one is taken, whose rows in `document_keys`, one for each document of the
collection, lead to the documents. So what is found is the same with and without an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg.sql import SQL, Composable, Composed, Placeholder

from picloud.model.documents import (
    AllOf,
    AnyOf,
    Condition,
    Filter,
    Not,
    Operator,
    Path,
    Position,
    Query,
    path_text,
)
from picloud.storage.queries import load
from picloud.storage.searchable import searchable_text, searchable_value

_SQL = load("documents.sql")
_KEY_MAX_BYTES: Final = 512
"""Of the keys `picloud_document_key` makes."""
_NUMBERS: Final = b"\x04"
"""What keys of numbers begin with."""
_STRINGS: Final = b"\x05"
_COMPARISONS: Final[Mapping[Operator, LiteralString]] = {
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LT: "<",
    Operator.LTE: "<=",
}
_SORTING: Final = 1
_USEFULNESS: Final[Mapping[Operator, int]] = {
    Operator.EQ: 0,
    Operator.IN: 0,
    Operator.PREFIX: 0,
    **dict.fromkeys(_COMPARISONS, 2),
    Operator.EXISTS: 3,
}
"""Of an index for a condition; the least is the most useful, and one in the wanted order is `_SORTING`."""
_SORT_NAMES: Final[tuple[LiteralString, ...]] = ("s0", "s1", "s2", "s3")


def stored_path(path: Path) -> str:
    """Return a path as `document_indexes` has it."""
    return searchable_text(path_text(path))


def stored_keys(path: Path) -> list[str]:
    """Return the keys of a path as `search` has them."""
    return [searchable_text(key) for key in path]


class Statement:
    """One question about the documents of a collection, in SQL."""

    def __init__(self, collection: str, query: Query, indexes: Mapping[str, int]) -> None:
        """Take the declared paths, as `stored_path` has them, with the ids of their indexes."""
        self._query = query
        self._path = _most_useful(query, indexes)
        self.index_id = None if self._path is None else indexes[stored_path(self._path)]
        """Of the index the statement reads, if any: when that is gone, it finds nothing."""
        self.values: dict[str, Any] = {"collection": collection, "index_id": self.index_id}
        """The values of the statement's parameters, all but `app_id`."""

    def count(self) -> Composed:
        """Return the statement `count`."""
        where = SQL(" AND ").join([*self._narrowed(), self._holds(self._query.filter)])
        return SQL(_SQL["count"]).format(source=self._source, where=where)

    def find(self, position: Position | None) -> Composed:
        """Return the statement `find`, for what comes after a position; `limit` and `bytes_max` are left to give."""
        orders = self._query.orders
        down = [*(order.descending for order in orders), self._query.descending]
        keys = [self._sort_key(order.path) for order in orders]
        document_id = SQL("d.id" if self._path is None else "k.document_id")
        after = [] if position is None else self._after([*keys, document_id], position, down)
        names = [SQL(name) for name in _SORT_NAMES[: len(orders)]]
        return SQL(_SQL["find"]).format(
            id=SQL("{} AS id").format(document_id),
            source=self._source,
            where=SQL(" AND ").join([*self._narrowed(), *after, self._holds(self._query.filter)]),
            keys=SQL(", ").join(names),
            sorted=SQL("").join(map(SQL(", {} AS {}").format, keys, names)),
            order=_ordered([*names, SQL("id")], down),
        )

    def _parameter(self, value: Any) -> Placeholder:
        name = f"p{len(self.values)}"
        self.values[name] = value
        return Placeholder(name)

    # What decides ----------------------------------------------------------------------------------------------------

    def _holds(self, part: Filter) -> Composable:
        match part:
            case AllOf(parts):
                return self._joined(" AND ", parts, SQL("true"))
            case AnyOf(parts):
                return self._joined(" OR ", parts, SQL("false"))
            case Not(inner):
                return SQL("NOT {}").format(self._holds(inner))
            case Condition():
                return SQL("coalesce({}, false)").format(self._meets(part))

    def _joined(self, word: LiteralString, parts: tuple[Filter, ...], none: SQL) -> Composable:
        return SQL("({})").format(SQL(word).join(map(self._holds, parts))) if parts else none

    def _meets(self, condition: Condition) -> Composable:
        """Return what is true, false, or null where the value is not of the operand's type."""
        value, operand = self._at(condition.path), condition.operand
        match condition.operator:
            case Operator.EQ:
                return SQL("{} = {}").format(value, self._json(operand))
            case Operator.IN:  # hashed
                return SQL("{} IN (SELECT jsonb_array_elements({}))").format(value, self._json(operand))
            case Operator.EXISTS:
                return SQL("{} IS NOT NULL" if operand else "{} IS NULL").format(value)
            case Operator.CONTAINS:
                return self._contains(value, operand)
            case Operator.PREFIX:
                return _string_case("starts_with({text}, {operand})", value, self._text(operand))
            case comparison if isinstance(operand, str):
                return _string_case(f"{{text}} {_COMPARISONS[comparison]} {{operand}}", value, self._text(operand))
            case comparison:
                number = SQL("{}::numeric").format(self._parameter(searchable_value(operand)))
                compared = SQL("CASE jsonb_typeof({0}) WHEN 'number' THEN {0}::numeric {1} {2} END")
                return compared.format(value, SQL(_COMPARISONS[comparison]), number)

    def _contains(self, value: Composable, operand: Any) -> Composable:
        element = SQL("EXISTS (SELECT FROM jsonb_array_elements({}) AS e (value) WHERE e.value = {})")
        in_array = element.format(value, self._json(operand))
        if not isinstance(operand, str):
            return SQL("CASE jsonb_typeof({}) WHEN 'array' THEN {} END").format(value, in_array)
        in_string = SQL('strpos(({} #>> ARRAY[]::text[]) COLLATE "C", {}) > 0').format(value, self._text(operand))
        both = SQL("CASE jsonb_typeof({}) WHEN 'array' THEN {} WHEN 'string' THEN {} END")
        return both.format(value, in_array, in_string)

    def _at(self, path: Path) -> Composable:
        """Return the value at a path; `->` with a text is for objects only, so that arrays have nothing there."""
        steps = [SQL(" -> {}::text").format(self._parameter(key)) for key in stored_keys(path)]
        return SQL("(d.search{})").format(SQL("").join(steps))

    def _json(self, value: Any) -> Composable:
        return SQL("{}::jsonb").format(self._parameter(searchable_value(value)))

    def _text(self, value: str) -> Composable:
        return SQL("{}::text").format(self._parameter(searchable_text(value)))

    # What narrows ----------------------------------------------------------------------------------------------------

    @property
    def _source(self) -> SQL:
        return SQL("documents AS d" if self._path is None else _SQL["by_index"])

    def _narrowed(self) -> Iterator[Composable]:
        """Yield conditions on the index, if there is one, which hold wherever the filter does."""
        if self._path is not None:
            yield SQL("k.app_id = %(app_id)s AND k.index_id = %(index_id)s")
            for condition in _needed(self._query.filter):
                if condition.path == self._path:
                    yield from self._range(condition)

    def _range(self, condition: Condition) -> Iterator[Composable]:
        """Yield conditions on a key that hold wherever the condition does."""
        operand = condition.operand
        match condition.operator:
            case Operator.EQ:
                yield SQL("k.key = picloud_document_key({})").format(self._json(operand))
            case Operator.IN:
                keys = SQL("ARRAY(SELECT picloud_document_key(value) FROM jsonb_array_elements({}) AS e (value))")
                yield SQL("k.key = ANY ({})").format(keys.format(self._json(operand)))
            case Operator.EXISTS:
                yield SQL("k.key > '\\x00'::bytea" if operand else "k.key = '\\x00'::bytea")
            case Operator.PREFIX:
                start = (_STRINGS + searchable_text(operand).encode())[:_KEY_MAX_BYTES]
                yield SQL("k.key >= {}::bytea").format(self._parameter(start))
                yield SQL("k.key < {}::bytea").format(self._parameter(_next(start)))
            case Operator.GT | Operator.GTE:  # strings that differ beyond the length of keys have one key
                yield SQL("k.key >= picloud_document_key({})").format(self._json(operand))
                yield SQL("k.key < {}::bytea").format(self._parameter(_next(_kind(operand))))
            case Operator.LT | Operator.LTE:
                yield SQL("k.key <= picloud_document_key({})").format(self._json(operand))
                yield SQL("k.key >= {}::bytea").format(self._parameter(_kind(operand)))
            case Operator.CONTAINS:  # keys say nothing of elements
                return

    # What sorts ------------------------------------------------------------------------------------------------------

    def _sort_key(self, path: Path) -> Composable:
        return SQL("k.key") if path == self._path else SQL("picloud_document_key({})").format(self._at(path))

    def _after(self, columns: list[Composable], position: Position, down: list[bool]) -> list[Composable]:
        """Return conditions for what comes after a position."""
        keys = [SQL("{}::bytea").format(self._parameter(key)) for key in position.keys]
        bounds = [*keys, SQL("{}::text").format(self._parameter(position.id))]
        if len(set(down)) == 1:
            comma = SQL(", ")
            return [SQL("({}) {} ({})").format(comma.join(columns), SQL("<" if down[0] else ">"), comma.join(bounds))]
        start = SQL("{} {} {}").format(columns[0], SQL("<=" if down[0] else ">="), bounds[0])
        return [start, _further(columns, bounds, down)]


def _needed(part: Filter) -> Iterator[Condition]:
    """Yield the conditions each document that is found meets."""
    match part:
        case Condition():
            yield part
        case AllOf(parts):
            for inner in parts:
                yield from _needed(inner)


def _most_useful(query: Query, indexes: Mapping[str, int]) -> Path | None:
    """Return the declared path that is likely to lead to the fewest documents, None when there is none to use."""
    useful = [(_USEFULNESS[c.operator], c.path) for c in _needed(query.filter) if c.operator in _USEFULNESS]
    useful += [(_SORTING, order.path) for order in query.orders[:1]]
    declared = [(rank, path) for rank, path in useful if stored_path(path) in indexes]
    return min(declared)[1] if declared else None


def _kind(operand: float | str) -> bytes:
    return _STRINGS if isinstance(operand, str) else _NUMBERS


def _next(start: bytes) -> bytes:
    """Return the first key after all that begin like this; UTF-8 has no byte 255."""
    return start[:-1] + bytes([start[-1] + 1])


def _string_case(condition: LiteralString, value: Composable, operand: Composable) -> Composable:
    text = SQL('(({} #>> ARRAY[]::text[]) COLLATE "C")').format(value)
    holds = SQL(condition).format(text=text, operand=operand)
    return SQL("CASE jsonb_typeof({}) WHEN 'string' THEN {} END").format(value, holds)


def _further(columns: list[Composable], bounds: list[Composed], down: list[bool]) -> Composable:
    """Return what is true after the bounds, where not all columns have the same direction."""
    ways = []
    for number, descending in enumerate(down):
        same = map(SQL("{} = {}").format, columns[:number], bounds[:number])
        further = SQL("{} {} {}").format(columns[number], SQL("<" if descending else ">"), bounds[number])
        ways.append(SQL(" AND ").join([*same, further]))
    return SQL("({})").format(SQL(" OR ").join(ways))


def _ordered(columns: Sequence[Composable], down: list[bool]) -> Composable:
    directions = [SQL("DESC" if descending else "ASC") for descending in down]
    return SQL(", ").join(map(SQL("{} {}").format, columns, directions))
