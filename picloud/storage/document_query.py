"""From a question about documents to SQL. Every value is a parameter; the text is made of constants of this file.

The conditions on `search` alone decide which documents are found. An index only narrows: for each declared path that
the filter or the order uses, `document_keys` is joined, where every document of the collection has one row, and
conditions that must hold anyway become ranges of its keys. So what is found is the same with and without an index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, LiteralString

from psycopg.sql import SQL, Composable, Composed, Placeholder

from picloud.model.documents import (
    AllOf,
    AnyOf,
    Condition,
    Filter,
    Not,
    Operator,
    Order,
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


def stored_path(path: Path) -> str:
    """Return a path as `document_indexes` has it."""
    return searchable_text(path_text(path))


def stored_keys(path: Path) -> list[str]:
    """Return the keys of a path as `search` has them."""
    return [searchable_text(key) for key in path]


class Statement:
    """One question about the documents of a collection, in SQL."""

    def __init__(self, collection: str, query: Query, indexed: Collection[str]) -> None:
        """Take the declared paths that may be used, as `stored_path` has them."""
        self.values: dict[str, Any] = {"collection": collection}
        """The values of the statement's parameters, all but `app_id`."""
        self._aliases: dict[str, LiteralString] = {}
        self._ranges: list[Composable] = []
        self._indexed = indexed
        self._query = query
        for order in query.orders[:1]:  # the most useful
            self._key(order.path)
        self._where = self._holds(query.filter)
        for condition in _needed(query.filter):
            if (key := self._key(condition.path)) is not None:
                self._ranges += self._range(key, condition)

    @property
    def used(self) -> tuple[str, ...]:
        """Declared paths whose keys the statement reads: without them it finds nothing."""
        return tuple(self._aliases)

    def count(self) -> Composed:
        """Return the statement `count`."""
        self.values["used"] = list(self.used)
        return SQL(_SQL["count"]).format(joins=self._joins(), where=self._conditions())

    def find(self, position: Position | None) -> Composed:
        """Return the statement `find`, for what comes after a position; `limit` and `bytes_max` are left to give."""
        orders = self._query.orders
        keys = [self._sort_key(order) for order in orders]
        names = [SQL(name) for name in _SORT_NAMES[: len(orders)]]
        if position is not None:
            self._ranges += self._after(keys, position)
        joins, where = self._joins(), self._conditions()
        self.values["used"] = list(self.used)
        directions = [*(_direction(order.descending) for order in orders), _direction(self._query.descending)]
        return SQL(_SQL["find"]).format(
            joins=joins,
            where=where,
            keys=SQL(", ").join(names),
            sorted=SQL("").join(SQL(", {} AS {}").format(*pair) for pair in zip(keys, names, strict=True)),
            order=SQL(", ").join(
                SQL("{} {}").format(*pair) for pair in zip([*names, SQL("id")], directions, strict=True)
            ),
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

    def _key(self, path: Path) -> Composable | None:
        """Return the column with the keys of a declared path, None when it is not declared."""
        text = stored_path(path)
        if text not in self._aliases:
            if text not in self._indexed or len(self._aliases) == len(_ALIASES):
                return None
            self._aliases[text] = _ALIASES[len(self._aliases)]
        return SQL("{}.key").format(SQL(self._aliases[text]))

    def _joins(self) -> Composable:
        join = SQL(
            "JOIN document_keys AS {0} ON {0}.app_id = %(app_id)s AND {0}.collection = %(collection)s"
            " AND {0}.path = {1} AND {0}.document_id = d.id"
        )
        return SQL(" ").join(join.format(SQL(a), self._parameter(text)) for text, a in self._aliases.items())

    def _conditions(self) -> Composable:
        return SQL(" AND ").join([*self._ranges, self._where])

    def _range(self, key: Composable, condition: Condition) -> Iterator[Composable]:
        """Yield conditions on a key that hold wherever the condition does."""
        operand = condition.operand
        match condition.operator:
            case Operator.EQ:
                yield SQL("{} = picloud_document_key({})").format(key, self._json(operand))
            case Operator.IN:
                keys = "{} = ANY (ARRAY(SELECT picloud_document_key(value) FROM jsonb_array_elements({}) AS e (value)))"
                yield SQL(keys).format(key, self._json(operand))
            case Operator.EXISTS:
                yield SQL("{} {} '\\x00'::bytea").format(key, SQL(">" if operand else "="))
            case Operator.PREFIX:
                start = (_STRINGS + searchable_text(operand).encode())[:_KEY_MAX_BYTES]
                yield self._compared(key, ">=", start)
                yield self._compared(key, "<", _next(start))
            case Operator.GT | Operator.GTE | Operator.LT | Operator.LTE:
                start = _STRINGS if isinstance(operand, str) else _NUMBERS
                upwards = condition.operator in (Operator.GT, Operator.GTE)
                bound = SQL(">=" if upwards else "<=")  # strings that differ beyond the key's length have one key
                yield SQL("{} {} picloud_document_key({})").format(key, bound, self._json(operand))
                yield self._compared(key, "<", _next(start)) if upwards else self._compared(key, ">=", start)
            case Operator.CONTAINS:  # keys say nothing of elements
                return

    def _compared(self, key: Composable, comparison: LiteralString, bound: bytes) -> Composable:
        return SQL("{} {} {}::bytea").format(key, SQL(comparison), self._parameter(bound))

    # What sorts ------------------------------------------------------------------------------------------------------

    def _sort_key(self, order: Order) -> Composable:
        key = self._key(order.path)
        return SQL("picloud_document_key({})").format(self._at(order.path)) if key is None else key

    def _after(self, keys: list[Composable], position: Position) -> Iterator[Composable]:
        """Yield conditions for what comes after a position."""
        orders = self._query.orders
        first = self._aliases.get(stored_path(orders[0].path)) if orders else None
        document_id = SQL("{}.document_id").format(SQL(first)) if first else SQL("d.id")
        columns = [*keys, document_id]
        bounds: list[Composable] = [SQL("{}::bytea").format(self._parameter(key)) for key in position.keys]
        bounds.append(SQL("{}::text").format(self._parameter(position.id)))
        descending = [*(order.descending for order in orders), self._query.descending]
        if len(set(descending)) == 1:
            comma = SQL(", ")
            row = SQL("({}) {} ({})")
            yield row.format(comma.join(columns), SQL("<" if descending[0] else ">"), comma.join(bounds))
        else:
            yield _mixed(columns, bounds, descending)
        if orders:  # where an index can start
            yield SQL("{} {} {}").format(columns[0], SQL("<=" if descending[0] else ">="), bounds[0])


_ALIASES: Final[tuple[LiteralString, ...]] = ("k0", "k1", "k2", "k3")
"""Of joins: more would cost the planner more than they save."""
_SORT_NAMES: Final[tuple[LiteralString, ...]] = ("s0", "s1", "s2", "s3")


def _needed(part: Filter) -> Iterator[Condition]:
    """Yield the conditions each document that is found meets."""
    match part:
        case Condition():
            yield part
        case AllOf(parts):
            for inner in parts:
                yield from _needed(inner)


def _next(start: bytes) -> bytes:
    """Return the first key after all that begin like this; UTF-8 has no byte 255."""
    return start[:-1] + bytes([start[-1] + 1])


def _string_case(condition: LiteralString, value: Composable, operand: Composable) -> Composable:
    text = SQL('(({} #>> ARRAY[]::text[]) COLLATE "C")').format(value)
    holds = SQL(condition).format(text=text, operand=operand)
    return SQL("CASE jsonb_typeof({}) WHEN 'string' THEN {} END").format(value, holds)


def _mixed(columns: list[Composable], bounds: list[Composable], descending: list[bool]) -> Composable:
    """Return what is true after the bounds, where the columns' directions differ."""
    ways = []
    for number, down in enumerate(descending):
        same = [SQL("{} = {}").format(*pair) for pair in zip(columns[:number], bounds[:number], strict=True)]
        further = SQL("{} {} {}").format(columns[number], SQL("<" if down else ">"), bounds[number])
        ways.append(SQL(" AND ").join([*same, further]))
    return SQL("({})").format(SQL(" OR ").join(ways))


def _direction(descending: bool) -> SQL:
    return SQL("DESC" if descending else "ASC")
