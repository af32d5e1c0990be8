"""The proxy between two real sockets: a raw upstream that records what it gets, and a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from tornado import httpserver, netutil, web

from picloud.settings import Settings
from server_ext.data_plane import DataPlane
from server_ext.proxy import ScriptRouteHandler

TOKEN = "jupytersecret"
LIMIT_BYTES = 1000
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Upstream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Exchange:
    """What the upstream saw."""

    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


def answering(response: bytes, seen: Exchange) -> Upstream:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        seen.heads.append(head)
        seen.bodies.append(await read_body(head, reader))
        writer.write(response)
        await writer.drain()
        writer.close()

    return upstream


async def read_body(head: str, reader: asyncio.StreamReader) -> bytes:
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.splitlines()[1:]}
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if "chunked" in headers.get("transfer-encoding", ""):
        return await reader.readuntil(b"0\r\n\r\n")
    return b""


@contextlib.asynccontextmanager
async def proxied(upstream: Upstream | None, base: str = "/") -> AsyncIterator[int]:
    """Yield the port of a proxy in front of `upstream`; None is a data plane that is down."""
    plane = DataPlane(Settings(host="127.0.0.1", port=0), logging.getLogger("test.proxy"))
    plane.command()
    if upstream is not None:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        plane.port = server.sockets[0].getsockname()[1]
    arguments = {
        "data_plane": plane,
        "mount": f"{base}picloud",
        "jupyter_token": lambda: TOKEN,
        "body_max_bytes": LIMIT_BYTES,
    }
    application = web.Application([(rf"{base}picloud/run/(.*)", ScriptRouteHandler, arguments)], xsrf_cookies=True)
    front = httpserver.HTTPServer(application)
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    front.add_sockets(sockets)
    try:
        async with asyncio.timeout(20):
            yield sockets[0].getsockname()[1]
    finally:
        front.stop()
        if upstream is not None:
            server.close()


async def ask(port: int, request: bytes) -> bytes:
    """Send raw bytes and return the raw answer up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


def through(request: bytes, response: bytes, base: str = "/") -> tuple[str, bytes, Exchange]:
    """Return the answer's head, its body, and what the upstream saw."""
    seen = Exchange()

    async def scenario() -> bytes:
        async with proxied(answering(response, seen), base) as port:
            return await ask(port, request)

    head, _, body = asyncio.run(scenario()).partition(b"\r\n\r\n")
    return head.decode("latin-1"), body, seen


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: example.test", "Connection: close", *headers, "", ""]
    ).encode("latin-1")


def test_path_query_and_repeated_headers_arrive_byte_for_byte() -> None:
    _, body, seen = through(get("/picloud/run/a/%2F%c3%A4//x;y?b=1&a=%20+&b=2", "X-A: 1", "X-A: 2"), OK)
    assert seen.heads[0].startswith("GET /run/a/%2F%c3%A4//x;y?b=1&a=%20+&b=2 HTTP/1.1\r\n")
    assert seen.heads[0].count("X-A: ") == 2
    assert "Host: example.test" in seen.heads[0]
    assert body == b"hi"


def test_a_base_url_is_cut_off() -> None:
    _, _, seen = through(get("/user/ada/picloud/run/a/b"), OK, base="/user/ada/")
    assert seen.heads[0].startswith("GET /run/a/b HTTP/1.1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes_without_login_or_xsrf_token(method: str) -> None:
    head, _, seen = through(get("/picloud/run/a/b", method=method), OK)
    assert head.startswith("HTTP/1.1 200 ")
    assert seen.heads[0].startswith(f"{method} /run/a/b ")


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_a_chunked_body_is_streamed_with_any_method(method: str) -> None:
    request = get("/picloud/run/a/b", "Transfer-Encoding: chunked", method=method) + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    head, _, seen = through(request, OK)
    assert head.startswith("HTTP/1.1 200 ")
    assert seen.bodies[0].replace(b"\r\n", b"").translate(None, b"0123456789") == b"abcde"


def test_nothing_of_the_jupyter_session_reaches_the_script() -> None:
    request = get(
        f"/picloud/run/a/b?token={TOKEN}&x=1",
        "Cookie: username-localhost=secret; _xsrf=secret",
        f"Authorization: token {TOKEN}",
        f"Referer: http://localhost/lab?token={TOKEN}",
        "X-XSRFToken: secret",
    )
    _, _, seen = through(request, OK)
    assert seen.heads[0].startswith("GET /run/a/b?x=1 ")
    assert TOKEN not in seen.heads[0]
    assert "secret" not in seen.heads[0]


def test_a_picloud_token_reaches_the_data_plane() -> None:
    _, _, seen = through(get("/picloud/run/a/b", "Authorization: Bearer pic_x"), OK)
    assert "authorization: bearer pic_x" in seen.heads[0].lower()


def test_a_page_is_sandboxed_and_cannot_touch_the_origin() -> None:
    response = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: 1\r\nX-Own: 2\r\n"
        b"Content-Security-Policy: sandbox allow-same-origin\r\nClear-Site-Data: *\r\nService-Worker-Allowed: /\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    head, _, _ = through(get("/picloud/run/a/b"), response)
    lower = head.lower()
    assert lower.count("content-security-policy: sandbox ") == 1
    assert "allow-same-origin" not in lower
    assert "x-content-type-options: nosniff" in lower
    assert lower.count("x-own: ") == 2
    assert not any(name in lower for name in ("set-cookie", "clear-site-data", "service-worker-allowed"))


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 299 Own\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answers_without_a_body_keep_their_status(response: bytes) -> None:
    head, body, _ = through(get("/picloud/run/a/b"), response)
    assert head.split()[1] == response.decode().split()[1]
    assert body == b""


def test_head_keeps_the_length() -> None:
    head, body, _ = through(get("/picloud/run/a/b", method="HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
    assert "Content-Length: 77" in head
    assert body == b""


def test_an_answer_is_streamed_as_it_is_made() -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await go_on.wait()
            writer.write(b"4\r\nlast\r\n0\r\n\r\n")
            writer.close()

        async with proxied(upstream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/picloud/run/a/b"))
            assert b"first" in await reader.readuntil(b"first")
            go_on.set()
            assert b"last" in await reader.read()
            writer.close()

    asyncio.run(scenario())


def test_a_request_body_is_streamed_as_it_arrives() -> None:
    async def scenario() -> None:
        got_first = asyncio.Event()

        async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(5) == b"first"
            got_first.set()
            assert await reader.readexactly(4) == b"last"
            writer.write(OK)
            writer.close()

        async with proxied(upstream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/picloud/run/a/b", "Content-Length: 9", method="POST") + b"first")
            await got_first.wait()
            writer.write(b"last")
            assert (await reader.read()).endswith(b"hi")
            writer.close()

    asyncio.run(scenario())


def test_an_upstream_that_answers_early_is_heard() -> None:
    async def scenario() -> None:
        async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            await writer.drain()
            await reader.read()
            writer.close()

        async with proxied(upstream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/picloud/run/a/b", "Content-Length: 900", method="POST") + b"x" * 900)
            answer = await reader.read()
            writer.close()
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert answer.endswith(b"no")

    asyncio.run(scenario())


def error_of(answer: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-security-policy: sandbox" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent() -> None:
    async def scenario() -> None:
        seen = Exchange()
        async with proxied(answering(OK, seen)) as port:
            answer = await ask(port, get("/picloud/run/a/b", "Content-Length: 1001", method="POST"))
        status, error = error_of(answer)
        assert (status, error["code"]) == (413, "body_too_large")
        assert seen.heads == []

    asyncio.run(scenario())


def test_a_chunked_body_that_grows_too_large_is_refused() -> None:
    async def scenario() -> None:
        async with proxied(answering(OK, Exchange())) as port:
            piece = b"1f4\r\n" + b"x" * 500 + b"\r\n"
            answer = await ask(
                port, get("/picloud/run/a/b", "Transfer-Encoding: chunked", method="POST") + piece * 3 + b"0\r\n\r\n"
            )
        status, error = error_of(answer)
        assert (status, error["code"]) == (413, "body_too_large")

    asyncio.run(scenario())


def test_a_data_plane_that_is_down_gives_503_and_a_sentence() -> None:
    async def scenario() -> None:
        async with proxied(None) as port:
            answer = await ask(port, get("/picloud/run/a/b"))
        status, error = error_of(answer)
        assert (status, error["code"]) == (503, "data_plane_unavailable")
        assert b"retry-after" in answer.lower()
        assert "127.0.0.1" not in error["message"]

    asyncio.run(scenario())


@pytest.mark.parametrize("response", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_data_plane_that_dies_before_its_answer_gives_502(response: bytes) -> None:
    head, body, _ = through(get("/picloud/run/a/b"), response)
    assert head.startswith("HTTP/1.1 502 ")
    assert json.loads(body)["error"]["code"] == "data_plane_unavailable"


def test_an_answer_that_breaks_off_is_seen_to_break_off() -> None:
    async def scenario() -> bytes:
        response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        async with proxied(answering(response, Exchange())) as port:
            return await ask(port, get("/picloud/run/a/b"))

    answer = asyncio.run(scenario())
    assert b"first" in answer
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("when", ["waiting", "streaming", "uploading"])
def test_a_client_that_leaves_ends_the_request_upstream(when: str) -> None:
    async def scenario() -> None:
        arrived, ended = asyncio.Event(), asyncio.Event()

        async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if when == "streaming":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            arrived.set()
            with contextlib.suppress(ConnectionError):
                await reader.read()
            ended.set()
            writer.close()

        async with proxied(upstream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            length = ["Content-Length: 10"] if when == "uploading" else []
            writer.write(get("/picloud/run/a/b", *length))
            await arrived.wait()
            if when == "streaming":
                await reader.readuntil(b"first")
            writer.close()
            await ended.wait()

    asyncio.run(scenario())
