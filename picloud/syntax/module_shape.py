"""The shape of a module: functions, constants and requires, so that loading one has no effect but its exports."""

from __future__ import annotations

from tree_sitter import Node

from picloud.errors import Diagnostic
from picloud.syntax.imports import diagnostic, required_name
from picloud.syntax.tree import text

_CONSTANTS = frozenset({"nil", "true", "false", "number", "string", "function_definition", "identifier"})
_COMPOSED = frozenset(
    {"unary_expression", "binary_expression", "parenthesized_expression", "table_constructor", "field"}
    | {"dot_index_expression", "bracket_index_expression"}
)
_IGNORED = frozenset({"comment", "empty_statement", ";", "hash_bang_line"})
_RULE = "a module holds functions, constants, require and a final return only"


class _Shape:
    """Collects what is wrong at the top level of one module."""

    def __init__(self) -> None:
        self.wrong: list[Diagnostic] = []
        self.exports: dict[str, None] = {}
        self._tables: set[str] = set()  # locals that hold a table made here, whose fields may be assigned

    def statement(self, node: Node) -> None:
        kind = node.type
        if kind in _IGNORED:
            return
        if kind == "function_declaration":
            self._function(node)
        elif kind == "variable_declaration":
            self._local(node)
        elif kind == "assignment_statement":
            self._assignment(node)
        elif kind == "return_statement":
            for value in values_of(node):
                self._constant(value)
        elif kind != "function_call" or required_name(node) is None:
            self._refuse(node, f"{_RULE}: move this into a function")

    def _function(self, node: Node) -> None:
        name = node.child_by_field_name("name")
        if name is None:
            return
        if name.type == "identifier":
            if not any(child.type == "local" for child in node.children):
                self._export(name)
        else:
            self._field(name)

    def _local(self, node: Node) -> None:
        if any(child.type == "attribute" and b"close" in (child.text or b"") for child in _targets(node)):
            self._refuse(node, f"{_RULE}: <close> runs code when the module is loaded")
        for child in node.named_children:
            if child.type == "assignment_statement":
                names, values = assigned(child)
                for value in values:
                    self._constant(value)
                for name, value in zip(names, values, strict=False):
                    if value.type == "table_constructor":
                        self._tables.add(text(name))
                    else:
                        self._tables.discard(text(name))
                if any(text(name) == "_ENV" for name in names):
                    self._refuse(child, "a module cannot replace _ENV")

    def _assignment(self, node: Node) -> None:
        names, values = assigned(node)
        for value in values:
            self._constant(value)
        for name in names:
            if name.type == "identifier":
                self._export(name)
                self._tables.discard(text(name))
            else:
                self._field(name)
        if len(names) == len(values):
            given = [(text(n), v.type) for n, v in zip(names, values, strict=True) if n.type == "identifier"]
            others = {name for name, kind in given if kind != "table_constructor"}  # either, if given twice
            self._tables.update(name for name, _ in given if name not in others)

    def _export(self, name: Node) -> None:
        if text(name) in ("_ENV", "_G"):
            self._refuse(name, f"a module cannot replace {text(name)}")
        self.exports[text(name)] = None

    def _field(self, target: Node) -> None:
        """A field of a table of this module may be set: nothing else may, since other code could see it change."""
        root, field = target.child_by_field_name("table"), target.child_by_field_name("field")
        if target.type == "method_index_expression":
            field = target.child_by_field_name("method")
        if target.type == "bracket_index_expression" and field is not None:
            self._constant(field)
        if root is None or root.type != "identifier" or text(root) not in self._tables:
            self._refuse(target, "only fields of a table made in this module can be set at its top level")
        elif field is not None:
            self.exports[text(field)] = None

    def _constant(self, value: Node) -> None:
        pending = [value]
        while pending:
            node = pending.pop()
            if node.type in _CONSTANTS or node.type == "comment":
                continue
            if node.type in _COMPOSED:
                pending.extend(node.named_children)
            elif node.type == "function_call" and required_name(node) is not None:
                continue
            else:
                self._refuse(node, f"{_RULE}: this is computed when the module is loaded; put it into a function")

    def _refuse(self, node: Node, message: str) -> None:
        self.wrong.append(diagnostic(node, message))


def check_module_shape(root: Node) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """Return the names the module sets at its top level, and what is wrong with its shape."""
    shape = _Shape()
    for node in root.children:
        shape.statement(node)
    return tuple(shape.exports), tuple(shape.wrong)


def assigned(assignment: Node) -> tuple[list[Node], list[Node]]:
    """Return the targets and the values of an assignment."""
    names: list[Node] = []
    values: list[Node] = []
    for child in assignment.named_children:
        if child.type == "variable_list":
            names = [n for n in child.named_children if n.type not in ("attribute", "comment")]
        elif child.type == "expression_list":
            values = [n for n in child.named_children if n.type != "comment"]
    return names, values


def _targets(declaration: Node) -> list[Node]:
    return [
        c
        for child in declaration.named_children
        for c in (*child.named_children, child)
        for c in (*c.named_children, c)
    ]


def values_of(statement: Node) -> list[Node]:
    """Return the values of a `return`."""
    return [v for child in statement.named_children if child.type == "expression_list" for v in child.named_children]
