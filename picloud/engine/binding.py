"""From the SDK's own description to what Lua calls: argument checks in Lua, conversions on both sides.

Lua gets one text, made once per process, with a function for each of the SDK's: it checks the types of its arguments,
turns them into scalars and calls the host, so that all of it runs within the limits of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from picloud.errors import CallerError, InvalidInput
from picloud.lua.state import Scalar
from picloud.sdk import NAMESPACES
from picloud.sdk.run import Run
from picloud.sdk.spec import EVERYWHERE, Data, Function, Namespace, Parameter, Row, Rows, Type

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
    Type.VALUE: "encode({0})",
}
"""Types that cross as one scalar each, and the expression for it."""

ARGUMENT_MAX_BYTES: Final = 16 * 2**20
"""Of one string, as large as a request's body may be by default."""
ARGUMENTS_MAX_BYTES: Final = 8 * 2**20
"""Of lists and tables in one call, `ITEM_COST_BYTES` for each item included."""
ITEM_COST_BYTES: Final = 64

_HEAD: Final = """
local host, encode, decode, fail, raw, pcall = ...
local type, next, error, tostring = type, next, error, tostring
local tointeger, unpack, pack, sort, concat = math.tointeger, table.unpack, table.pack, table.sort, table.concat

local function bad(name, argument, expected, value)
  local got = expected == "an integer" and type(value) == "number" and tostring(value) or type(value)
  fail("invalid_input", name .. ": " .. argument .. " must be " .. expected .. ", got " .. got)
end

-- A string that Lua has once crosses as often as it is named, so what one call may hand over is counted here.
local function check_size(name, argument, value)
  if #value > ARGUMENT_MAX then
    fail("invalid_input", name .. ": " .. argument .. " has more than " .. ARGUMENT_MAX .. " bytes")
  end
end

local budget

local function spend(name, bytes)
  budget = budget - bytes - ITEM_COST
  if budget < 0 then
    fail("invalid_input", name .. ": the arguments have more than " .. BUDGET .. " bytes in all")
  end
end

local function known(name, options, names)
  if options == nil then return {} end
  if type(options) ~= "table" then bad(name, "options", "a table", options) end
  for key in next, raw(options) or options do
    if not names[key] then
      local list = {}
      for option in next, names do list[#list + 1] = option end
      sort(list)
      local wrong = tostring(key):sub(1, 60)
      fail("invalid_input", name .. ": there is no option '" .. wrong .. "'; the options are " .. concat(list, ", "))
    end
  end
  return options
end

local function put(out, n, value, name)
  local is_json = type(value) ~= "string"
  if is_json then value = encode(value) end
  spend(name, #value)
  out[n + 1], out[n + 2] = is_json, value
  return n + 2
end

local function put_list(out, n, list, name, argument, strings)
  local count = tointeger(#list)
  if not count or count < 0 then bad(name, "the length of " .. argument, "an integer", #list) end
  out[n + 1] = count
  n = n + 1
  for i = 1, count do
    local item = list[i]
    if strings then
      if type(item) ~= "string" then bad(name, argument .. "[" .. i .. "]", "a string", item) end
      spend(name, #item)
      n = n + 1
      out[n] = item
    else
      if item == nil then bad(name, argument .. "[" .. i .. "]", "a value, or json.null", item) end
      n = put(out, n, item, name)
    end
  end
  return n
end

local function put_map(out, n, map, name, argument)
  local count, at = 0, n + 1
  n = at
  for key, value in next, raw(map) or map do
    if type(key) ~= "string" then bad(name, "a key of " .. argument, "a string", key) end
    spend(name, #key)
    out[n + 1] = key
    n = put(out, n + 1, value, name)
    count = count + 1
  end
  out[at] = count
  return n
end

local function value_of(text)
  if text == nil then return nil end
  return decode(text)
end

local function data_of(is_json, content)
  if is_json then return decode(content) end
  return content
end

local function list_of(count, ...)
  if count == nil then return nil end
  return { ... }
end

local function data_list_of(count, ...)
  if count == nil then return nil end
  local flat, list = { ... }, {}
  for i = 1, count do list[i] = data_of(flat[2 * i - 1], flat[2 * i]) end
  return list
end

local function data_map_of(count, ...)
  if count == nil then return nil end
  local flat, map = { ... }, {}
  for i = 1, 3 * count, 3 do map[flat[i]] = data_of(flat[i + 1], flat[i + 2]) end
  return map
end

local function rows_of(rows, columns, ...)
  local flat, list, at = { ... }, {}, columns
  for r = 1, rows do
    local row = {}
    for c = 1, columns do
      local name = flat[c]
      if name:sub(-1) == "*" then
        row[name:sub(1, -2)] = data_of(flat[at + 1], flat[at + 2])
        at = at + 2
      else
        at = at + 1
        row[name] = flat[at]
      end
    end
    list[r] = row
  end
  return list
end

local function row_of(...)
  if ... == nil then return nil end
  return rows_of(...)[1]
end

local library = {}
"""


@cache
def library() -> bytes:
    """Return the Lua text that makes the SDK; given what its first line names, it returns a table of namespaces."""
    parts = [f"local ARGUMENT_MAX, BUDGET, ITEM_COST = {ARGUMENT_MAX_BYTES}, {ARGUMENTS_MAX_BYTES}, {ITEM_COST_BYTES}"]
    parts.append(_HEAD)
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
        return f"host({', '.join([quoted, *(_scalar(variable, parameter) for variable, parameter in given)])})"
    lines.append("  local out, n = {}, 0")
    lines.append("  budget = BUDGET")
    for variable, parameter in given:
        lines.append(f"  {_put(quoted, variable, parameter)}")
    return f"host({quoted}, unpack(out, 1, n))"


def _scalar(variable: str, parameter: Parameter) -> str:
    expression = _SCALARS[parameter.type].format(variable)
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
            return f"n = n + 1 out[n] = {_scalar(variable, parameter)}"
    return f"if {variable} ~= nil then {put} else {absent} end" if parameter.optional else put


def _result(function: Function, call: str) -> str:
    makers = {
        Type.VALUE: "value_of",
        Type.DATA: "data_of",
        Type.TEXTS: "list_of",
        Type.STRINGS: "list_of",
        Type.DATA_LIST: "data_list_of",
        Type.DATA_MAP: "data_map_of",
        Type.ROWS: "rows_of",
        Type.ROW: "row_of",
    }
    results = [result.type for result in function.results]
    if len(results) == 1:
        return f"{makers[results[0]]}({call})" if results[0] in makers else call
    if not any(kind in makers for kind in results):
        return call
    if results[0] is Type.DATA and not any(kind in makers for kind in results[1:]):
        return f"(function(is_json, content, ...) return data_of(is_json, content), ... end)({call})"
    if len(results) == 2 and results[1] not in makers:  # what has a count in front comes last
        return f"(function(second, ...) return {makers[results[0]]}(...), second end)({call})"
    raise TypeError(f"{function.name}: no way to return {results}")


SdkFunction = Callable[[Run, tuple[Any, ...]], tuple[Scalar | None, ...]]


@cache
def calls() -> Mapping[bytes, SdkFunction]:
    """Return what the host calls of the library do, by name: made once per process."""
    found: dict[bytes, SdkFunction] = {}
    for namespace in NAMESPACES:
        for function in namespace.functions.values():
            if function.lua is None:
                found[function.name.encode()] = _bound(function)
        found |= {name.encode(): _primitive(namespace, name) for name in namespace.primitives}
    return found


def _primitive(namespace: Namespace, name: str) -> SdkFunction:
    call = namespace.primitives[name]

    def invoke(run: Run, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
        return _scalars(call(run, *arguments))

    return invoke


def _bound(function: Function) -> SdkFunction:
    takers = [(parameter.name, _TAKERS.get(parameter.type, _take_scalar)) for parameter in function.parameters]
    option_takers = [(o.keyword, o.name, _TAKERS.get(o.type, _take_scalar)) for o in function.options]
    optional = {parameter.name: parameter.default for parameter in (*function.parameters, *function.options)}
    call, wants_run, everywhere = function.call, function.wants_run, function.phases == EVERYWHERE

    def invoke(run: Run, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
        if not everywhere and run.phase not in function.phases:
            phases = " and ".join(sorted(f"{phase}s" for phase in function.phases))
            raise InvalidInput(f"{function.name} can be called in {phases} only")
        try:
            rest = iter(arguments)
            values = [take(name, rest, optional[name]) for name, take in takers]
            options = {keyword: take(name, rest, optional[name]) for keyword, name, take in option_takers}
            result = call(run, *values, **options) if wants_run else call(*values, **options)
        except CallerError as error:
            error.args = (f"{function.name}: {error.message}",)
            raise
        return _scalars(result)

    return invoke


Taker = Callable[[str, Iterator[Any], Any], Any]


def _take_scalar(_name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else value


def _take_text(name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else _text(name, value)


def _take_float(_name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else float(value)


def _take_data(_name: str, rest: Iterator[Any], default: Any) -> Any:
    is_json, content = next(rest), next(rest)
    return default if is_json is None else Data(is_json, content)


def _take_strings(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [next(rest) for _ in range(count)]


def _take_texts(name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [_text(name, next(rest)) for _ in range(count)]


def _take_data_list(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [Data(next(rest), next(rest)) for _ in range(count)]


def _take_data_map(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else {next(rest): Data(next(rest), next(rest)) for _ in range(count)}


_TAKERS: Final[Mapping[Type, Taker]] = {
    Type.TEXT: _take_text,
    Type.VALUE: _take_text,
    Type.NUMBER: _take_float,
    Type.DATA: _take_data,
    Type.TEXTS: _take_texts,
    Type.STRINGS: _take_strings,
    Type.DATA_LIST: _take_data_list,
    Type.DATA_MAP: _take_data_map,
}


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} is not UTF-8 text: encode binary data first, for example as hex") from None


def _scalars(result: Any) -> tuple[Scalar | None, ...]:
    """Return a result as it crosses; of several, a list comes last."""
    if result is None:
        return ()
    if not isinstance(result, tuple):
        return tuple(_flat(result))
    first = result[0]
    if isinstance(first, list | dict | Rows):  # with a count in front it can only be the last
        return (*_flat(result[1]), *_flat(first))
    return tuple(scalar for value in result for scalar in _flat(value))


def _flat(value: Any) -> Iterator[Scalar | None]:
    match value:
        case Data():
            yield value.is_json
            yield value.content
        case list():
            yield len(value)
            for item in value:
                yield from _flat(item)
        case dict():
            yield len(value)
            for key, item in value.items():
                yield key
                yield from _flat(item)
        case Rows():
            yield len(value.rows)
            yield len(value.columns)
            yield from value.columns
            for row in value.rows:
                for cell in row:
                    yield from _flat(cell)
        case Row():
            yield from _flat(Rows(value.columns, (value.cells,)))
        case _:
            yield value
