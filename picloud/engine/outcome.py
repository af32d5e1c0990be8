"""Turn what Lua reports into responses and errors."""

from __future__ import annotations

import re
from typing import Any, Final

from picloud.errors import (
    CallLimitExceeded,
    CpuLimitExceeded,
    ExpectationFailed,
    ImportCycle,
    ImportTooDeep,
    InvalidInput,
    InvalidModule,
    InvalidResponse,
    MemoryLimitExceeded,
    ModuleNotFound,
    PicloudError,
    PlatformError,
    ResponseTooLarge,
    RunInterrupted,
    ScriptError,
    ScriptRuntimeError,
    ScriptSyntaxError,
    TimeLimitExceeded,
)
from picloud.lua.limits import Limits
from picloud.lua.state import Outcome
from picloud.lua.watchdog import Trip
from picloud.model.http import Response

_ERRORS: dict[str, type[ScriptError]] = {
    "syntax": ScriptSyntaxError,
    ImportCycle.code: ImportCycle,
    ImportTooDeep.code: ImportTooDeep,
    ModuleNotFound.code: ModuleNotFound,
    InvalidModule.code: InvalidModule,
    InvalidResponse.code: InvalidResponse,
    ResponseTooLarge.code: ResponseTooLarge,
    TimeLimitExceeded.code: TimeLimitExceeded,
}


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PLACE = re.compile(r"(?P<script>[^\n]+?):(?P<line>\d+): ")
"""What Lua writes in front of its messages."""
_SHORT_NAME_BYTES: Final = 59
"""How much of a script's name it writes there."""


def response_of(values: tuple[Any, ...]) -> Response:
    """Read the scalars of an endpoint's answer; raise `InvalidResponse` for what cannot go out over HTTP."""
    _, status, kind, body, lines = values
    try:
        fields = lines.decode().split("\n") if lines else []
        content_type = kind.decode()
    except UnicodeDecodeError:
        raise InvalidResponse("A header's value is not UTF-8 text: encode it.") from None
    headers = list(zip(fields[::2], fields[1::2], strict=True))
    if content_type:
        headers.append(("content-type", content_type))
    for name, value in headers:
        _check_header(name, value)
    return Response(status, tuple(headers), body)


def _check_header(name: str, value: str) -> None:
    """Refuse what could forge another header."""
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidResponse(f"{name[:80]!r} is not a header name.")
    if not _HEADER_VALUE.fullmatch(value):
        raise InvalidResponse(
            f"The value of the header {name[:80]!r} holds a line break, a control character or one beyond Latin-1: "
            "encode it."
        )


def error_of(outcome: Outcome, *, script: str, limits: Limits) -> PicloudError:
    """Return the error of a run that ended with ("error", code, message, script, line, traceback, extra or nothing).

    When Lua let the error of a failed host call through, that is the run's error; so is a fault of the platform that
    took the time the run had left.
    """
    _, raw_code, raw_message, raw_script, line, raw_traceback, *extra = outcome.values
    code, message = _text(raw_code), _text(raw_message)
    at, line = _text(raw_script) or script, int(line)
    if placed := _PLACE.match(message):
        if code == "syntax":  # which has no frame of its own
            at, line = placed["script"], int(placed["line"])
        if _is_place(placed, at, line):
            message = message[placed.end() :]
    failure = outcome.failure
    if isinstance(failure, PlatformError) and (code == failure.code or _took_the_rest(outcome, code)):
        return failure
    if code == "bad_body":
        return InvalidInput(message[:1].upper() + message[1:] + ".")
    where: dict[str, Any] = {
        "script": at,
        "line": line or None,
        "traceback": tuple(_text(raw_traceback).splitlines()),
    }
    if code == "limit":
        return _stopped(outcome.trip, limits, where)
    if code == "memory":
        mib = limits.state.memory_bytes // 2**20
        return MemoryLimitExceeded(f"The run needed more than {mib} MiB of memory and was stopped.", **where)
    if code == ExpectationFailed.code:
        return ExpectationFailed(message, details=_text(extra[0]), **where)
    return _ERRORS.get(code, ScriptRuntimeError)(message, **where)


def _took_the_rest(outcome: Outcome, code: str) -> bool:
    return code == "limit" and outcome.trip is Trip.DEADLINE and outcome.was_last


def _is_place(placed: re.Match[str], script: str, line: int) -> bool:
    """Tell whether a message begins with the place that the error has anyway."""
    short = script.encode()[:_SHORT_NAME_BYTES].decode("utf-8", "replace")
    return placed["script"] in (script, short) and int(placed["line"]) == line


def _stopped(trip: Trip | None, limits: Limits, where: dict[str, Any]) -> ScriptError:
    run = limits.run
    match trip:
        case Trip.INTERRUPT:
            return RunInterrupted(**where)
        case Trip.CPU:
            return CpuLimitExceeded(f"The run used more than {run.cpu_s:g} s of CPU time and was stopped.", **where)
        case Trip.CALLS:
            return CallLimitExceeded(f"The run made more than {run.calls} calls out of Lua and was stopped.", **where)
    return TimeLimitExceeded(f"The run took longer than {run.timeout_s:.3g} s and was stopped.", **where)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
