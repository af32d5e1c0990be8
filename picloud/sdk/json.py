"""`json`: the codec every value crosses with (RFC 8259). It is written in Lua: `picloud/lua/prelude/json.lua`."""

from __future__ import annotations

from typing import Annotated, Final

from picloud.sdk.spec import Namespace, Value, made_in_lua

json_ = Namespace(
    "json",
    "JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), strict both ways. An object is a table with strings as "
    "keys, an array a table with the keys 1 to n, null is `json.null`. Integers of 64 bits stay integers and floats "
    "stay floats: `1` and `1.0` are two texts. An empty table is written as `{}`, `json.array{}` as `[]`, and arrays "
    "that were read stay arrays. The same codec makes answers of tables and stores values in `kv` and `docs`.",
)

_UNENCODABLE: Final = (
    "a function, a string that is not UTF-8, a number that is not finite, a table with holes or mixed keys, "
    "more than 100 levels, or a table within itself; the message says where"
)

json_.constant(
    "null",
    "Null as a value in a table, where nil would be no value at all. It is equal to itself only, and true in a "
    "condition: compare with `== json.null`.",
    example="json.encode({ a = json.null }) --> '{\"a\":null}'",
)


@json_.function(
    returns="the text, without whitespace; the keys of an object are sorted by their bytes",
    errors={"invalid_value": _UNENCODABLE},
    example='json.encode({ b = { 1, 2.0 }, a = "x" }) --> \'{"a":"x","b":[1,2.0]}\'',
    lua="",
)
def encode(value: Annotated[Value | None, "any value JSON can hold; nil counts as null"] = None) -> str:
    """Write a value as JSON.

    Equal values give equal texts. A float is written with as many digits as it takes to read the same float back, at
    least one of them after the point.
    """
    return made_in_lua(value)


@json_.function(
    returns="the text",
    errors={"invalid_value": _UNENCODABLE},
    example="json.pretty({ a = 1 }) --> '{\\n  \"a\": 1\\n}'",
    lua="",
)
def pretty(value: Annotated[Value | None, "any value JSON can hold; nil counts as null"] = None) -> str:
    """Write a value as JSON for people: one line per item, indented by two spaces."""
    return made_in_lua(value)


@json_.function(
    returns="the value; null is `json.null`",
    errors={
        "invalid_json": "the text is not one JSON value in UTF-8, or holds a number beyond the range of floats or more "
        "than 100 levels; the message says at which byte",
        "invalid_value": "the argument is not a string",
    },
    example="json.decode('{\"a\":[1,2.5,null]}').a[2] --> 2.5",
    lua="",
)
def decode(text: Annotated[bytes, "one JSON value, in UTF-8 without a byte order mark"]) -> Value:
    r"""Read JSON.

    Where the RFC leaves a choice: of several members of one name the last counts. An integer is one if it has neither
    fraction nor exponent and fits in 64 bits; longer ones become floats. A `\u` escape that is half of a surrogate
    pair is refused, since no text holds it.
    """
    return made_in_lua(text)


@json_.function(
    returns="the same table",
    errors={"invalid_value": "not a table, or one with a metatable of its own"},
    example='json.encode(json.array{}) --> "[]"',
    lua="",
)
def array(items: Annotated[Value | None, "a table with the keys 1 to n; a new one when left out"] = None) -> Value:
    """Mark a table as an array, so that it is one in JSON also while it is empty."""
    return made_in_lua(items)
