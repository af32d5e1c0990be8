"""Find the words a Lua error is about in the line it names. None where more than one place would fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tree_sitter import Node

from picloud.syntax.tree import parse, text, walk

CompilerMessage = Callable[[str], str | None]
"""Lua's complaint about a text, None when it has none."""

VARIABLE = re.compile(r"attempt to (?P<deed>.+?) a (?P<type>\w+) value \((?P<kind>\w+) '(?P<name>[^']*)'\)")
NEAR = re.compile(r" near (?:'(?P<token>.*)'|(?P<end><eof>))$", re.DOTALL)
BAD_ARGUMENT = re.compile(r"bad argument #(?P<number>\d+) to '(?P<function>[^']*)'")
SDK_ARGUMENT = re.compile(r"(?P<function>[a-z_0-9]+(?:\.[a-z_0-9]+)?): ")
_OPERATORS = {
    "perform arithmetic on": {"+", "-", "*", "/", "//", "%", "^"},
    "perform bitwise operation on": {"&", "|", "~", "<<", ">>"},
    "concatenate": {".."},
    "compare": {"<", ">", "<=", ">="},
    "get length of": {"#"},
    "divide by zero": {"//"},
    "add": {"+"},
    "sub": {"-"},
    "mul": {"*"},
    "div": {"/"},
}
_OPERATIONS = {"binary_expression", "unary_expression"}
_INDEXES = {"dot_index_expression", "bracket_index_expression", "method_index_expression"}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one line, in characters; `start` is 0-based."""

    start: int
    stop: int


def syntax_span(source: str, line: int, message: str, complaint: CompilerMessage) -> Span | None:
    """Return the token a syntax error stopped at; `line` is 1-based."""
    found, content = NEAR.search(message), line_of(source, line)
    if found is None or content is None:
        return None
    if found["end"]:
        return Span(len(content.rstrip()), len(content.rstrip()) + 1)
    token = found["token"]
    if re.fullmatch(r"<\\\d+>", token):  # a byte that begins no token
        return next((Span(m.start(), m.end()) for m in re.finditer(r"[^\x00-\x7f]", content)), None)
    spans = [Span(m.start(), m.end()) for m in re.finditer(_word(token), content)]
    if len(spans) <= 1:
        return spans[0] if spans else None
    before = "".join(f"{earlier}\n" for earlier in source.split("\n")[: line - 1])
    return next((span for span in spans if complaint(before + content[: span.stop]) == message), None)


def runtime_span(source: str, line: int, message: str) -> Span | None:
    """Return the variable, operator, call or argument a runtime error tells of; `line` is 1-based."""
    content = line_of(source, line)
    if content is None:
        return None
    nodes = [node for node in walk(parse(source)) if node.start_point.row == line - 1]
    found = list(dict.fromkeys(_candidates(nodes, message)))
    if len(found) != 1:
        return None
    start, stop = found[0]
    raw = content.encode("utf-8", "surrogatepass")
    return Span(len(raw[:start].decode("utf-8", "replace")), len(raw[:stop].decode("utf-8", "replace")))


def call_span(source: str, line: int, names: Iterable[str]) -> Span | None:
    """Return the name of the call of one of these functions or methods, when the line has one."""
    content, wanted = line_of(source, line), set(names)
    nodes = [node for node in walk(parse(source)) if node.start_point.row == line - 1]
    found = [_extent(name) for node in nodes if (name := _last_name(node)) is not None and text(name) in wanted]
    if content is None or len(found) != 1:
        return None
    raw = content.encode("utf-8", "surrogatepass")
    return Span(*(len(raw[:at].decode("utf-8", "replace")) for at in found[0]))


def base_of(source: str, line: int, name: str) -> str | None:
    """Return the variable whose field or method `name` is on that line: `kv` of `kv.gett`; None when it is not one."""
    bases = {
        text(base)
        for node in walk(parse(source))
        if node.type == "identifier" and text(node) == name and node.start_point.row == line - 1
        for base in [_table_of(node)]
        if base is not None and base.type == "identifier"
    }
    return bases.pop() if len(bases) == 1 else None


def names_in(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the variables a text defines, and the fields it sets, parameters included."""
    variables: set[str] = set()
    fields: set[str] = set()
    for node in walk(parse(source)):
        if node.type == "identifier" and (place := _defined(node)) is not None:
            (variables if place == "variable" else fields).add(text(node))
    return frozenset(variables), frozenset(fields)


def required_as(source: str, variable: str) -> str | None:
    """Return the module that `local variable = require("NAME")` loads."""
    found = re.search(rf"\b{re.escape(variable)}\s*=\s*require\s*\(?\s*[\"']([^\"']+)[\"']", source)
    return found[1] if found else None


def line_of(source: str, line: int) -> str | None:
    """Return a line by its 1-based number."""
    lines = source.split("\n")
    return lines[line - 1] if 0 < line <= len(lines) else None


def _candidates(nodes: list[Node], message: str) -> Iterator[tuple[int, int]]:
    if "(field 'integer index')" in message:
        yield from (_extent(node) for node in nodes if _is_indexed_entry(node))
    elif found := VARIABLE.search(message):
        yield from (_extent(node) for node in nodes if _is_variable(node, found))
    elif found := BAD_ARGUMENT.search(message):
        yield from _arguments(nodes, found["function"].removeprefix("table_"), int(found["number"]))
    elif found := re.search(r"attempt to (.+?) (?:a|two|an)? ?'?\w+'? (?:value|with)", message):
        yield from _operators(nodes, _OPERATORS.get(found[1], set()))
    elif "attempt to divide by zero" in message or "'n%%0'" in message:
        yield from _operators(nodes, {"//", "%"})
    elif found := re.match(r"There is no module '(\w+)'", message):
        quoted = {f'"{found[1]}"', f"'{found[1]}'"}
        yield from (_extent(node) for node in nodes if node.type == "string" and text(node) in quoted)
    elif found := SDK_ARGUMENT.match(message):
        yield from _calls(nodes, found["function"])


def _is_variable(node: Node, found: re.Match[str]) -> bool:
    """Tell whether an identifier is the variable a message names, used in the way it says."""
    if node.type != "identifier" or text(node) != found["name"] or node.parent is None:
        return False
    above = node.parent
    is_part = above.type in _INDEXES and node != above.child_by_field_name("table")
    if is_part != (found["kind"] in ("field", "method")):
        return False
    whole = above if is_part else node
    outer = whole.parent
    if outer is None:
        return False
    match found["deed"]:
        case "index":
            return outer.type in _INDEXES and outer.child_by_field_name("table") == whole
        case "call":
            return outer.type == "function_call" and outer.child_by_field_name("name") == whole
    return outer.type in _OPERATIONS


def _is_indexed_entry(node: Node) -> bool:
    """Tell whether the node is the number in `t[1].x`, the entry of a table that is used as a table."""
    entry = node.parent
    if node.type != "number" or entry is None or entry.type != "bracket_index_expression" or entry.parent is None:
        return False
    return entry.parent.type in _INDEXES and entry.parent.child_by_field_name("table") == entry


def _operators(nodes: list[Node], operators: set[str]) -> Iterator[tuple[int, int]]:
    for node in nodes:
        above = node.parent
        if node.type in operators and above is not None and above.type in _OPERATIONS:
            yield _extent(node)


def _calls(nodes: list[Node], function: str) -> Iterator[tuple[int, int]]:
    for node in nodes:
        name = node.child_by_field_name("name") if node.type == "function_call" else None
        if name is not None and text(name).replace(":", ".") == function:
            yield _extent(name)


def _arguments(nodes: list[Node], function: str, number: int) -> Iterator[tuple[int, int]]:
    for node in nodes:
        name, arguments = _last_name(node), node.child_by_field_name("arguments")
        if name is None or arguments is None or text(name) != function:
            continue
        values = arguments.named_children
        index = number - 1 - (name.parent is not None and name.parent.type == "method_index_expression")
        yield _extent(values[index] if 0 <= index < len(values) else name)


def _last_name(node: Node) -> Node | None:
    """Return the last part of the name of what a call calls."""
    name = node.child_by_field_name("name") if node.type == "function_call" else None
    if name is None:
        return None
    return name.child_by_field_name("method") or name.child_by_field_name("field") or name


def _table_of(node: Node) -> Node | None:
    above = node.parent
    if above is None or above.type not in _INDEXES:
        return None
    table = above.child_by_field_name("table")
    return table if table != node else None


def _defined(node: Node) -> str | None:
    above = node.parent
    if above is None:
        return None
    if above.type in ("variable_list", "parameters", "for_numeric_clause"):
        return "variable"
    if above.type == "function_declaration":
        return "variable"
    if above.type == "field" and above.child_by_field_name("name") == node:
        return "field"
    if above.type in _INDEXES and above.child_by_field_name("table") != node and above.parent is not None:
        return "field" if above.parent.type in ("variable_list", "function_declaration") else None
    return None


def _extent(node: Node) -> tuple[int, int]:
    start, end = node.start_point, node.end_point
    return start.column, end.column if end.row == start.row else start.column + 1


def _word(token: str) -> str:
    word = re.escape(token)
    return rf"\b{word}\b" if re.fullmatch(r"\w+", token) else word
