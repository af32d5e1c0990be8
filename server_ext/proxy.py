"""Script routes under Jupyter: a streaming reverse proxy to the data plane, open to everybody.

Both bodies pass through in pieces and are never held whole. Each request has a connection of its own to the data plane:
on the loopback interface that costs little, and a data plane that was just restarted never meets a stale connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpcore
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import httputil, web
from tornado.iostream import StreamClosedError

from picloud.errors import BodyTooLarge, DataPlaneUnavailable, InvalidInput, PicloudError, PlatformError
from picloud.web.problems import Audience, problem_of
from server_ext import isolation
from server_ext.data_plane import DataPlane

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
QUEUED_CHUNKS = 4
"""Pieces of a request body (64 KiB each) held while the data plane is slower than the client."""


@web.stream_request_body
class ScriptRouteHandler(web.RequestHandler):
    """Forwards one request to the data plane."""

    def initialize(
        self, data_plane: DataPlane, mount: str, jupyter_token: Callable[[], str], body_max_bytes: int
    ) -> None:
        """Take the collaborators; `mount` is the path the data plane's root has here, without a slash at its end."""
        self._data_plane = data_plane
        self._mount = mount
        self._jupyter_token = jupyter_token
        self._body_max_bytes = body_max_bytes
        self._received_bytes = 0
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_CHUNKS)
        self._exchange: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        """Isolate also what this handler says itself."""
        for name, value in isolation.PAGE_HEADERS:
            self.set_header(name, value)

    def check_xsrf_cookie(self) -> None:
        """Accept requests from everywhere: no Jupyter session is used here, and scripts have none."""

    def compute_etag(self) -> None:
        """Leave entity tags to the script."""

    def prepare(self) -> None:
        """Refuse a body that announces itself as too large, else start the exchange while the body arrives."""
        if int(self.request.headers.get("Content-Length", "0")) > self._body_max_bytes:
            self._refuse(self._too_large())
            return
        self._exchange = asyncio.create_task(self._forward())

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the body on; waits while the data plane is behind."""
        self._received_bytes += len(chunk)
        if self._exchange is None or self._exchange.done():
            return
        if self._received_bytes > self._body_max_bytes:
            self._exchange.cancel()
            self._refuse(self._too_large())
            return
        await self._put(chunk, self._exchange)

    def on_connection_close(self) -> None:
        """End the request upstream, too, when the client has gone."""
        super().on_connection_close()
        if self._exchange is not None:
            self._exchange.cancel()

    @allow_unauthenticated
    async def _respond(self, *_path: str) -> None:
        if self._exchange is None or self._finished:
            return
        await self._put(None, self._exchange)
        with contextlib.suppress(asyncio.CancelledError):
            await self._exchange

    get = head = post = put = patch = delete = options = _respond

    async def _put(self, chunk: bytes | None, exchange: asyncio.Task[None]) -> None:
        """Queue a piece, unless the exchange ends first: the data plane may answer without reading everything."""
        putting = asyncio.ensure_future(self._chunks.put(chunk))
        await asyncio.wait({putting, exchange}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def _forward(self) -> None:
        try:
            async with self._connection() as connection:
                response = await connection.handle_async_request(self._upstream_request())
                await self._relay(response)
        except StreamClosedError:
            pass  # the client has gone; leaving the block above has closed the upstream connection
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            self._fail(DataPlaneUnavailable(), error)
        except httpcore.LocalProtocolError as error:
            self._fail(InvalidInput("This is not a valid HTTP request."), error)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            self._fail(DataPlaneUnavailable(), error, status=502)

    def _connection(self) -> httpcore.AsyncHTTPConnection:
        return httpcore.AsyncHTTPConnection(origin=self._url(b"/").origin)

    def _url(self, target: bytes) -> httpcore.URL:
        return httpcore.URL(
            scheme=b"http", host=self._data_plane.connect_host.encode(), port=self._data_plane.port, target=target
        )

    def _upstream_request(self) -> httpcore.Request:
        return httpcore.Request(
            method=str(self.request.method).encode(),
            url=self._url(self._target().encode("ascii")),
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers_upstream()],
            content=self._body() if self._has_body() else None,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
        )

    def _target(self) -> str:
        """Return the path as it came, without the mount, and the query without Jupyter's token."""
        path, mark, query = str(self.request.uri).partition("?")
        query = isolation.query(query, jupyter_token=self._jupyter_token())
        return isolation.target(path.removeprefix(self._mount) + mark + query)

    def _headers_upstream(self) -> list[isolation.Header]:
        headers = isolation.request_headers(self.request.headers.get_all(), jupyter_token=self._jupyter_token())
        if "Transfer-Encoding" in self.request.headers:
            headers.append(("Transfer-Encoding", "chunked"))
        if "Host" not in self.request.headers:  # HTTP/1.0
            headers.append(("Host", str(self.request.host)))
        return [*headers, ("Connection", "close")]

    def _has_body(self) -> bool:
        return "Content-Length" in self.request.headers or "Transfer-Encoding" in self.request.headers

    async def _body(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def _relay(self, response: httpcore.Response) -> None:
        self._begin(response)
        await self.flush()
        async for chunk in response.aiter_stream():
            self.write(chunk)
            await self.flush()
        await self.finish()

    def _begin(self, response: httpcore.Response) -> None:
        """Set status and headers; tornado's own defaults make way for the script's."""
        self.set_status(response.status)
        self._headers = httputil.HTTPHeaders()
        script_headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
        for name, value in isolation.response_headers(script_headers):
            if response.status != 204 or name.lower() != "content-length":  # RFC 9110, 8.6: none with a 204
                self.add_header(name, value)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The request body is larger than the {self._body_max_bytes // 2**20} MiB this server accepts."
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what nobody expected as JSON, too."""
        cause = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        error = cause if isinstance(cause, PicloudError) else PlatformError()
        self._refuse(error, status=status_code)

    def _fail(self, error: PicloudError, cause: Exception, *, status: int | None = None) -> None:
        # One line, not a chain of tracebacks: while the data plane restarts, every request comes here.
        log.warning("Script route %s: %s (%r)", self.request.path, error.code, cause, extra={"action": "proxy"})
        if self._headers_written:
            # Too late for a status: a connection that breaks off tells the client that the answer is incomplete.
            self.request.connection.stream.close()  # type: ignore[union-attr]
        else:
            self._refuse(error, status=status)

    def _refuse(self, error: PicloudError, *, status: int | None = None) -> None:
        if self._finished or self._headers_written:
            return
        problem = problem_of(error, uuid.uuid4().hex, Audience.CALLER)
        self.clear()
        self.set_status(status or problem.status)
        for name, value in problem.headers:
            self.set_header(name, value)
        self.finish(problem.body)
