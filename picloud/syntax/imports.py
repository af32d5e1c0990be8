"""Find what a script requires. Only literal names are allowed, so that the import graph is complete."""

from __future__ import annotations

from tree_sitter import Node

from picloud.errors import Diagnostic
from picloud.model.script import MODULE_NAME
from picloud.syntax.tree import parse, text, walk


def find_imports(root: Node) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """Return the names required, in order of first use, and a diagnostic for every other use of `require`."""
    names: dict[str, None] = {}
    wrong: list[Diagnostic] = []
    for node in walk(root):
        if node.type != "identifier" or node.text != b"require" or is_field(node):
            continue
        name = required_name(node.parent) if node.parent is not None else None
        if name is None:
            wrong.append(diagnostic(node, 'use require only as a call with one literal name, like require("greet")'))
        elif not MODULE_NAME.fullmatch(name):
            wrong.append(diagnostic(node, f"{name[:80]!r} cannot name a module"))
        else:
            names[name] = None
    return tuple(names), tuple(wrong)


def imports_of(source: str) -> tuple[str, ...]:
    """Return the names a text requires, in order of first use."""
    return find_imports(parse(source))[0]


def rename_import(source: str, old: str, new: str) -> str:
    """Return the text with every `require("OLD")` naming the other module; nothing else changes."""
    rewritten = source.encode()
    found = [name for node in walk(parse(source)) if (name := _required(node)) is not None and text(name) == old]
    for name in reversed(found):
        rewritten = rewritten[: name.start_byte] + new.encode() + rewritten[name.end_byte :]
    return rewritten.decode()


def required_name(call: Node) -> str | None:
    """Return NAME when the node is the call `require("NAME")`, else None."""
    content = _required(call)
    return None if content is None else text(content)


def _required(call: Node) -> Node | None:
    if call.type != "function_call":
        return None
    function, arguments = call.child_by_field_name("name"), call.child_by_field_name("arguments")
    if function is None or function.type != "identifier" or function.text != b"require" or arguments is None:
        return None
    values = arguments.named_children
    if len(values) != 1 or values[0].type != "string":
        return None
    content = values[0].child_by_field_name("content")
    if content is None or any(child.type == "escape_sequence" for child in content.children):
        return None
    return content


def diagnostic(node: Node, message: str) -> Diagnostic:
    """Return a diagnostic at the start of a node."""
    return Diagnostic(node.start_point.row + 1, node.start_point.column + 1, message)


def is_field(node: Node) -> bool:
    """Tell whether an identifier names a field, not a variable."""
    parent = node.parent
    if parent is None:
        return False
    if parent.type in ("dot_index_expression", "method_index_expression"):
        return node != parent.child_by_field_name("table")
    return (
        parent.type == "field"
        and node == parent.child_by_field_name("name")
        and node != parent.child_by_field_name("value")
    )
