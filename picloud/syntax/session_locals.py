"""Make a cell's locals stay: the text with each top-level `local` as a variable of the session.

Only words of the text are blanked out and ` = nil` put in, so the result is a text its author could have written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tree_sitter import Node

from picloud.syntax.imports import is_field
from picloud.syntax.tree import parse, text, walk

_NO_BREAK = re.compile(rb"[^\n]")


@dataclass(frozen=True, slots=True)
class SessionCell:
    """A cell as the session runs it."""

    source: str
    """Lines have the numbers they had."""
    declared: Mapping[str, bool]
    """The variables it declares for the session, and whether each is a constant (`<const>`)."""
    assigned: frozenset[str]
    """The variables it assigns to beside that, whatever their scope."""


@dataclass(frozen=True, slots=True)
class _Declaration:
    """One `local` at the top level."""

    local: Node
    names: tuple[Node, ...]
    attributes: tuple[Node, ...]
    needs_value: bool
    is_function: bool

    @property
    def closes(self) -> bool:
        return any(b"close" in (attribute.text or b"") for attribute in self.attributes)


def with_session_locals(source: str) -> SessionCell:
    """Return valid Lua with its top-level locals declared for the session.

    Those of blocks and functions stay what they are. So do variables with `<close>`, with what the same `local`
    declares, and all of a cell that names `_ENV`, where no name is sure to be a variable of the session.
    """
    root = parse(source)
    nodes = list(walk(root))
    assigned = frozenset(_assigned(nodes))
    if root.has_error or any(node.type == "identifier" and node.text == b"_ENV" for node in nodes):
        return SessionCell(source, {}, assigned)
    declarations = _for_session([found for node in root.children if (found := _declaration(node)) is not None])
    spare = "_" * (1 + max(map(len, re.findall("_+", source)), default=0))
    raw = source.encode()
    edits = [edit for declaration in declarations for edit in _edits(declaration, spare.encode())]
    for start, end, words in sorted(edits, reverse=True):
        raw = raw[:start] + words + raw[end:]
    declared: dict[str, bool] = {}
    for declaration in declarations:
        constants = {attribute.prev_named_sibling for attribute in declaration.attributes}
        declared |= {text(name): name in constants for name in declaration.names}
    return SessionCell(raw.decode(), declared, assigned)


def _declaration(node: Node) -> _Declaration | None:
    local = node.children[0] if node.children else None
    if local is None or local.type != "local":
        return None
    if node.type == "function_declaration":
        name = node.child_by_field_name("name")
        return None if name is None else _Declaration(local, (name,), (), needs_value=False, is_function=True)
    inner = node.named_children[0]
    names = next((child for child in (inner, *inner.named_children) if child.type == "variable_list"), None)
    if names is None:
        return None
    return _Declaration(
        local,
        tuple(child for child in names.named_children if child.type == "identifier"),
        tuple(child for child in names.named_children if child.type == "attribute"),
        needs_value=inner is names,
        is_function=False,
    )


def _for_session(declarations: list[_Declaration]) -> list[_Declaration]:
    """Return those that none of the cell's own locals can hide."""
    kept: set[str] = set()
    while True:
        own = [d for d in declarations if d.closes or any(text(name) in kept for name in d.names)]
        more = {text(name) for declaration in own for name in declaration.names}
        if more == kept:
            return [declaration for declaration in declarations if declaration not in own]
        kept = more


def _edits(declaration: _Declaration, spare: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield what to put where: of a name that one `local` has twice, the last stays, the others become `spare`."""
    repeated = [n for at, n in enumerate(declaration.names) if text(n) in map(text, declaration.names[at + 1 :])]
    word = b"local " + spare if repeated else b"     "
    yield declaration.local.start_byte, declaration.local.end_byte, word
    for name in repeated:
        yield name.start_byte, name.end_byte, spare
    for attribute in declaration.attributes:
        yield attribute.start_byte, attribute.end_byte, _NO_BREAK.sub(b" ", attribute.text or b"")
    if declaration.needs_value:
        end = max(node.end_byte for node in (*declaration.names, *declaration.attributes))
        yield end, end, b" = nil"


def _assigned(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        parent = node.parent
        if node.type != "identifier" or parent is None or is_field(node):
            continue
        if parent.type == "variable_list" or (parent.type == "function_declaration" and parent.children[0] != node):
            yield text(node)
