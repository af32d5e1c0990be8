"""What a run prints and logs: counted, cut at its limits, and handed on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from picloud.lua.limits import RunLimits
from picloud.lua.state import HostCalls, Scalar

Emit = Callable[[bytes, str, str], None]
"""Gets level, message and fields (JSON, or empty) of one line."""
Write = Callable[[str], None]

_LEVELS: Final = {b"debug": logging.DEBUG, b"info": logging.INFO, b"warn": logging.WARNING, b"error": logging.ERROR}
_ALERTS: Final = (b"warn", b"error")
KEPT_LINES_MAX: Final = 200
KEPT_BYTES_MAX: Final = 16 * 1024
"""Of the lines kept with the record of a run."""
_PRINT: Final = b"print"
"""The level of a printed line."""
_BREAKS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but the tab, what breaks lines, what shows text in another order than it is in, and halves of
surrogate pairs, which no encoding has."""
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r"}
ENTRY_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_script_log = logging.getLogger("picloud.script")


class Alert(str):
    """A line of `log.warn` or `log.error`, for those who show such lines apart from what is printed."""

    __slots__ = ()


class RunLog:
    """The lines of one run."""

    def __init__(self, limits: RunLimits, emit: Emit) -> None:
        self._limits = limits
        self._emit = emit
        self._lines = 0
        self._bytes = 0
        self.operations: HostCalls = {b"print": lambda text: self._add(_PRINT, text, b""), b"log": self._add}
        """The host calls that write to it; each answers whether the run has logged all it may."""

    def _add(self, level: bytes, message: bytes, fields: bytes) -> tuple[Scalar, ...]:
        self._lines += 1
        self._bytes += len(message) + len(fields)
        if self._lines > self._limits.log_lines or self._bytes > self._limits.log_bytes:
            self._emit(
                b"warn",
                f"(the run logged more than {self._limits.log_lines} lines or {self._limits.log_bytes} bytes: "
                "its further lines are left out)",
                "",
            )
            return (True,)
        self._emit(level, message.decode("utf-8", "replace"), fields.decode("utf-8", "replace"))
        return (False,)


class KeptLines:
    """The first lines of a run, for its record."""

    def __init__(self) -> None:
        self.lines: list[dict[str, str]] = []
        """With `level`, `message` and, when there are any, `fields` as JSON."""
        self.size_bytes = 0
        """What they hold, about."""

    def before(self, emit: Emit) -> Emit:
        """Return what keeps a line and hands it on."""

        def keep(level: bytes, message: str, fields: str) -> None:
            left = KEPT_BYTES_MAX - self.size_bytes
            if left > 0 and len(self.lines) < KEPT_LINES_MAX:
                self.lines.append(_line(level, message, fields, left))
            self.size_bytes += len(message) + len(fields)
            emit(level, message, fields)

        return keep


def _line(level: bytes, message: str, fields: str, left: int) -> dict[str, str]:
    """Return a line as it is kept, cut where it is longer than what is left; fields are kept whole or not at all."""
    line = {"level": level.decode(), "message": message if len(message) <= left else message[:left] + "…"}
    return line | {"fields": fields} if fields and len(message) + len(fields) <= left else line


def one_line(text: str) -> str:
    """Return a text for the server's log that looks like nothing but a part of its line; JSON stays the same JSON.

    Else a text from outside could make up lines of others, or rule the terminal that shows them.
    """
    return _BREAKS.sub(lambda found: _ESCAPES.get(found[0], f"\\u{ord(found[0]):04x}"), text)


class EntryFormatter(logging.Formatter):
    """Writes entries of the server's log so that nothing in one looks like another: further lines are set in.

    Errors can hold what a script or its caller wrote.
    """

    def __init__(self) -> None:
        super().__init__(ENTRY_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry, its traceback included."""
        return "\n  ".join(one_line(line) for line in super().format(record).split("\n"))


def to_logging(extra: Mapping[str, Any]) -> Emit:
    """Return what sends lines to the server's log; `extra` says whose they are."""

    def emit(level: bytes, message: str, fields: str) -> None:
        number = _LEVELS.get(level, logging.INFO)
        if _script_log.isEnabledFor(number):
            _script_log.log(number, "%s %s", one_line(message), one_line(fields), extra=extra)

    return emit


def to_text(write: Write) -> Emit:
    """Return what writes lines for a person, printed ones as they are, warnings and errors as an `Alert`."""

    def emit(level: bytes, message: str, fields: str) -> None:
        parts = (message,) if level == _PRINT else (level.decode().upper(), message, fields)
        line = " ".join(part for part in parts if part) + "\n"
        write(Alert(line) if level in _ALERTS else line)

    return emit
