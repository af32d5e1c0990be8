"""The one place that turns an error into an HTTP answer: status, headers and what may be told.

Two audiences: the caller of a published app must learn nothing of its script's inside; the author at the admin API
gets the script's message, for it is theirs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from picloud import errors

log = logging.getLogger("picloud.web")

STATUS: Mapping[type[BaseException], int] = {
    errors.CallerError: 400,
    errors.InvalidScript: 422,
    errors.InvalidRoute: 422,
    errors.InvalidTrigger: 422,
    errors.InvalidNotebook: 422,
    errors.TestsFailed: 422,
    errors.Unauthenticated: 401,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.BodyTooLarge: 413,
    errors.AppBusy: 503,
    errors.ScriptError: 500,
    errors.TimeLimitExceeded: 504,
    errors.CpuLimitExceeded: 504,
    errors.PlatformError: 500,
    errors.DatabaseUnavailable: 503,
    errors.DataPlaneUnavailable: 503,
    errors.ExecutorUnavailable: 503,
    errors.ExecutorLost: 502,
    BaseException: 500,
}
"""The status of each error class; a class without a line takes its nearest base's."""

AUTHORING_SCRIPT_STATUS = 422
"""A script error at the admin API: the script that was sent is at fault, not the server."""

SCRIPT_FAILED = "The script failed."
INTERNAL_CODE = "internal_error"
INTERNAL_MESSAGE = "PiCloud failed; the log has the cause under this request id."
RETRY_AFTER_S = 2


class Audience(Enum):
    """Who reads the answer."""

    CALLER = "caller"
    """Anybody who calls a published app."""
    AUTHOR = "author"
    """Who may write scripts, at the admin API."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """JSON: `{"error": {"code", "message", "request_id"}}`, at the admin API perhaps with `details`."""


def problem_of(error: BaseException, request_id: str, audience: Audience) -> Problem:
    """Return the answer for an error and write to the log what the answer leaves out."""
    problem = answer_to(error, request_id, audience)
    _log(error, request_id, problem.status)
    return problem


def answer_to(error: BaseException, request_id: str, audience: Audience) -> Problem:
    """Return the answer for an error."""
    status = _status(error, audience)
    content: dict[str, Any] = {"code": _code(error), "message": _message(error, audience), "request_id": request_id}
    if audience is Audience.AUTHOR and (details := _details(error)):
        content["details"] = details
    return Problem(status, _headers(error, status), json.dumps({"error": content}).encode())


def _status(error: BaseException, audience: Audience) -> int:
    if audience is Audience.AUTHOR and isinstance(error, errors.ScriptError):
        return AUTHORING_SCRIPT_STATUS
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, errors.PicloudError) else INTERNAL_CODE


def _message(error: BaseException, audience: Audience) -> str:
    if not isinstance(error, errors.PicloudError):
        return INTERNAL_MESSAGE
    if audience is Audience.CALLER and isinstance(error, errors.ScriptError):
        return SCRIPT_FAILED
    return error.message


def _details(error: BaseException) -> list[dict[str, Any]]:
    if isinstance(error, errors.InvalidScript):
        return [{"line": d.line, "column": d.column, "message": d.message} for d in error.diagnostics]
    if isinstance(error, errors.InvalidNotebook) and error.cell is not None:
        return [{"notebook": error.notebook, "cell": error.cell, "message": error.message}]
    if isinstance(error, errors.TestsFailed):
        return [asdict(failure) for failure in error.failures]
    if isinstance(error, errors.ScriptError):
        return [{"script": error.script, "line": error.line, "traceback": list(error.traceback)}]
    return []


def _headers(error: BaseException, status: int) -> tuple[tuple[str, str], ...]:
    headers = [("content-type", "application/json")]
    if isinstance(error, errors.MethodNotAllowed):
        headers.append(("allow", ", ".join(error.allow)))
    elif status == 401:
        headers.append(("www-authenticate", "Bearer"))
    elif status == 503:
        headers.append(("retry-after", str(RETRY_AFTER_S)))
    return tuple(headers)


def _log(error: BaseException, request_id: str, status: int) -> None:
    if isinstance(error, errors.CallerError):
        log.debug("request %s: %s", request_id, error, extra={"action": "refused", "status": status})
    elif isinstance(error, errors.ScriptError):
        where = "\n".join((f"{type(error).__name__}: {error.message}", *error.traceback))
        log.warning("request %s: script failed\n%s", request_id, where, extra={"action": "script_failed"})
    else:
        log.error("request %s failed", request_id, exc_info=error, extra={"action": "failed", "status": status})
