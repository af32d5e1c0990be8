"""`regex`: regular expressions in linear time (RE2).

A search runs in C without the interpreter's lock and cannot be interrupted, so what one call may do is bounded: by the
size of the text times that of the compiled pattern for one search, and by a slice of time for many. What takes more
slices is asked for again from Lua, where the limits of the run apply; only positions cross, packed in one string.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Final

import re2

from picloud.errors import InvalidInput
from picloud.sdk.run import Run
from picloud.sdk.spec import Namespace, Rows, Value, made_in_lua

regex = Namespace(
    "regex",
    "Regular expressions as [RE2](https://github.com/google/re2/wiki/Syntax) reads them: what Perl has except "
    "back-references and look-around, and each search takes time linear in the text. Positions are bytes counted "
    "from 1, as in Lua's `string` functions. Pattern and text are UTF-8; with `bytes` both are any bytes, each "
    "one character.\n\n"
    "A match is a table: `text`; `start` and `stop`, its first and last byte, where an empty match has `stop = "
    "start - 1`; `groups`, a list of what each group matched, false for a group that took no part; `named`, the "
    "same by name, without those groups, the first of one name. `spans`, with the option of that name, has `{ "
    "start = ..., stop = ... }` for each group, or false.\n\n"
    "Functions that find many matches go from left to right; an empty match right after another does not count.",
    lua=resources.files("picloud.sdk").joinpath("regex.lua").read_text(encoding="utf-8"),
)

PATTERN_MAX_BYTES: Final = 4096
"""Bytes of a pattern."""
GROUPS_MAX: Final = 100
"""Groups in a pattern."""
PROGRAM_MAX_BYTES: Final = 1024 * 1024
"""Memory RE2 may use for a pattern, its caches included."""
PATTERNS_MAX: Final = 128
"""Compiled patterns a process keeps."""
WORK_MAX: Final = 2**28
"""Bytes of text times instructions of the pattern, more with many groups: 1.2 s at worst, 1 ms at best."""
SLICE_S: Final = 0.02
"""Seconds one call looks for further matches."""
SLICE_MATCHES: Final = 10_000
"""Matches one call returns."""

_GROUPS_PER_WORK: Final = 50
"""Groups that double the cost of an instruction."""
_FLAGS: Final = {"i": "ignore_case", "m": "multiline", "s": "dot_all", "l": "longest", "b": "bytes"}
_REASONS: Final = {
    "invalid escape sequence": "there is no such escape (nor are there back-references)",
    "invalid character class": "there is no such character class",
    "invalid character class range": "there is no such range or character class",
    "missing ]": "']' is missing",
    "missing )": "')' is missing",
    "unexpected )": "')' has no '('",
    "trailing \\": "it ends with a lone '\\'",
    "no argument for repetition operator": "there is nothing to repeat",
    "invalid repetition size": "more than 1000 repetitions, also counting those within each other",
    "bad repetition operator": "two repetitions follow each other",
    "invalid perl operator": "there is no such group or flag (nor is there look-around)",
    "invalid UTF-8": "it is not UTF-8 text: use the option 'bytes' for any bytes",
    "invalid named capture group": "the name of a group must be letters, digits and '_'",
    "pattern too large - compile failed": "it takes too much memory: use fewer or smaller repetitions and classes",
}
_SYNTAX: Final = {
    "invalid_input": f"the pattern is not one, is longer than {PATTERN_MAX_BYTES} bytes or too large for the text, or "
    "the text is not UTF-8; the message says which"
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern."""

    search: Any
    """Takes text, start and end; returns the match or None."""
    groups: int
    size: int
    """Instructions, weighted with what groups add to their cost."""
    names: tuple[tuple[bytes, int], ...]
    """Names of groups, with their numbers, in the order of those."""
    utf8: bool


@lru_cache(maxsize=PATTERNS_MAX)
def compiled(pattern: bytes, flags: str) -> Pattern:
    """Compile a pattern; `flags` are keys of `_FLAGS`. Raises `InvalidInput`."""
    if len(pattern) > PATTERN_MAX_BYTES:
        raise InvalidInput(f"the pattern is longer than {PATTERN_MAX_BYTES} bytes")
    inline = "".join(flag for flag in "ims" if flag in flags)
    text = f"(?{inline})".encode() + pattern if inline else pattern
    try:
        found = re2.compile(text, _options(flags))
    except re2.error as error:
        raise InvalidInput(_reason(error.args[0], as_bytes="b" in flags)) from None
    finally:
        re2.purge()  # it has a cache of its own
    if found.groups > GROUPS_MAX:
        raise InvalidInput(
            f"the pattern has more than {GROUPS_MAX} groups: write (?:...) for those that capture nothing"
        )
    names = sorted(((bytes(name), int(number)) for name, number in found.groupindex.items()), key=lambda item: item[1])
    size = found.programsize * (_GROUPS_PER_WORK + found.groups) // _GROUPS_PER_WORK
    return Pattern(found.search, found.groups, size, tuple(names), "b" not in flags)


def _options(flags: str) -> Any:
    options = re2.Options()
    options.max_mem = PROGRAM_MAX_BYTES
    options.log_errors = False
    options.longest_match = "l" in flags
    if "b" in flags:
        options.encoding = re2.Options.Encoding.LATIN1
    return options


def _reason(error: bytes | str, *, as_bytes: bool) -> str:
    text = error.decode("utf-8", "replace") if isinstance(error, bytes) else error
    kind, _, part = text.partition(": ")
    if as_bytes:  # RE2 tells each byte as a character of Latin-1
        part = part.encode("latin-1", "replace").decode("utf-8", "replace")
    reason = _REASONS.get(kind, "it is not a valid expression")
    return f"the pattern cannot be used: {reason}" + (f" (near '{part[:40]}')" if part else "")


IgnoreCase = Annotated[bool, "let letters match both cases"]
Multiline = Annotated[bool, "let ^ and $ match at the start and end of lines too"]
DotAll = Annotated[bool, "let . match newlines too"]
Longest = Annotated[bool, "of the matches that start leftmost take the longest, not the one Perl would"]
Bytes = Annotated[bool, "take pattern and text as bytes, each one character, instead of UTF-8"]
Spans = Annotated[bool, "give the positions of groups too"]


@regex.function(returns="whether there is a match", errors=_SYNTAX, example='regex.test("^[a-z]+$", "abc") --> true')
def test(
    pattern: Annotated[bytes, "what to look for"], text: Annotated[bytes, "where"], *,
    ignore_case: IgnoreCase = False, multiline: Multiline = False, dot_all: DotAll = False, longest: Longest = False,
    bytes: Bytes = False,  # noqa: A002
) -> bool:  # fmt: skip
    """Tell whether a pattern matches anywhere in a text; `^` and `$` tie it to start and end."""
    given = zip("imslb", (ignore_case, multiline, dot_all, longest, bytes), strict=True)
    found = compiled(pattern, "".join(flag for flag, on in given if on))
    _check(found, text)
    return found.search(text) is not None


@regex.function(
    returns="the match; nil when there is none",
    errors=_SYNTAX,
    example=r"""
    regex.match("(\\w+)@(?P<host>\\w+)", "to ann@home").named.host --> "home"
    regex.match("(\\w+)@(?P<host>\\w+)", "to ann@home").start --> 4
    """,
    lua="match",
)
def match(
    pattern: Annotated[bytes, "what to look for"], text: Annotated[bytes, "where"], *,
    ignore_case: IgnoreCase = False, multiline: Multiline = False, dot_all: DotAll = False, longest: Longest = False,
    bytes: Bytes = False, spans: Spans = False,  # noqa: A002
) -> Value | None:  # fmt: skip
    """Find the first match."""
    return made_in_lua(pattern, text, ignore_case, multiline, dot_all, longest, bytes, spans)


@regex.function(
    returns="a list of matches, in order",
    errors=_SYNTAX,
    example=r'#regex.find_all("\\d+", "1 22 333") --> 3',
    lua="find_all",
)
def find_all(
    pattern: Annotated[bytes, "what to look for"], text: Annotated[bytes, "where"], *,
    max: Annotated[int | None, "the most matches to find, 1 or more; all when left out"] = None,  # noqa: A002
    ignore_case: IgnoreCase = False, multiline: Multiline = False, dot_all: DotAll = False, longest: Longest = False,
    bytes: Bytes = False, spans: Spans = False,  # noqa: A002
) -> Rows:  # fmt: skip
    """Find all matches that do not overlap.

    Each search is linear, but a pattern that looks at the whole rest of the text for every match takes quadratic time
    in all; the limits of the run end it.
    """
    return made_in_lua(pattern, text, max, ignore_case, multiline, dot_all, longest, bytes, spans)


@regex.function(
    returns="the new text, and how often it was replaced",
    errors={**_SYNTAX, "invalid_input": _SYNTAX["invalid_input"] + "; a replacement that names a group there is not"},
    example=r"""
    regex.replace("(\\w+) (?P<last>\\w+)", "Ada Lovelace", "%{last}, %1") --> "Lovelace, Ada"
    regex.replace("\\d+", "1 and 2", function(m) return 2 * m.text end) --> "2 and 4"
    """,
    lua="replace",
)
def replace(
    pattern: Annotated[bytes, "what to look for"], text: Annotated[bytes, "where"],
    replacement: Annotated[
        Value,
        "a text, where %0 stands for the match, %1 to %9 and %{name} or %{number} for a group, empty for one that took "
        "no part, and %% for '%'; or a function that gets the match and returns a text or a number, nil to leave it",
    ], *,
    max: Annotated[int | None, "the most replacements, 1 or more; all when left out"] = None,  # noqa: A002
    ignore_case: IgnoreCase = False, multiline: Multiline = False, dot_all: DotAll = False, longest: Longest = False,
    bytes: Bytes = False,  # noqa: A002
) -> tuple[str, int]:  # fmt: skip
    """Replace matches."""
    return made_in_lua(pattern, text, replacement, max, ignore_case, multiline, dot_all, longest, bytes)


@regex.function(
    returns="a list of the texts between matches, one more than there are splits",
    errors=_SYNTAX,
    example=r'regex.split("\\s*,\\s*", "a , b,c")[2] --> "b"',
    lua="split",
)
def split(
    pattern: Annotated[bytes, "what lies between the pieces"], text: Annotated[bytes, "what to cut"], *,
    max: Annotated[int | None, "the most splits, 1 or more; the last piece holds the rest"] = None,  # noqa: A002
    ignore_case: IgnoreCase = False, multiline: Multiline = False, dot_all: DotAll = False, longest: Longest = False,
    bytes: Bytes = False,  # noqa: A002
) -> list[bytes]:  # fmt: skip
    """Cut a text at each match. An empty match cuts between two characters, not at the start or end of the text."""
    return made_in_lua(pattern, text, max, ignore_case, multiline, dot_all, longest, bytes)


@regex.function(returns="the pattern", example=r'regex.escape("1+1=2?") --> "1\\+1\\=2\\?"')
def escape(text: Annotated[bytes, "any text"]) -> bytes:
    """Make a pattern that matches a text and nothing else."""
    pattern: bytes = re2.escape(text)
    return pattern


@regex.primitive("regex.scan")
def scan(
    _run: Run, name: bytes, pattern: bytes, text: bytes, flags: bytes, at: int, last: int, most: int
) -> tuple[int, int, bytes, int, str]:
    """Look for matches from an offset on, `last` being where the match before ended, `name` that of the function.

    Return where to go on, or -1 at the end; where the last match ended; start and stop of each match and each of its
    groups, -1 for none, as integers of 4 bytes; the number of groups; their names as lines of number and name.
    """
    try:
        found = compiled(pattern, flags.decode("ascii"))
        if at == 0:
            _check(found, text)
    except InvalidInput as error:
        raise InvalidInput(f"{name.decode('ascii')}: {error.message}") from None
    at, last, spans = _matches(found, text, at, last, most)
    names = "\n".join(f"{number} {name.decode()}" for name, number in found.names)
    return at, last, spans, found.groups, names


def _matches(found: Pattern, text: bytes, at: int, last: int, most: int) -> tuple[int, int, bytes]:
    """Look for matches until there are `most`, or a slice of time is over."""
    spans = array("i")
    deadline = time.monotonic() + SLICE_S
    groups, size = range(found.groups + 1), 2 * (found.groups + 1) * min(most, SLICE_MATCHES)
    while at >= 0 and len(spans) < size:
        one = found.search(text, at)
        if one is None:
            return -1, last, spans.tobytes()
        start, stop = one.span()
        if start < stop or stop != last:
            for group in groups:
                spans.extend(one.span(group))
        last = stop
        at = stop if start < stop else _after(text, stop, utf8=found.utf8)
        if time.monotonic() > deadline:
            break
    return at, last, spans.tobytes()


def _after(text: bytes, at: int, *, utf8: bool) -> int:
    """Return where the next character begins, -1 when there is none and not even an end to look at."""
    at += 1
    while utf8 and at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
    return at if at <= len(text) else -1


def _check(pattern: Pattern, text: bytes) -> None:
    if len(text) * pattern.size > WORK_MAX:
        raise InvalidInput(
            f"the pattern is too large for a text of {len(text)} bytes: \\pL and the like, repetitions and groups make "
            "it so"
        )
    if pattern.utf8 and not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise InvalidInput("the text is not UTF-8: use the option 'bytes' for any bytes") from None
