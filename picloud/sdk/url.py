"""`url`: addresses as browsers read them (WHATWG URL Standard), their parts, and percent-encoding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import quote_from_bytes, quote_plus, unquote_to_bytes

from ada_url import URL

from picloud.errors import InvalidInput
from picloud.sdk.spec import Namespace, Value

url = Namespace(
    "url",
    "Addresses as browsers read them ([URL Standard](https://url.spec.whatwg.org)): parsed, built, joined, encoded. "
    "A text or query is 1 MiB at most.",
)

TEXT_MAX: Final = 1024 * 1024
"""Characters, or bytes, of an address, a query or a text to encode."""
FIELDS_MAX: Final = 10_000
"""Fields of a query."""

_CONTROLS: Final = {code: f"%{code:02X}" for code in range(32)}
_IN_PATHS: Final = {**_CONTROLS, ord("?"): "%3F", ord("#"): "%23"}
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^\[\]/?#@\\:|\x00-\x20]*")
_SPECIAL: Final = frozenset({"http", "https", "ws", "wss", "ftp", "file"})
_DERIVED: Final = frozenset({"href", "host", "origin"})
_TEXTS: Final = ("scheme", "username", "password", "hostname", "path", "fragment")
_PORT_MAX: Final = 65535
_TOO_LONG: Final = {"invalid_input": "the text is longer than 1 MiB"}


@url.function(
    returns="a table of its parts; nil when the text is no address",
    errors=_TOO_LONG,
    example='url.parse("https://example.com:8080/a/../b?x=1").path --> "/b"',
)
def parse(
    text: Annotated[str, "an absolute address, or one relative to `base`"],
    base: Annotated[str | None, "an absolute address"] = None,
) -> Value | None:
    """Read an address.

    The parts: `href`, the whole address in its normal form; `scheme` in lower case; `username` and `password`,
    empty for none; `host`, which is `hostname` and `port`; `hostname` in ASCII, IPv6 in brackets; `port`, an
    integer, nil when it is the scheme's own; `path`; `query` without '?'; `fragment` without '#'; `origin`, nil for
    schemes that have none. `host` and `hostname` are nil when the address has no '//', `query` and `fragment` when
    there is no '?' or '#'. Parts are as they stand in the address: `url.decode` and `url.decode_query` read them.
    """
    found = _read(text, base)
    return None if found is None else Value(json.dumps(_parts(found), ensure_ascii=False))


@url.function(
    returns="the absolute address in its normal form; nil when there is none",
    errors=_TOO_LONG,
    example='url.join("https://example.com/a/b?x", "../c") --> "https://example.com/c"',
)
def join(
    base: Annotated[str, "an absolute address"],
    relative: Annotated[str, "what a page at `base` links to; an absolute address leads away from `base`"],
) -> str | None:
    """Say where a link leads.

    A relative address can lead to any host ('//other/x') and out of any directory ('../'): check the result when the
    text comes from someone else.
    """
    found = _read(relative, base)
    return None if found is None else found.href


@url.function(
    returns="the address in its normal form",
    errors={"invalid_input": "a part is missing, unknown, of the wrong type, or does not go with the others"},
    example='url.build{ scheme = "https", hostname = "example.com", path = "/a b", query = { q = "1&2" } } '
    '--> "https://example.com/a%20b?q=1%262"',
)
def build(
    parts: Annotated[Value, "the parts, as `url.parse` has them; `query` may be a table for `url.encode_query`"],
) -> str:
    """Make an address of its parts.

    What a part may not hold is percent-encoded, so none of them can end early and begin another; '%' is left as it is.
    A hostname that would, or that is percent-encoded, is refused. It is written in its normal form ('0x7f.1' is
    127.0.0.1, some characters vanish): check `url.parse(result).hostname`, not the text you had. A path is resolved as
    everywhere in addresses: encoding does not keep '..' from leading upwards. `host`, `href` and `origin` follow from
    the others and are not looked at, so what `url.parse`
    returned can be changed and built again.
    """
    given = _given(parts)
    built = _with_host(given) if "hostname" in given else _without_host(given)
    if (query := given.get("query")) is not None:
        built.search = "?" + _query(query).translate(_CONTROLS)
    if "fragment" in given:
        built.hash = "#" + given["fragment"].translate(_CONTROLS)
    return built.href


@url.function(
    returns="ASCII text", errors=_TOO_LONG, example='url.encode("a/b c?ü") --> "a%2Fb%20c%3F%C3%BC"'
)  # fmt: skip
def encode(text: Annotated[bytes, "text, or any bytes"]) -> str:
    """Percent-encode all but A-Z, a-z, 0-9, '-', '.', '_' and '~', for one segment of a path or any other part."""
    return quote_from_bytes(_short(text), safe="")


@url.function(returns="the bytes", errors=_TOO_LONG, example='url.decode("a%2Fb+100%") --> "a/b+100%"')
def decode(text: Annotated[bytes, "percent-encoded text"]) -> bytes:
    """Read percent-encoded text back.

    As the standard has it, a '%' that two hexadecimal digits do not follow stands for itself, and so does '+'. The
    result may be any bytes, also such as are not UTF-8.
    """
    return unquote_to_bytes(_short(text))


@url.function(
    returns="the query, without '?'",
    errors={"invalid_input": "a value that is none of these, or a result longer than 1 MiB"},
    example='url.encode_query{ q = "a b", tag = { "x", "y" }, n = 1 } --> "n=1&q=a+b&tag=x&tag=y"',
)
def encode_query(
    fields: Annotated[
        Value, "names with strings, numbers, booleans, or lists of them for a name that comes repeatedly"
    ],
) -> str:
    """Write fields as forms do (application/x-www-form-urlencoded): sorted by name, each list in its order."""
    if len(fields) > TEXT_MAX:
        raise InvalidInput(f"fields of more than {TEXT_MAX} bytes as JSON")
    return _query(json.loads(fields, parse_float=str))


@url.function(
    returns="a table of values by name",
    errors={"invalid_input": "more than 10000 fields, or a text longer than 1 MiB"},
    example='url.decode_query("tag=x&tag=y&q=a+b").tag --> "x"',
)
def decode_query(
    text: Annotated[bytes, "a query without '?', or a form's body"], *,
    all: Annotated[bool, "give a list of all values for each name, instead of the first value"] = False,  # noqa: A002
) -> Value:  # fmt: skip
    """Read fields as forms send them (application/x-www-form-urlencoded).

    A name without '=' has an empty value; '+' is a space; a broken escape stands for itself, bytes that are not UTF-8
    become U+FFFD. Which type a value has never depends on what was sent.
    """
    values: dict[str, list[str]] = {}
    for name, value in _fields(_short(text)):
        values.setdefault(name, []).append(value)
    return Value(json.dumps(values if all else {name: v[0] for name, v in values.items()}, ensure_ascii=False))


def _short(text: bytes) -> bytes:
    if len(text) > TEXT_MAX:
        raise InvalidInput(f"a text of more than {TEXT_MAX} bytes")
    return text


def _read(text: str, base: str | None) -> URL | None:
    if len(text) + len(base or "") > TEXT_MAX:
        raise InvalidInput(f"an address of more than {TEXT_MAX} characters")
    try:
        return URL(text, base)
    except ValueError:
        return None


def _parts(found: URL) -> dict[str, Any]:
    href, scheme = found.href, found.protocol[:-1]
    before_fragment, has_fragment, _ = href.partition("#")
    parts: dict[str, Any] = {
        "href": href, "scheme": scheme, "username": found.username, "password": found.password, "path": found.pathname,
    }  # fmt: skip
    if href.startswith("//", len(scheme) + 1):
        parts |= {"host": found.host, "hostname": found.hostname}
    if found.port:
        parts["port"] = int(found.port)
    if "?" in before_fragment:
        parts["query"] = found.search[1:]
    if has_fragment:
        parts["fragment"] = found.hash[1:]
    if found.origin != "null":
        parts["origin"] = found.origin
    return parts


def _given(parts: Value) -> dict[str, Any]:
    """Return the parts there are; raise for those of the wrong type."""
    if len(parts) > TEXT_MAX:
        raise InvalidInput(f"parts of more than {TEXT_MAX} bytes as JSON")
    given = json.loads(parts, parse_float=str)
    if not isinstance(given, dict):
        raise InvalidInput("parts must be a table with names like 'scheme' and 'hostname'")
    for name, value in given.items():
        if name in _TEXTS and not isinstance(value, str):
            raise InvalidInput(f"{name} must be a string")
        if name not in {*_TEXTS, *_DERIVED, "port", "query"}:
            raise InvalidInput(f"there is no part '{name[:60]}'; the parts are {', '.join(_TEXTS)}, port and query")
    port = given.get("port", 0)
    if type(port) is not int or not 0 <= port <= _PORT_MAX:
        raise InvalidInput(f"port must be an integer from 0 to {_PORT_MAX}")
    if not _SCHEME.fullmatch(given.get("scheme", "")):
        raise InvalidInput("scheme must be a name like 'https'")
    return given


def _with_host(given: dict[str, Any]) -> URL:
    hostname = given["hostname"]
    decoded = "%" in hostname and given["scheme"].lower() in _SPECIAL  # there the text says another host than it names
    valid = _HOST.fullmatch(hostname) and not decoded
    built = _read(f"{given['scheme']}://{hostname}", None) if valid else None
    if built is None:
        raise InvalidInput("hostname is not one: it has neither a port nor a path, and IPv6 stands in brackets")
    try:
        if "port" in given:
            built.port = str(given["port"])
        for name in ("username", "password"):
            if given.get(name):
                setattr(built, name, given[name].translate(_CONTROLS))
    except ValueError:
        raise InvalidInput("an address of this scheme and hostname has no port, username and password") from None
    built.pathname = given.get("path", "").translate(_CONTROLS)
    return built


def _without_host(given: dict[str, Any]) -> URL:
    if given.get("username") or given.get("password") or "port" in given:
        raise InvalidInput("username, password and port need a hostname")
    path = given.get("path", "").translate(_IN_PATHS)
    if path.endswith(" "):  # at the end of an address it would be dropped
        path = path[:-1] + "%20"
    if path.startswith("//"):  # what follows would be a host
        path = "/." + path
    built = _read(f"{given['scheme']}:{path}", None)
    if built is None or built.host:  # special schemes find one in any path
        raise InvalidInput("an address of this scheme needs a hostname")
    return built


def _query(fields: Any) -> str:
    if isinstance(fields, str):
        return fields
    if not isinstance(fields, dict):
        raise InvalidInput("a query must be a table of names and values")
    pairs: list[str] = []
    size = 0
    for name, value in sorted(fields.items()):
        encoded = _form(name)
        for item in value if isinstance(value, list) else [value]:
            pairs.append(f"{encoded}={_form(_text(name, item))}")
            size += len(pairs[-1]) + 1
            if size > TEXT_MAX or len(pairs) > FIELDS_MAX:  # before it grows: a list repeats its name
                raise InvalidInput(f"a query of more than {FIELDS_MAX} fields or {TEXT_MAX} bytes")
    return "&".join(pairs)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):  # floats stay as they are written
        return str(value)
    raise InvalidInput(f"the value of '{name[:60]}' must be a string, a number, a boolean, or a list of them")


def _form(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def _fields(text: bytes) -> Iterator[tuple[str, str]]:
    if text.count(b"&") >= FIELDS_MAX:
        raise InvalidInput(f"more than {FIELDS_MAX} fields")
    for pair in text.replace(b"+", b" ").split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield _plain(name), _plain(value)


def _plain(text: bytes) -> str:
    return unquote_to_bytes(text).decode(errors="replace")
