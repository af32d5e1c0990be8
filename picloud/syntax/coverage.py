"""The lines of a script that can run, and the script with counters that note which of them did."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tree_sitter import Node

from picloud.syntax.tree import parse

_BLOCKS = frozenset({"chunk", "block"})
_DO_NOTHING = frozenset(
    {"comment", "hash_bang_line", "empty_statement", "label_statement", "do_statement", "repeat_statement"}
)
"""What stands in a block and does nothing itself; `do` and `repeat` leave it to the statements in them."""


def executable_lines(source: str) -> tuple[int, ...]:
    """Return the lines (1-based, ascending) on which a statement begins; none for text that is not Lua.

    A `local` without a value does nothing, nor do labels, `do`, `repeat`, `else`, `until` and `end` by themselves.
    """
    return tuple(sorted({_line(statement) for statement in _counted(parse(source))}))


def with_counters(source: str, counter: Callable[[int], str]) -> str:
    """Return the source with `counter(line)` in front of the first statement of each line that can run.

    A counter is a text of whole statements, without line breaks, between semicolons. Statements keep their lines.
    """
    raw, parts, copied = source.encode(), [], 0
    for statement in sorted(_counted(parse(source)), key=lambda node: node.start_byte):
        parts += [raw[copied : statement.start_byte], counter(_line(statement)).encode()]
        copied = statement.start_byte
    return b"".join((*parts, raw[copied:])).decode()


def _counted(root: Node) -> Iterator[Node]:
    """Yield the statements that are not only reached through another that begins on their line, in no order."""
    pending = [] if root.has_error else [(root, 0)]
    while pending:
        node, entered = pending.pop()  # nothing gets into the node but past a statement that begins on line `entered`
        passed = entered
        for child in node.named_children:
            if child.type == "label_statement":
                passed = entered  # a goto may have skipped what stands before
            elif node.type in _BLOCKS and _does_something(child) and _line(child) != passed:
                passed = _line(child)
                yield child
            pending.append((child, passed))


def _does_something(statement: Node) -> bool:
    if statement.type == "variable_declaration":
        return any(child.type == "assignment_statement" for child in statement.named_children)
    return statement.type not in _DO_NOTHING


def _line(node: Node) -> int:
    return node.start_point.row + 1
