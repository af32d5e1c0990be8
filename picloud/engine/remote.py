"""Run calls on another node, over HTTP to its data plane (`POST /execute`)."""

from __future__ import annotations

import time
from typing import Final

import httpcore

from picloud.engine.client import Call, ExecutorClient
from picloud.engine.executor import Observe
from picloud.engine.turns import Turns
from picloud.engine.wire import EXECUTE_PATH, Failure, decode_ended, encode_call, error_of
from picloud.errors import ExecutorLost, ExecutorUnavailable
from picloud.model.http import Response

CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 10.0
"""An unused connection is closed after this, before the other node would: a request never meets one that just ended."""


class RemoteExecutor(ExecutorClient):
    """Sends calls to one other node, which shares the database and the instance token."""

    def __init__(self, url: str, token: str, turns: Turns, *, timeout_s: float, grace_s: float) -> None:
        """Take the node's root URL, the seconds a run may take, and those it may take to be stopped."""
        self._url = url.rstrip("/") + EXECUTE_PATH
        self._headers: dict[bytes | str, bytes | str] = {
            "authorization": f"Bearer {token}",
            "content-type": "application/octet-stream",
        }
        self._turns = turns
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._pool = httpcore.ConnectionPool(max_connections=None, keepalive_expiry=IDLE_S)

    def close(self) -> None:
        """Close the connections to the node."""
        self._pool.close()

    def execute(self, call: Call, *, observe: Observe | None = None) -> Response:
        """Send the call and wait for how it ends, no longer than its deadline and the time to stop a run.

        Raises `ExecutorUnavailable` when the node refuses or is not there, `ExecutorLost` when it does not answer.
        """
        with self._turns.turn(call.app_id):
            ended = decode_ended(self._exchange(call))
        if ended.report is not None and observe is not None:
            observe(ended.report)
        if isinstance(ended.outcome, Failure):
            raise error_of(ended.outcome)
        return ended.outcome

    def _exchange(self, call: Call) -> bytes:
        left_s = self._timeout_s
        if call.deadline is not None:
            left_s = max(0.0, min(left_s, call.deadline - time.monotonic()))
        waits_s = {"connect": CONNECT_TIMEOUT_S, "write": left_s + self._grace_s, "read": left_s + self._grace_s}
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                headers=self._headers | {"x-request-id": call.request.id},
                content=encode_call(call, left_s),
                extensions={"timeout": waits_s},
            )
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise ExecutorUnavailable from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ExecutorLost from error
        if answer.status != 200:
            raise ExecutorUnavailable from RuntimeError(f"the node answers {answer.status}: {answer.content[:500]!r}")
        return answer.content
