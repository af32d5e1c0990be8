"""The Lua text of the SDK, made from its own description: each function checks its arguments and calls the host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from picloud.sdk import NAMESPACES
from picloud.sdk.spec import Function, Parameter, Type

_EXPECTED: Final[Mapping[Type, str]] = {
    Type.TEXT: "a string",
    Type.BYTES: "a string",
    Type.INTEGER: "an integer",
    Type.NUMBER: "a number",
    Type.BOOLEAN: "a boolean",
    Type.VALUE: "a value, or json.null",
    Type.DATA: "a value, or json.null",
    Type.TEXTS: "a list of strings",
    Type.STRINGS: "a list of strings",
    Type.DATA_LIST: "a list",
    Type.DATA_MAP: "a table with strings as keys",
    Type.FUNCTION: "a function",
}
_TESTS: Final[Mapping[Type, str]] = {
    Type.TEXT: 'type({0}) == "string"',
    Type.BYTES: 'type({0}) == "string"',
    Type.INTEGER: 'type({0}) == "number" and tointeger({0})',
    Type.NUMBER: 'type({0}) == "number"',
    Type.BOOLEAN: 'type({0}) == "boolean"',
    Type.VALUE: "{0} ~= nil",
    Type.DATA: "{0} ~= nil",
    Type.TEXTS: 'type({0}) == "table"',
    Type.STRINGS: 'type({0}) == "table"',
    Type.DATA_LIST: 'type({0}) == "table"',
    Type.DATA_MAP: 'type({0}) == "table"',
    Type.FUNCTION: 'type({0}) == "function"',
}
_SCALARS: Final[Mapping[Type, str]] = {
    Type.TEXT: "{0}",
    Type.BYTES: "{0}",
    Type.INTEGER: "tointeger({0})",
    Type.NUMBER: "{0}",
    Type.BOOLEAN: "{0}",
    Type.VALUE: "encoded({0}, {1}, {2})",
}
"""Types that cross as one scalar each, and the expression for it."""

_ARGUMENTS_ONLY: Final = frozenset({Type.DATA_LIST, Type.FUNCTION})
"""Types nothing made in Python returns."""

ARGUMENT_MAX_BYTES: Final = 16 * 2**20
"""Of one string, as large as a request's body may be by default."""
ARGUMENTS_MAX_BYTES: Final = 8 * 2**20
"""Of lists and tables in one call, `ITEM_COST_BYTES` for each item included."""
ITEM_COST_BYTES: Final = 64
VALUE_MAX_BYTES: Final = 2 * 2**20
"""Of one value as JSON, which Python reads."""


@cache
def library() -> bytes:
    """Return the Lua text that makes the SDK; given what its first line names, it returns a table of namespaces."""
    bounds = (ARGUMENT_MAX_BYTES, ARGUMENTS_MAX_BYTES, ITEM_COST_BYTES, VALUE_MAX_BYTES)
    parts = [f"local ARGUMENT_MAX, BUDGET, ITEM_COST, VALUE_MAX = {', '.join(map(str, bounds))}"]
    parts.append(resources.files("picloud.engine").joinpath("library.lua").read_text(encoding="utf-8"))
    for namespace in NAMESPACES:
        parts += ["do", namespace.lua]
        if namespace.name:
            parts.append(f'library["{namespace.name}"] = {{}}')
        for name, function in namespace.functions.items():
            if function.lua != "":
                table = f'library["{namespace.name}"]' if namespace.name else "library"
                parts.append(f'{table}["{name}"] = {function.lua or _function(function)}')
        parts.append("end")
    return "\n".join([*parts, "return library"]).encode()


def _function(function: Function) -> str:
    """Return the Lua function that checks the arguments and calls the host."""
    quoted = f'"{function.name}"'
    names = [f"a{number}" for number in range(len(function.parameters))]
    given = list(zip(names, function.parameters, strict=True))
    lines = [f"function({', '.join([*names, *(['options'] if function.options else [])])})"]
    if function.options:
        known = ", ".join(f'["{option.name}"] = true' for option in function.options)
        lines.append(f"  local o = known({quoted}, options, {{ {known} }})")
        for number, option in enumerate(function.options):  # once: an object may answer otherwise the second time
            lines.append(f'  local o{number} = o["{option.name}"]')
            given.append((f"o{number}", option))
    for variable, parameter in given:
        unless = f"{variable} ~= nil and " if parameter.optional else ""
        test = f"not ({_TESTS[parameter.type].format(variable)})"
        expected = _EXPECTED[parameter.type]
        lines.append(f'  if {unless}{test} then bad({quoted}, "{parameter.name}", "{expected}", {variable}) end')
        if parameter.type in (Type.TEXT, Type.BYTES):
            lines.append(f'  if {variable} then check_size({quoted}, "{parameter.name}", {variable}) end')
    lines.append(f"  return {_result(function, _call(quoted, given, lines))}")
    return "\n".join([*lines, "end"])


def _call(quoted: str, given: list[tuple[str, Parameter]], lines: list[str]) -> str:
    """Return the expression that calls the host, after adding the lines it needs."""
    if all(parameter.type in _SCALARS for _, parameter in given):
        return f"host({', '.join([quoted, *(_scalar(quoted, variable, parameter) for variable, parameter in given)])})"
    lines.append("  local out, n = { left = BUDGET }, 0")
    for variable, parameter in given:
        lines.append(f"  {_put(quoted, variable, parameter)}")
    return f"host({quoted}, unpack(out, 1, n))"


def _scalar(quoted: str, variable: str, parameter: Parameter) -> str:
    expression = _SCALARS[parameter.type].format(variable, quoted, f'"{parameter.name}"')
    return f"{variable} ~= nil and {expression} or nil" if parameter.optional and expression != variable else expression


def _put(quoted: str, variable: str, parameter: Parameter) -> str:
    name = f'"{parameter.name}"'
    match parameter.type:
        case Type.DATA:
            put, absent = f"n = put(out, n, {variable}, {quoted})", "n = n + 2"
        case Type.TEXTS | Type.STRINGS:
            put, absent = f"n = put_list(out, n, {variable}, {quoted}, {name}, true)", "n = n + 1"
        case Type.DATA_LIST:
            put, absent = f"n = put_list(out, n, {variable}, {quoted}, {name}, false)", "n = n + 1"
        case Type.DATA_MAP:
            put, absent = f"n = put_map(out, n, {variable}, {quoted}, {name})", "n = n + 1"
        case _:
            return f"n = n + 1 out[n] = {_scalar(quoted, variable, parameter)}"
    return f"if {variable} ~= nil then {put} else {absent} end" if parameter.optional else put


def _result(function: Function, call: str) -> str:
    makers = {
        Type.VALUE: "value_of",
        Type.DATA: "data_of",
        Type.TEXTS: "list_of",
        Type.STRINGS: "list_of",
        Type.DATA_MAP: "data_map_of",
        Type.ROWS: "rows_of",
        Type.ROW: "row_of",
    }
    results = [result.type for result in function.results]
    if not _ARGUMENTS_ONLY.isdisjoint(results):
        raise TypeError(f"{function.name}: no way to return {results}")
    if len(results) == 1:
        return f"{makers[results[0]]}({call})" if results[0] in makers else call
    if not any(kind in makers for kind in results):
        return call
    if results[0] is Type.DATA and not any(kind in makers for kind in results[1:]):
        return f"(function(is_json, content, ...) return data_of(is_json, content), ... end)({call})"
    if len(results) == 2 and results[1] not in makers:  # what has a count in front comes last
        return f"(function(second, ...) return {makers[results[0]]}(...), second end)({call})"
    raise TypeError(f"{function.name}: no way to return {results}")
