"""How a failure looks in a notebook: a Jupyter error with the script's lines and no Python frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from picloud.errors import InvalidScript, PicloudError, ScriptError, TestsFailed

CONTEXT_LINES = 2
DIAGNOSTICS_SHOWN_MAX = 10

_RED = "\x1b[31m"
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"

SourceOf = Callable[[str], str | None]
"""The text of a script of this session by its name; None when the session does not have it."""


@dataclass(frozen=True, slots=True)
class Report:
    """The three parts of a Jupyter error."""

    name: str
    """The error's stable code."""
    message: str
    traceback: tuple[str, ...]
    """Lines with ANSI colors; all that front ends show."""


def report(error: PicloudError, source_of: SourceOf) -> Report:
    """Return what to show of an error a cell ended with."""
    lines = [f"{_RED}{error.code}{_RESET}: {error.message}"]
    cause = _script_error(error)
    if isinstance(error, InvalidScript):
        for diagnostic in error.diagnostics[:DIAGNOSTICS_SHOWN_MAX]:
            lines += ["", *_excerpt(error.name, diagnostic.line, source_of)]
    elif cause is not None:
        lines += _script_lines(cause, source_of)
    return Report(error.code, error.message, tuple(lines))


def internal_report() -> Report:
    """Return what to show when PiCloud itself is at fault."""
    message = (
        "PiCloud failed; this is a defect of PiCloud, not of the cell. The log of the Jupyter server has the cause."
    )
    return Report("internal_error", message, (f"{_RED}internal_error{_RESET}: {message}",))


def _script_error(error: PicloudError) -> ScriptError | None:
    if isinstance(error, ScriptError):
        return error
    if isinstance(error, TestsFailed) and isinstance(error.__cause__, ScriptError):
        return error.__cause__
    return None


def _script_lines(error: ScriptError, source_of: SourceOf) -> list[str]:
    lines = []
    if error.script is not None and error.line is not None:
        lines += ["", *_excerpt(error.script, error.line, source_of)]
    if error.traceback:
        lines += ["", *(f"  {frame}" for frame in error.traceback)]
    return lines


def _excerpt(script: str, line: int, source_of: SourceOf) -> list[str]:
    """Return `script, line N` and the source around the line, the line itself marked."""
    where = f"{_BOLD}{script}, line {line}{_RESET}"
    source = (source_of(script) or "").split("\n")
    if not 0 < line <= len(source):
        return [where]
    first, last = max(1, line - CONTEXT_LINES), min(len(source), line + CONTEXT_LINES)
    width = len(str(last))
    return [
        where,
        *(
            f"{_RED}-->{_RESET} {number:>{width}} | {source[number - 1]}"
            if number == line
            else f"    {number:>{width}} | {source[number - 1]}".rstrip()
            for number in range(first, last + 1)
        ),
    ]
