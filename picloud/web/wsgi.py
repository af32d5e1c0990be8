"""The request as WSGI (PEP 3333) gives it, and the answer as WSGI takes it; no framework in between."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from picloud.errors import BodyTooLarge, InvalidInput

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers: TypeAlias = list[tuple[str, str]]

QUERY_FIELDS_MAX = 1000
READ_CHUNK_BYTES = 256 * 1024
REQUEST_ID = "picloud.request_id"
"""The environ key under which the id is kept for the rest of the request."""
BODY = "picloud.body"
"""The environ key of the body, once it is read."""

_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_SERVER_HEADERS = frozenset(
    (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    )
)
"""What only the server can know (RFC 9110, 9112); such a header from a script is left out."""

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def request_id(environ: Environ) -> str:
    """Return the request's correlation id: the client's `X-Request-Id` when it is a plain word, else a new one."""
    known = environ.get(REQUEST_ID)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        known = given if _CLIENT_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        environ[REQUEST_ID] = known
    return str(known)


def decoded_path(environ: Environ) -> str:
    """Return the path as text; raise `InvalidInput` when its bytes are not UTF-8.

    The server has resolved the percent-escapes already, so an escaped slash is a slash.
    """
    path: str = environ.get("PATH_INFO", "")
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise InvalidInput("The path is not valid UTF-8: percent-encode the UTF-8 bytes of its text.") from None


def query_pairs(environ: Environ) -> tuple[tuple[str, str], ...]:
    """Return the decoded query pairs in their order; raise `InvalidInput` for invalid UTF-8 or too many fields."""
    query = environ.get("QUERY_STRING")
    if not query:
        return ()
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX)
    except UnicodeDecodeError:
        raise InvalidInput("The query is not valid UTF-8: percent-encode the UTF-8 bytes of its text.") from None
    except ValueError:
        raise InvalidInput(f"The query has more than {QUERY_FIELDS_MAX} fields.") from None
    return tuple(pairs)


def header_fields(environ: Environ) -> dict[str, str]:
    """Return the request's headers by lower-case name."""
    fields = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    if content_type := environ.get("CONTENT_TYPE"):
        fields["content-type"] = content_type
    if content_length := environ.get("CONTENT_LENGTH"):
        fields["content-length"] = content_length
    return fields


def read_body(environ: Environ, limit_bytes: int) -> bytes:
    """Return the whole body, also when asked again.

    Raises `BodyTooLarge` before reading when the length is declared, else while reading.
    """
    if BODY not in environ:
        environ[BODY] = _read(environ, limit_bytes)
    return bytes(environ[BODY])


def _read(environ: Environ, limit_bytes: int) -> bytes:
    declared = environ.get("CONTENT_LENGTH")
    if declared:
        return _read_declared(environ, _length(declared), limit_bytes)
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return _read_to_end(environ, limit_bytes)
    return b""


def _length(declared: str) -> int:
    if not (declared.isascii() and declared.isdigit() and len(declared) <= 18):
        raise InvalidInput("Content-Length is not a number of bytes.")
    return int(declared)


def _read_declared(environ: Environ, length: int, limit_bytes: int) -> bytes:
    if length > limit_bytes:
        raise _too_large(limit_bytes)
    if length == 0:
        return b""
    body = bytes(environ["wsgi.input"].read(length))
    while len(body) < length:
        more = environ["wsgi.input"].read(length - len(body))
        if not more:
            raise InvalidInput("The request body ended before its Content-Length.")
        body += more
    return body


def _read_to_end(environ: Environ, limit_bytes: int) -> bytes:
    body = bytearray()
    while chunk := environ["wsgi.input"].read(READ_CHUNK_BYTES):
        body += chunk
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(body)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than the {limit_bytes // 2**20} MiB this server accepts.")


def script_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return a script's headers without those that only the server can know."""
    return [(name, value) for name, value in headers if name.lower() not in _SERVER_HEADERS]


def status_line(status: int) -> str:
    """Return status and reason phrase."""
    return _REASONS.get(status) or f"{status} Unknown"


def send(environ: Environ, start_response: StartResponse, status: int, headers: Headers, body: bytes) -> list[bytes]:
    """Answer with the headers, the body's length and the request id; to HEAD, and with 204 and 304, without a body."""
    headers.append(("x-request-id", request_id(environ)))
    if status in (204, 304):
        start_response(status_line(status), headers)
        return []
    headers.append(("content-length", str(len(body))))
    start_response(status_line(status), headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
