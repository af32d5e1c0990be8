"""What a module offers: its exports with their comments, read from the text alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from tree_sitter import Node

from picloud.syntax.imports import required_name
from picloud.syntax.module_shape import assigned, values_of
from picloud.syntax.tree import parse, text, walk


@dataclass(frozen=True, slots=True)
class Definition:
    """One function or constant a module exports."""

    name: str
    parameters: str | None
    """`(name, ...)` of a function, None for a constant."""
    comment: str
    """The lines of comment directly above it, without their dashes."""
    line: int
    """Where it begins, from 1."""
    source: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A module as its users see it."""

    comment: str
    """The lines of comment at its beginning."""
    exports: Mapping[str, Definition]
    """In the order of their definition."""


def outline(source: str) -> Outline:
    """Return what a module of this text exports; of a text that is broken or no module, what can be made out."""
    reader = _Reader(source)
    for statement in parse(source).named_children:
        reader.read(statement)
    return Outline(reader.heading(), reader.exports)


def function_at(source: str, line: int) -> Definition | None:
    """Return the first function that begins on this line, also one within another; its name is empty."""
    for node in walk(parse(source)):
        if node.type in ("function_declaration", "function_definition") and node.start_point.row == line - 1:
            return _Reader(source).definition("", node, node)
    return None


def required_modules(source: str) -> Mapping[str, str]:
    """Return the modules that variables of a text hold: for `local greet = require("greeting")`, greet -> greeting."""
    found: dict[str, str] = {}
    for node in walk(parse(source)):
        if node.type == "assignment_statement":
            for target, value in zip(*assigned(node), strict=False):
                if target.type == "identifier" and (name := required_name(value)) is not None:
                    found[text(target)] = name
    return found


class _Reader:
    """Follows the statements of a module, which hold no other code at their top level."""

    def __init__(self, source: str) -> None:
        self._lines = source.split("\n")
        self._locals: dict[str, Definition] = {}
        self._tables: dict[str, dict[str, Definition]] = {}
        self.exports: dict[str, Definition] = {}
        """Globals, until a `return` says otherwise."""

    def read(self, statement: Node) -> None:
        """Take the next statement in."""
        match statement.type:
            case "function_declaration":
                target = statement.child_by_field_name("name")
                if target is not None:
                    self._define(statement, target, statement, any(c.type == "local" for c in statement.children))
            case "variable_declaration":
                for child in statement.named_children:
                    self._assign(statement, child, is_local=True)
            case "assignment_statement":
                self._assign(statement, statement, is_local=False)
            case "return_statement":
                values = values_of(statement)
                self.exports = self._fields_of(values[0]) if values else {}

    def _assign(self, statement: Node, assignment: Node, *, is_local: bool) -> None:
        for target, value in zip(*assigned(assignment), strict=False):
            self._define(statement, target, value, is_local)

    def _define(self, statement: Node, target: Node, value: Node, is_local: bool) -> None:
        table = target.child_by_field_name("table")
        if table is None:
            name, place = text(target), self._locals if is_local else self.exports
            self._tables[name] = self._fields_of(value)
        else:
            field = target.child_by_field_name("field") or target.child_by_field_name("method")
            name, place = text(field) if field is not None else "", self._tables.setdefault(text(table), {})
        place[name] = self.definition(name, statement, value)

    def _fields_of(self, value: Node) -> dict[str, Definition]:
        if value.type == "identifier":
            return self._tables.get(text(value), {})
        fields: dict[str, Definition] = {}
        for field in value.named_children if value.type == "table_constructor" else ():
            name, item = field.child_by_field_name("name"), field.child_by_field_name("value")
            if name is not None and item is not None and name.type == "identifier":
                fields[text(name)] = self.definition(text(name), field, item)
        return fields

    def definition(self, name: str, statement: Node, value: Node) -> Definition:
        """Describe what a statement defines as this value."""
        known = self._locals.get(text(value)) if value.type == "identifier" else None
        if known is not None:  # `return { hello = hello }`
            return replace(known, name=name)
        parameters = value.child_by_field_name("parameters")
        row = statement.start_point.row
        return Definition(
            name, None if parameters is None else text(parameters), self._comment_above(row), row + 1, text(statement)
        )

    def _comment_above(self, row: int) -> str:
        first = row
        while first > 0 and self._lines[first - 1].lstrip().startswith("--"):
            first -= 1
        return self._comment(self._lines[first:row])

    def heading(self) -> str:
        """Return the comment the text begins with."""
        return self._comment(list(takewhile(lambda line: line.startswith("--"), self._lines)))

    @staticmethod
    def _comment(lines: list[str]) -> str:
        return "\n".join(line.strip().lstrip("-").removeprefix(" ") for line in lines)
