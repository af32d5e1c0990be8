"""What scripts have beside the SDK: Lua's keywords and library, and what endpoints and tests get. Data alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Name:
    """One name, as completion and help show it."""

    type: str
    """`function`, or what kind of value it is."""
    signature: str
    """How a function is called, else the name alone."""
    help: str
    """One line."""


_NAME_OF = re.compile(r"(?:.*[.:])?(\w+)(?:\([^()]*\))?")


def _names(table: str) -> Mapping[str, Name]:
    """Read lines of `signature: help`; of what is no function `name = type: help`."""
    found: dict[str, Name] = {}
    for line in table.strip().splitlines():
        left, _, text = line.partition(": ")
        signature, _, kind = left.partition(" = ")
        if match := _NAME_OF.fullmatch(signature):
            found[match[1]] = Name(kind or "function", signature, text)
    return found


BASE: Final = _names("""
_G = table: The table of all globals.
_VERSION = string: Lua's version, "Lua 5.4".
assert(value, [message]): Raise an error when the value is false or nil; return all arguments otherwise.
error(message, [level]): Raise an error; level 1 adds where `error` was called, 2 where its caller was, 0 nothing.
getmetatable(value): Return a value's metatable, or its `__metatable` field.
ipairs(list): Iterate over 1, 2, ... up to the first nil: `for i, value in ipairs(list) do`.
load(chunk, [name], [mode], [env]): Compile a text; return the function, or nil and what is wrong with it.
next(table, [key]): Return the key after this one and its value, nil after the last.
pairs(table): Iterate over all keys and values, in no particular order: `for key, value in pairs(table) do`.
pcall(f, ...): Call a function; return true and its results, or false and its error.
print(...): Write the arguments as text, with tabs between them.
rawequal(a, b): Tell whether two values are the same, without metamethods.
rawget(table, key): Return a field, without metamethods.
rawlen(value): Return the length of a table or string, without metamethods.
rawset(table, key, value): Set a field, without metamethods; return the table.
require(name): Load a module of this app and return its exports; write the name literally.
select(n, ...): Return the arguments from the n-th on; `select("#", ...)` counts them.
setmetatable(table, metatable): Set a table's metatable; return the table.
tonumber(value, [base]): Turn a text into a number; nil when it is none.
tostring(value): Turn any value into a text.
type(value): Return the name of a value's type: "nil", "number", "string", "boolean", "table", "function", "thread".
xpcall(f, handler, ...): Like `pcall`, with a function that gets the error where it was raised.
""")

LIBRARIES: Final[Mapping[str, Mapping[str, Name]]] = {
    "string": _names("""
string.byte(s, [i], [j]): Return the codes of the bytes from i to j; the first one by default.
string.char(...): Make a string of byte codes.
string.find(s, pattern, [init], [plain]): Return start and end of a pattern's first match, and its captures; else nil.
string.format(format, ...): Format values as C's printf does: %d %5.2f %s %q %x.
string.gmatch(s, pattern, [init]): Iterate over all matches of a pattern, or their captures.
string.gsub(s, pattern, replacement, [n]): Replace matches by a text, a field or a function's result; count them.
string.len(s): Return the number of bytes; the same as `#s`.
string.lower(s): Return a copy with ASCII letters in lower case.
string.match(s, pattern, [init]): Return the captures of the first match, or all of it; nil when there is none.
string.pack(format, ...): Write values in binary form.
string.packsize(format): Return the length of what `string.pack` makes.
string.rep(s, n, [separator]): Repeat a string n times.
string.reverse(s): Return the bytes in reverse order.
string.sub(s, i, [j]): Return the bytes from i to j; negative positions count from the end.
string.unpack(format, s, [position]): Read values from binary form, and the position after them.
string.upper(s): Return a copy with ASCII letters in upper case.
"""),
    "table": _names("""
table.concat(list, [separator], [i], [j]): Join a list of strings and numbers to one string.
table.insert(list, [position], value): Put a value into a list, at its end by default.
table.move(from, first, last, to_position, [to]): Copy a part of a list, also into another one.
table.pack(...): Make a list of the arguments, with their number as `n`.
table.remove(list, [position]): Take an item out of a list, the last one by default; return it.
table.sort(list, [less]): Sort a list in place; `less(a, b)` tells whether a comes first.
table.unpack(list, [i], [j]): Return the items of a list.
"""),
    "math": _names("""
math.abs(x): Return x without its sign.
math.acos(x): Return the arc cosine, in radians.
math.asin(x): Return the arc sine, in radians.
math.atan(y, [x]): Return the arc tangent of y/x, in radians, in the right quadrant.
math.ceil(x): Return the least integer that is not below x.
math.cos(x): Return the cosine of an angle in radians.
math.deg(x): Turn radians into degrees.
math.exp(x): Return e to the power of x.
math.floor(x): Return the greatest integer that is not above x.
math.fmod(x, y): Return the rest of x divided by y, rounded towards zero.
math.huge = number: Infinity.
math.log(x, [base]): Return the logarithm, the natural one by default.
math.max(x, ...): Return the greatest argument.
math.maxinteger = integer: The greatest integer, 2^63 - 1.
math.min(x, ...): Return the least argument.
math.mininteger = integer: The least integer, -2^63.
math.modf(x): Return the integral and the fractional part.
math.pi = number: The ratio of a circle's circumference to its diameter.
math.rad(x): Turn degrees into radians.
math.random([m], [n]): Return a number in [0, 1), or an integer from 1 to m, or from m to n; not for secrets.
math.randomseed([x], [y]): Seed the generator, so that `math.random` repeats itself.
math.sin(x): Return the sine of an angle in radians.
math.sqrt(x): Return the square root.
math.tan(x): Return the tangent of an angle in radians.
math.tointeger(x): Return x as an integer; nil when it is none.
math.type(x): Return "integer", "float", or nil for what is no number.
math.ult(m, n): Tell whether m is below n as unsigned integers.
"""),
    "utf8": _names("""
utf8.char(...): Make a string of code points.
utf8.charpattern = string: The pattern that matches one UTF-8 character.
utf8.codepoint(s, [i], [j], [lax]): Return the code points between two byte positions.
utf8.codes(s, [lax]): Iterate over byte positions and code points: `for position, code in utf8.codes(s) do`.
utf8.len(s, [i], [j], [lax]): Count characters; nil and a position when the string is not UTF-8.
utf8.offset(s, n, [i]): Return the byte position of the n-th character.
"""),
    "coroutine": _names("""
coroutine.close(co): Close a suspended coroutine and its pending variables.
coroutine.create(f): Make a coroutine of a function.
coroutine.isyieldable([co]): Tell whether a coroutine can yield.
coroutine.resume(co, ...): Start or continue a coroutine; return true and what it yields, or false and its error.
coroutine.running(): Return the running coroutine, and whether it is the main one.
coroutine.status(co): Return "running", "suspended", "normal" or "dead".
coroutine.wrap(f): Make a coroutine and return a function that resumes it.
coroutine.yield(...): Suspend the running coroutine; return what it is resumed with.
"""),
    "os": _names("""
os.clock(): Return seconds of CPU time.
os.date([format], [time]): Format a time, or split it into a table with "*t".
os.difftime(later, earlier): Return the seconds between two times.
os.time([table]): Return seconds since 1970, now or of the given date.
"""),
}

REQUEST: Final = _names("""
request.app = string: The name of the app.
request.body = string: The raw body, a string of bytes.
request.cookies = table: Cookies by name.
request.form = table: Fields of an `application/x-www-form-urlencoded` body.
request.headers = table: Headers, with names in lower case.
request.id = string: The request's correlation id.
request.json = any: The body read as JSON, nil for an empty body; a body that is not JSON answers 400.
request.method = string: The method, in capitals.
request.params = table: Values of the route's `:name` and `*name`.
request.path = string: The path below the app, percent-decoded.
request.principal = string: Who called with a token of this app, else nil.
request.query = table: First value of each query parameter.
request.remaining_ms(): Return the milliseconds of wall-clock time this run has left.
""")

RESPONSE: Final = _names("""
response.bytes(data, [content_type], [status], [headers]): Answer with bytes.
response.html(text, [status], [headers]): Answer with HTML.
response.json(value, [status], [headers]): Answer with a value as JSON.
response.redirect(url, [status]): Send the caller to another URL, with 302 by default.
response.text(text, [status], [headers]): Answer with plain text.
""")

ENDPOINT: Final[Mapping[str, Name]] = {
    "request": Name("table", "request", "The request this endpoint answers."),
    "response": Name("table", "response", "Makes answers of other kinds than a returned table or text is."),
}

CELL: Final = _names("""
clear_output([wait]): Take away what the cell has shown; with `true` only when the next thing is shown.
display(value): Show a value at once; return a handle whose `update(value)` shows another in its place.
""")

TRIGGER: Final[Mapping[str, Name]] = {
    "event": Name("table", "event", "What happened: kind, id, attempt and what the kind adds; `event:retry()`."),
}

TEST: Final = _names("""
assert(value, [message]): Fail the test when the value is false or nil.
call(method, path, [options]): Send a request, with `{ json =, body =, headers = }`; return status, headers, body, json.
expect(value): Begin an expectation: `expect(value):equals(other)`.
""")

EXPECTATIONS: Final = _names("""
expect(value):contains(item): The text has this part, or the table this value.
expect(value):equals(other): The values are the same; tables are compared by what they hold.
expect(value):is_a(type): The value is of this type.
expect(value):is_falsy(): The value is nil or false.
expect(value):is_nil(): The value is nil.
expect(value):is_truthy(): The value is neither nil nor false.
expect(value):matches(pattern): The text matches a Lua pattern.
expect(value):raises([text]): The function raises an error, with this text in its message.
""")
