"""Whether a module is data: a value of literals and tables, without functions, the same whenever it is loaded."""

from __future__ import annotations

from tree_sitter import Node

from picloud.syntax.imports import is_field
from picloud.syntax.tree import text, walk

_NOT_DATA = frozenset({"function_declaration", "function_definition", "function_call", "vararg_expression"})

_INDEX = frozenset({"dot_index_expression", "bracket_index_expression"})


def is_constant(root: Node) -> bool:
    """Tell whether a text that has the shape of a module makes its value of literals and its own variables only."""
    known: set[str] = set()
    for statement in root.children:
        assigned: set[str] = set()
        for node in walk(statement):
            if node.type in _NOT_DATA or (node.type in _INDEX and _parent(node) != "variable_list"):
                return False  # a string has fields, too, and they are functions
            if node.type != "identifier" or is_field(node) or _parent(node) == "attribute":
                continue
            if _parent(node) == "variable_list":
                assigned.add(text(node))
            elif text(node) not in known:
                return False
        known |= assigned
    return True


def _parent(node: Node) -> str:
    return node.parent.type if node.parent is not None else ""
