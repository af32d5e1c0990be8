"""Find the requests a test makes by literal method and path."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from picloud.syntax.tree import parse, text, walk

_METHOD_AND_PATH = 2


def literal_calls(source: str) -> Iterator[tuple[str, str]]:
    """Yield method and target of every `call("METHOD", "TARGET", ...)` whose first two arguments are literal."""
    for node in walk(parse(source)):
        if node.type == "function_call" and (found := _request(node)) is not None:
            yield found


def _request(call: Node) -> tuple[str, str] | None:
    function, arguments = call.child_by_field_name("name"), call.child_by_field_name("arguments")
    if function is None or function.type != "identifier" or function.text != b"call" or arguments is None:
        return None
    values = [_literal(value) for value in arguments.named_children[:_METHOD_AND_PATH]]
    if len(values) < _METHOD_AND_PATH or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def _literal(value: Node) -> str | None:
    """Return what a string literal without escapes says, None for everything else."""
    content = value.child_by_field_name("content") if value.type == "string" else None
    if content is None or any(child.type == "escape_sequence" for child in content.children):
        return None
    return text(content)
