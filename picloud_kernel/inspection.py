"""Help on the name at the cursor: what it is, how it is called, what is said about it, and its source on request."""

from __future__ import annotations

import re
from typing import Any

from picloud.engine.interactive import Look
from picloud.publishing.magics import BY_NAME
from picloud.sdk import NAMESPACES, functions
from picloud.sdk.reference import hover
from picloud.syntax.outline import outline
from picloud_kernel.lua_names import EXPECTATIONS
from picloud_kernel.scope import EXPECT_AT_END, REQUIRE_AT_END, Scope

FIELDS_SHOWN_MAX = 50

_PATH_AT_END = re.compile(r"(?<![\w.:])[A-Za-z_]\w*(?:[.:]\w+)*\Z")
_REST_OF_NAME = re.compile(r"\w*")
_SDK_HELP = {function.name: hover(function) for function in functions()} | {
    namespace.name: namespace.description for namespace in NAMESPACES if namespace.name
}


def reply(code: str, cursor: int, detail_level: int, scope: Scope) -> dict[str, Any]:
    """Return Jupyter's inspect_reply; the cursor is a position in code points. Level 1 asks for the source, too."""
    data = help_at(code, cursor, detail_level, scope)
    return {"status": "ok", "found": bool(data), "data": data, "metadata": {}}


def help_at(code: str, cursor: int, detail_level: int, scope: Scope) -> dict[str, str]:
    """Return the help as a MIME bundle; empty when nothing is known."""
    before, path = _name_at(code, cursor)
    if (text := _SDK_HELP.get(".".join(path))) is not None:
        return {"text/plain": text, "text/markdown": text}
    text = (
        _script_help(scope, before, path, detail_level)
        or _value_help(scope, path)
        or _name_help(scope, before, path)
        or _magic_help(code, cursor)
    )
    return {"text/plain": text} if text else {}


def _name_at(code: str, cursor: int) -> tuple[str, tuple[str, ...]]:
    """Return the text up to the end of the name at the cursor, or before the parenthesis just passed; and its path."""
    opened = code[:cursor].endswith("(")
    before = code[:cursor].rstrip("(")
    after = _REST_OF_NAME.match(code[cursor:])
    if after and not opened:
        before += after[0]
    path = _PATH_AT_END.search(before)
    return before, tuple(re.split("[.:]", path[0])) if path else ()


def _magic_help(code: str, cursor: int) -> str:
    start = code.rfind("\n", 0, cursor) + 1
    line = code[start:].split("\n", 1)[0]
    magic = BY_NAME.get((line.split() or [""])[0])
    return "" if magic is None else f"{magic.usage}\n\n{magic.help}\n{magic.details}\n\n{magic.example}"


def _script_help(scope: Scope, before: str, path: tuple[str, ...], detail_level: int) -> str:
    """Explain a function or constant an author wrote, or a module."""
    if (found := scope.definition(path)) is not None:
        where, definition = found
        kind = "constant" if definition.parameters is None else "function"
        signature = f"{'.'.join(path)}{definition.parameters or ''}"
        parts = [signature, definition.comment, f"{kind} of {where}, line {definition.line}"]
        return "\n\n".join([part for part in parts if part] + [definition.source] * (detail_level > 0))
    required = REQUIRE_AT_END.search(before)
    module_script = scope.module(required[1] if required else scope.required(path))
    if module_script is None:
        return ""
    found_outline = outline(module_script.source)
    exports = [f"  {item.name}{item.parameters or ''}" for item in found_outline.exports.values()]
    parts = [f"module {module_script.name}", found_outline.comment, "\n".join(exports)]
    return "\n\n".join([part for part in parts if part] + [module_script.source] * (detail_level > 0))


def _name_help(scope: Scope, before: str, path: tuple[str, ...]) -> str:
    expectation = EXPECT_AT_END.search(before) if scope.magic == "%%test" else None
    name = EXPECTATIONS.get(expectation[1]) if expectation else scope.find(path) if path else None
    return f"{name.signature}\n\n{name.help}" if name is not None and name.help else ""


def _value_help(scope: Scope, path: tuple[str, ...]) -> str:
    """Tell type and content of a value of the session that the author made."""
    if not path or scope.is_given(path[0]):
        return ""
    found = scope.look(path)
    return "" if found is None else _value_text(".".join(path), found)


def _value_text(name: str, value: Look) -> str:
    heading = f"{name}{value.parameters}: {value.type}{' ' * bool(value.text)}{value.text}"
    if value.type != "table":
        return heading
    fields = sorted(value.fields.items())
    lines = [
        f"  {field}{item.parameters}: {item.type}{' ' * bool(item.text)}{item.text}"
        for field, item in fields[:FIELDS_SHOWN_MAX]
    ]
    more = [f"  ... and {len(fields) - FIELDS_SHOWN_MAX} more"] if len(fields) > FIELDS_SHOWN_MAX else []
    return "\n".join([heading, *lines, *more])
