"""What passes between a browser that is logged in to Jupyter and a published script (D9): pure functions of headers.

Scripts answer under Jupyter's own origin, and whoever publishes one is not thereby trusted with the session of whoever
visits it. So nothing that opens Jupyter reaches a script, and a page from a script runs in an origin of its own.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_plus

Header = tuple[str, str]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, section 7.6.1: meant for one connection, never forwarded."""
JUPYTER_ONLY = frozenset({"cookie", "x-xsrftoken", "x-csrftoken"})
"""Request headers that belong to the Jupyter session."""
ORIGIN_WIDE = frozenset(
    {
        "set-cookie",
        "set-cookie2",
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "public-key-pins",
        "alt-svc",
        "nel",
        "report-to",
        "reporting-endpoints",
        "origin-agent-cluster",
        "accept-ch",
        "content-security-policy",
        "content-security-policy-report-only",
        "x-content-type-options",
    }
)
"""Response headers that act on the whole origin, which is Jupyter's, or that `PAGE_HEADERS` replace."""
PAGE_HEADERS: tuple[Header, ...] = (
    # No allow-same-origin: the page gets an opaque origin, so it can neither read Jupyter's cookies nor call its API.
    ("Content-Security-Policy", "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"),
    ("X-Content-Type-Options", "nosniff"),
)
"""On every response from a script route."""
PICLOUD_BEARER = "bearer pic_"
"""How an `Authorization` header with one of PiCloud's own tokens begins, in lower case."""


def request_headers(headers: Iterable[Header], *, jupyter_token: str) -> list[Header]:
    """Return the request headers a script may see, repeated ones kept, in order.

    Dropped are hop-by-hop headers, Jupyter's cookies and XSRF token, every `Authorization` but a PiCloud bearer token,
    and any header that quotes Jupyter's token (a `Referer` does after `?token=`).
    """
    headers = list(headers)
    named = _connection_options(headers)
    return [
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in HOP_BY_HOP
        and lower not in named
        and lower not in JUPYTER_ONLY
        and lower != "expect"  # answered by Jupyter's own server already
        and (lower != "authorization" or value.lower().startswith(PICLOUD_BEARER))
        and not (jupyter_token and jupyter_token in unquote_plus(value))
    ]


def response_headers(headers: Iterable[Header]) -> list[Header]:
    """Return the response headers a browser gets: the script's without `ORIGIN_WIDE`, then `PAGE_HEADERS`."""
    headers = list(headers)
    named = _connection_options(headers)
    kept = [
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in HOP_BY_HOP and lower not in named and lower not in ORIGIN_WIDE
    ]
    return [*kept, *PAGE_HEADERS]


def query(raw: str, *, jupyter_token: str) -> str:
    """Return the query string without `token=` arguments that hold Jupyter's token; all else byte for byte."""
    if not jupyter_token:
        return raw
    return "&".join(part for part in raw.split("&") if not _is_token(part, jupyter_token))


def target(raw: str) -> str:
    """Return a request target with bytes outside ASCII percent-encoded and everything else as it came."""
    return "".join(char if "!" <= char <= "~" else f"%{ord(char):02X}" for char in raw)


def _is_token(argument: str, jupyter_token: str) -> bool:
    name, _, value = argument.partition("=")
    return unquote_plus(name) == "token" and hmac.compare_digest(unquote_plus(value).encode(), jupyter_token.encode())


def _connection_options(headers: Iterable[Header]) -> frozenset[str]:
    return frozenset(_options(value for name, value in headers if name.lower() == "connection"))


def _options(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (option.strip().lower() for option in value.split(","))
