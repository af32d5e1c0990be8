"""Turn what Lua reports into responses and errors."""

from __future__ import annotations

from typing import Any

from picloud.errors import (
    ImportCycle,
    ImportTooDeep,
    InvalidInput,
    InvalidModule,
    InvalidResponse,
    MemoryLimitExceeded,
    ModuleNotFound,
    PicloudError,
    PlatformError,
    RunInterrupted,
    ScriptError,
    ScriptRuntimeError,
    ScriptSyntaxError,
    TimeLimitExceeded,
)
from picloud.lua.deadline import Trip
from picloud.lua.limits import Limits
from picloud.model.http import Response

_ERRORS: dict[str, type[ScriptError]] = {
    "syntax": ScriptSyntaxError,
    ImportCycle.code: ImportCycle,
    ImportTooDeep.code: ImportTooDeep,
    ModuleNotFound.code: ModuleNotFound,
    InvalidModule.code: InvalidModule,
    InvalidResponse.code: InvalidResponse,
}


def response_of(values: tuple[Any, ...]) -> Response:
    """Read the scalars of an endpoint's answer."""
    _, status, kind, body, lines = values
    fields = lines.decode("utf-8", "surrogateescape").split("\n") if lines else []
    headers = list(zip(fields[::2], fields[1::2], strict=True))
    if kind:
        headers.append(("content-type", kind.decode("utf-8", "surrogateescape")))
    return Response(status, tuple(headers), body)


def error_of(
    values: tuple[Any, ...], *, script: str, limits: Limits, trip: Trip | None, failure: PicloudError | None
) -> PicloudError:
    """Return the error of a run that ended with ("error", code, message, script, line, traceback).

    `failure` is the error of the run's last failed host call: when Lua let it through, it is the run's error.
    """
    _, raw_code, raw_message, raw_script, line, raw_traceback = values
    code, message = _text(raw_code), _text(raw_message)
    if failure is not None and code == failure.code and isinstance(failure, PlatformError):
        return failure
    if code == "bad_body":
        return InvalidInput(message[:1].upper() + message[1:] + ".")
    where: dict[str, Any] = {
        "script": _text(raw_script) or script,
        "line": int(line) or None,
        "traceback": tuple(_text(raw_traceback).splitlines()),
    }
    if code == "limit":
        if trip is Trip.INTERRUPT:
            return RunInterrupted(**where)
        return TimeLimitExceeded(f"The run took longer than {limits.timeout_s:g} s and was stopped.", **where)
    if code == "memory":
        mib = limits.memory_bytes // 2**20
        return MemoryLimitExceeded(f"The run needed more than {mib} MiB of memory and was stopped.", **where)
    return _ERRORS.get(code, ScriptRuntimeError)(message, **where)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
