"""Parse Lua with tree-sitter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import tree_sitter_lua
from tree_sitter import Language, Node, Parser


@cache
def _language() -> Language:
    return Language(tree_sitter_lua.language())


def parse(source: str) -> Node:
    """Return the root of the syntax tree; broken source gives a tree with error nodes."""
    return Parser(_language()).parse(source.encode("utf-8", "surrogatepass")).root_node


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it, in source order; not limited by Python's recursion depth."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(current.children))


def text(node: Node) -> str:
    """Return the node's source text."""
    return (node.text or b"").decode("utf-8", "replace")
