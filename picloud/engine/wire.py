"""Calls and how they ended, as they travel between two nodes: a line of JSON, then the body of request or response."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from picloud.engine.client import Call
from picloud.errors import AppBusy, CallerError, InvalidInput, NotFound, PicloudError, ScriptError, StaleRevision
from picloud.model.http import Response
from picloud.model.run import RunReport

EXECUTE_PATH: Final = "/execute"
"""Of a data plane: takes calls of other nodes."""
ENVELOPE_BYTES: Final = 2**20
"""What a call or its end may have beyond the body of request or response: path, query, headers, an error's message."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that has to do with the call or its script, not with a node."""

    code: str
    message: str
    script: str | None = None
    line: int | None = None
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: with a response or a failure."""

    outcome: Response | Failure
    report: RunReport | None
    """None when there was no run."""


@dataclass(frozen=True, slots=True)
class _Sent:
    protocol: Literal[1]
    """The number of this form; a node that reads another refuses it."""
    call: Call
    """Its deadline is left out: two nodes have two clocks."""
    timeout_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _with_subclasses(base: type[ScriptError]) -> Iterator[type[ScriptError]]:
    yield base
    for child in base.__subclasses__():
        yield from _with_subclasses(child)


_SCRIPT_ERRORS = {found.code: found for found in _with_subclasses(ScriptError)}
_CALLER_ERRORS: dict[str, type[CallerError]] = {e.code: e for e in (InvalidInput, NotFound, AppBusy, StaleRevision)}
_SENT = TypeAdapter(_Sent)
_ENDED = TypeAdapter(Ended)


def encode_call(call: Call, timeout_s: float) -> bytes:
    """Return a call that has so many seconds left."""
    bare = replace(call, deadline=None, request=replace(call.request, body=b""))
    return _SENT.dump_json(_Sent(1, bare, timeout_s)) + b"\n" + call.request.body


def decode_call(data: bytes) -> Call:
    """Return the call with its deadline counted from now; raise `InvalidInput` for anything else."""
    head, _, body = data.partition(b"\n")
    try:
        sent = _SENT.validate_json(head)
    except ValidationError as error:
        raise InvalidInput("This is not a call of another node: run the same version of PiCloud on both.") from error
    request = replace(sent.call.request, body=body)
    return replace(sent.call, deadline=time.monotonic() + sent.timeout_s, request=request)


def encode_ended(run: Callable[[Callable[[RunReport], None]], Response]) -> bytes:
    """Run a call, giving `run` what takes its report, and return how it ended; raises what is a node's own fault."""
    reports: list[RunReport] = []
    outcome: Response | Failure
    body = b""
    try:
        response = run(reports.append)
        outcome, body = replace(response, body=b""), response.body
    except ScriptError as error:
        outcome = Failure(error.code, error.message, error.script, error.line, error.traceback)
    except CallerError as error:
        outcome = Failure(error.code, error.message)
    return _ENDED.dump_json(Ended(outcome, reports[0] if reports else None)) + b"\n" + body


def decode_ended(data: bytes) -> Ended:
    """Return how a call ended; raises `ValueError` for anything else."""
    head, _, body = data.partition(b"\n")
    ended = _ENDED.validate_json(head)
    if isinstance(ended.outcome, Response):
        return replace(ended, outcome=replace(ended.outcome, body=body))
    return ended


def error_of(failure: Failure) -> PicloudError:
    """Return the error a failure was."""
    if (script_error := _SCRIPT_ERRORS.get(failure.code)) is not None:
        return script_error(failure.message, script=failure.script, line=failure.line, traceback=failure.traceback)
    return _CALLER_ERRORS.get(failure.code, InvalidInput)(failure.message)
