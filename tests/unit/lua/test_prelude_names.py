"""Lua's globals are gone when a run begins, so every name the prelude's functions use is a local of its file."""

from __future__ import annotations

from importlib import resources

import pytest
from tree_sitter import Node

from picloud.engine.library import library
from picloud.syntax.imports import is_field
from picloud.syntax.tree import parse, text, walk

FOLDER = resources.files("picloud.lua").joinpath("prelude")
FILES = {path.name: path.read_text() for path in FOLDER.iterdir() if path.name.endswith(".lua")}
BODIES = {"function_declaration", "function_definition"}


def is_variable(node: Node) -> bool:
    attribute = node.parent is not None and node.parent.type == "attribute"  # as in `<const>`
    return node.type == "identifier" and not attribute and not is_field(node)


def in_function(node: Node) -> bool:
    above = node.parent
    while above is not None and above.type not in BODIES:
        above = above.parent
    return above is not None


def declared(root: Node) -> set[str]:
    lists = {"variable_list", "parameters", "for_generic_clause", "for_numeric_clause"}
    names = {text(n) for n in walk(root) if n.type == "identifier" and n.parent is not None and n.parent.type in lists}
    functions = (n.child_by_field_name("name") for n in walk(root) if n.type == "function_declaration")
    return names | {text(name) for name in functions if name is not None}


@pytest.mark.parametrize("name", [*FILES, "the SDK's library"])
def test_functions_use_locals_only(name: str) -> None:
    root = parse(FILES.get(name) or library().decode())
    known = declared(root)
    used = {text(n) for n in walk(root) if is_variable(n) and in_function(n)}
    assert used - known - {"_ENV"} == set()
