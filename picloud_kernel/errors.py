"""How a failure looks in a notebook: a Jupyter error with the script's lines and no Python frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from picloud.engine.explain import Explanation, Place, excerpt
from picloud.engine.log import one_line
from picloud.errors import PicloudError, ScriptError, TestsFailed

_RED = "\x1b[31m"
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Report:
    """The three parts of a Jupyter error."""

    name: str
    """The error's stable code."""
    message: str
    traceback: tuple[str, ...]
    """Lines with ANSI colors; all that front ends show."""


def report(error: PicloudError, explain: Callable[[PicloudError], Explanation]) -> Report:
    """Return what to show of an error a cell ended with."""
    known = explain(_cause(error))
    first, *rest = (one_line(line) for line in error.message.split("\n"))
    lines = [f"{_RED}{error.code}{_RESET}: {first}", *rest, *_details(known)]
    return Report(error.code, error.message, tuple(lines))


def internal_report() -> Report:
    """Return what to show when PiCloud itself is at fault."""
    message = (
        "PiCloud failed; this is a defect of PiCloud, not of the cell. The log of the Jupyter server has the cause."
    )
    return Report("internal_error", message, (f"{_RED}internal_error{_RESET}: {message}",))


def _cause(error: PicloudError) -> PicloudError:
    """Return the script's error that a failed test is about, or the error itself."""
    if isinstance(error, TestsFailed) and isinstance(error.__cause__, ScriptError):
        return error.__cause__
    return error


def _details(known: Explanation) -> list[str]:
    """Return the rest of an explanation; where a test's values differ is shown above the error already."""
    lines = []
    for place in known.places:
        lines += ["", *_place(place)]
    if known.frames:
        lines += ["", *(f"  {frame}" for frame in known.frames)]
    if known.hint:
        lines += ["", f"{_BOLD}Hint:{_RESET} {known.hint}"]
    return lines


def _place(place: Place) -> list[str]:
    lines = [f"{_BOLD}{place.title}{_RESET}"]
    for mark, content in excerpt(place):
        if mark.strip():
            lines.append(f"{_RED}{mark}{_RESET} {content}".rstrip())
        elif content.endswith("^"):
            gutter, _, carets = content.partition("|")
            lines.append(f"{mark} {gutter}|{_RED}{carets}{_RESET}")
        else:
            lines.append(f"{mark} {content}".rstrip())
    return lines
