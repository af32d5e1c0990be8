"""The file an app is exported to: gzip of JSON Lines, each an object with one member that says what the line is.

The first line is the `header`, then come the rows of `TABLES` in their order, the `live` manifest, and the `end` with
how many lines there were and their SHA-256: a file that was cut off or changed on the way is refused. Equal apps make
equal lines.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import IO, Annotated, Any, Final

from pydantic import Field, ValidationError, create_model
from pydantic_core import to_json

from picloud.errors import InvalidInput
from picloud.publishing.app_rows import TABLES, Header, Json, Line

FORMAT: Final = 1
LINE_MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest row there can be, a value of 1 MiB of control characters, has 6 MiB."""

_FORMAT_OF_HEADER: Final = re.compile(rb'\{\s*"header"\s*:\s*\{\s*"format"\s*:\s*(\d{1,9})\s*[,}]')


class End(Line):
    """The last line."""

    lines: int
    """How many came before."""
    sha256: Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
    """Of them."""


_KINDS: Final[dict[str, Any]] = {"header": Header, **TABLES, "live": Json, "end": End}
_PLACES: Final = {name: place for place, name in enumerate(_KINDS)}
_FIELDS: Final[dict[str, Any]] = {name: (kind | None, None) for name, kind in _KINDS.items()}
_AnyLine = create_model("_AnyLine", __base__=Line, **_FIELDS)


class AppFileWriter:
    """Writes the lines of one file; `close` completes it."""

    def __init__(self, file: IO[bytes]) -> None:
        # Without name and time, so that equal lines make equal files.
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
        self._digest = hashlib.sha256()
        self._lines = 0

    def write(self, name: str, content: object) -> None:
        """Add a line."""
        line = to_json({name: content}) + b"\n"
        if len(line) > LINE_MAX_BYTES:
            raise InvalidInput(f"A row of {name} is larger than a file of an app can hold.")
        self._gzip.write(line)
        self._digest.update(line)
        self._lines += 1

    def close(self) -> str:
        """Write the last line; return the SHA-256 of all others."""
        digest = self._digest.hexdigest()
        self.write("end", End(lines=self._lines, sha256=digest))
        self._gzip.close()
        return digest


class AppFileReader:
    """Reads the lines of one file, checking each; what it raises for a file that is not one is `InvalidInput`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._gzip = gzip.GzipFile(mode="rb", fileobj=file)
        self._digest = hashlib.sha256()
        self._number = 0

    def header(self) -> Header:
        """Return the first line."""
        line = self._line()
        told = _FORMAT_OF_HEADER.match(line)
        if told is None:
            raise InvalidInput("it is no file that 'picloud app export' wrote.")
        if int(told[1]) != FORMAT:
            raise InvalidInput(
                f"it has format {int(told[1])} and this PiCloud reads format {FORMAT}: update the one that is older."
            )
        return self._parsed(line, "header")[1]  # type: ignore[no-any-return]

    def lines(self) -> Iterator[tuple[str, Any]]:
        """Yield what comes after the header, all but the end: the name of each line and what it holds.

        Before the last one has been taken the file may still turn out to be cut off.
        """
        last = "header"
        while last != "end":
            digest = self._digest.hexdigest()
            name, content = self._parsed(self._line(), last)
            if name == "end":
                self._check_end(content, digest)
            else:
                yield name, content
            last = name

    def _refused(self, problem: str) -> InvalidInput:
        """Return the error of a problem at the line that was read last."""
        return InvalidInput(f"line {self._number}: {problem}.")

    def _line(self) -> bytes:
        try:
            line = self._gzip.readline(LINE_MAX_BYTES + 1)
        except (EOFError, OSError, zlib.error) as error:  # gzip's own errors are of OSError
            if self._number == 0:
                raise InvalidInput("it is no file that 'picloud app export' wrote.") from error
            raise self._damaged() from error
        self._number += 1
        if not line.endswith(b"\n"):
            if len(line) > LINE_MAX_BYTES:
                raise self._refused(f"it is longer than {LINE_MAX_BYTES} bytes")
            raise self._damaged()
        self._digest.update(line)
        return line

    def _parsed(self, line: bytes, last: str) -> tuple[str, Any]:
        try:
            found = _AnyLine.model_validate_json(line)
        except ValidationError as error:
            raise self._refused(_finding(error)) from None
        [*names] = found.model_fields_set
        if len(names) != 1 or (content := getattr(found, names[0])) is None:
            raise self._refused("it must hold one thing")
        again = names[0] == last and names[0] not in TABLES and self._number > 1
        if again or _PLACES[names[0]] < _PLACES[last]:
            raise self._refused(f"{names[0]} cannot come after {last}")
        if names[0] == "end" and last != "live":
            raise self._refused("the file says nothing of what is live")
        return names[0], content

    def _check_end(self, end: End, digest: str) -> None:
        try:
            more = self._gzip.read(1)
        except (EOFError, OSError, zlib.error) as error:
            raise self._damaged() from error
        if more or end.lines != self._number - 1 or end.sha256 != digest:
            raise self._damaged()

    def _damaged(self) -> InvalidInput:
        return InvalidInput("it was cut off or changed after it was exported: export again.")


def _finding(error: ValidationError) -> str:
    """Say in one sentence what is wrong first, without a value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:100]
    return f"{where}: {first['msg']}" if where else first["msg"]
