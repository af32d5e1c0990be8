"""Run calls on another node, over HTTP to its data plane (`POST /execute`)."""

from __future__ import annotations

import time
from typing import Final

import httpcore

from picloud.engine.client import Call, ExecutorClient
from picloud.engine.executor import Observe
from picloud.engine.turns import Turns
from picloud.engine.wire import ENVELOPE_BYTES, EXECUTE_PATH, Failure, decode_ended, encode_call, error_of
from picloud.errors import ExecutorLost, ExecutorUnavailable
from picloud.model.http import Response

CONNECT_TIMEOUT_S: Final = 5.0
REFUSED: Final = frozenset((400, 401, 403, 404, 405, 413))
"""Statuses a node answers before it runs anything."""
IDLE_S: Final = 10.0
"""An unused connection is closed after this, before the other node would: a request never meets one that just ended."""


class RemoteExecutor(ExecutorClient):
    """Sends calls to one other node, which shares the database and the instance token."""

    def __init__(
        self, url: str, token: str, turns: Turns, *, timeout_s: float, grace_s: float, response_bytes: int
    ) -> None:
        """Take the node's root URL, the seconds a run may take and may take to be stopped, and its largest response."""
        self._url = url.rstrip("/") + EXECUTE_PATH
        self._headers: dict[bytes | str, bytes | str] = {
            "authorization": f"Bearer {token}",
            "content-type": "application/octet-stream",
        }
        self._turns = turns
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._answer_bytes = response_bytes + ENVELOPE_BYTES
        self._pool = httpcore.ConnectionPool(max_connections=None, keepalive_expiry=IDLE_S)

    def close(self) -> None:
        """Close the connections to the node."""
        self._pool.close()

    def execute(self, call: Call, *, observe: Observe | None = None) -> Response:
        """Send the call and wait for how it ends, no longer than its deadline and the time to stop a run.

        Raises `ExecutorUnavailable` when the node refuses or is not there, `ExecutorLost` when it does not answer.
        """
        with self._turns.turn(call.app_id):
            try:
                ended = decode_ended(self._exchange(call))
            except ValueError as error:  # it is no data plane, or one of another version
                raise ExecutorLost from error
        if ended.report is not None and observe is not None:
            observe(ended.report)
        if isinstance(ended.outcome, Failure):
            raise error_of(ended.outcome)
        return ended.outcome

    def _exchange(self, call: Call) -> bytes:
        left_s = self._timeout_s
        if call.deadline is not None:
            left_s = max(0.0, min(left_s, call.deadline - time.monotonic()))
        wait_s = left_s + self._grace_s
        waits_s = {"connect": min(CONNECT_TIMEOUT_S, wait_s), "write": wait_s, "read": wait_s}
        try:
            with self._pool.stream(
                "POST",
                self._url,
                headers=self._headers | {"x-request-id": call.request.id},
                content=encode_call(call, left_s),
                extensions={"timeout": waits_s},
            ) as answer:
                content = self._read(answer, time.monotonic() + wait_s)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise ExecutorUnavailable from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ExecutorLost from error
        if answer.status == 200:
            return content
        refused = ExecutorUnavailable if answer.status in REFUSED else ExecutorLost
        raise refused from RuntimeError(f"the node answers {answer.status}: {content[:500]!r}")

    def _read(self, answer: httpcore.Response, deadline: float) -> bytes:
        """Return the body; raise `ExecutorLost` when it grows too large or comes too slowly."""
        content = bytearray()
        for part in answer.iter_stream():
            content += part
            if len(content) > self._answer_bytes or time.monotonic() > deadline:
                raise ExecutorLost
        return bytes(content)
