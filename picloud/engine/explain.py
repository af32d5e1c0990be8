"""Tell a person what is wrong with a script: where, with the lines around it and a caret, and what to do about it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from picloud.engine.hints import Mistake, SourceOf, hint_for
from picloud.engine.log import one_line
from picloud.engine.testing import expectation_of
from picloud.errors import ExpectationFailed, InvalidScript, PicloudError, ScriptError, ScriptSyntaxError
from picloud.lua.compiler import syntax_error
from picloud.model.expectation import Expectation
from picloud.syntax.caret import Span, call_span, line_of, runtime_span, syntax_span

CONTEXT_LINES = 2
LINE_SHOWN_MAX = 200
"""Characters of a line of source; a caret beyond them is not shown."""
DIAGNOSTICS_SHOWN_MAX = 10
MATCHERS = frozenset({"assert", "contains", "equals", "is_a", "is_falsy", "is_nil", "is_truthy", "matches", "raises"})
"""What fails an expectation, as the prelude has them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a script with what is around it."""

    script: str
    line: int
    lines: tuple[tuple[int, str], ...] = ()
    """Numbers and texts; nothing when the source is not at hand."""
    span: Span | None = None
    """The words at fault in the line."""

    @property
    def title(self) -> str:
        """`greet, line 3`."""
        return f"{one_line(self.script)}, line {self.line}"

    @property
    def caret(self) -> str | None:
        """Blanks and carets that stand below the words at fault."""
        content = dict(self.lines).get(self.line)
        if content is None or self.span is None or self.span.stop > LINE_SHOWN_MAX:
            return None
        before = "".join("\t" if c == "\t" else " " * _width(c) for c in content[: self.span.start])
        marked = sum(map(_width, content[self.span.start : self.span.stop]))
        return before + "^" * max(1, marked)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of an error."""

    code: str
    message: str
    details: tuple[str, ...]
    """Where what a test expected and what came differ, a line each."""
    places: tuple[Place, ...]
    hint: str | None
    frames: tuple[str, ...]
    """Who called whom, innermost first; nothing when that says no more than the place."""

    def text(self) -> str:
        """Return it all as text, without the code."""
        lines = [one_line(line) for line in self.message.split("\n")]
        lines += ["", *(f"  {line}" for line in self.details)] if self.details else []
        for place in self.places:
            lines += ["", *place_lines(place)]
        if self.frames:
            lines += ["", *(f"  {frame}" for frame in self.frames)]
        if self.hint:
            lines += ["", f"Hint: {self.hint}"]
        return "\n".join(lines)


def explain(
    error: PicloudError, source_of: SourceOf, *, modules: Iterable[str] = (), variables: Iterable[str] = ()
) -> Explanation:
    """Explain an error; `modules` and `variables` are names that may have been meant."""
    if isinstance(error, InvalidScript):
        return _invalid(error, source_of)
    if isinstance(error, ScriptError):
        return _failed(error, source_of, frozenset(modules), frozenset(variables))
    return Explanation(error.code, error.message, (), (), None, ())


def place_lines(place: Place) -> list[str]:
    """Return a place as text: its title, and its lines with an arrow and a caret."""
    return [place.title, *(f"{mark} {rest}".rstrip() for mark, rest in excerpt(place))]


def excerpt(place: Place) -> list[tuple[str, str]]:
    """Return the lines of a place: what marks each (`-->` the line at fault, blanks others), and what it shows."""
    if not place.lines:
        return []
    width = len(str(place.lines[-1][0]))
    shown = []
    for number, content in place.lines:
        mark = "-->" if number == place.line else "   "
        shown.append((mark, f"{number:>{width}} | {one_line(content[:LINE_SHOWN_MAX])}"))
        if number == place.line and place.caret is not None:
            shown.append(("   ", f"{'':>{width}} | {place.caret}"))
    return shown


def difference_lines(expectation: Expectation | None) -> tuple[str, ...]:
    """Return where what was expected and what came differ; nothing when a sentence says it all."""
    if expectation is None:
        return ()
    found = tuple(map(str, expectation.differences)) or expectation.text_diff
    return tuple(one_line(line) for line in found)


def _invalid(error: InvalidScript, source_of: SourceOf) -> Explanation:
    source = source_of(error.name)
    places, hint = [], None
    for diagnostic in error.diagnostics[:DIAGNOSTICS_SHOWN_MAX]:
        span = _span(ScriptSyntaxError.code, source, diagnostic.line, diagnostic.message)
        if span is None and source is not None and diagnostic.column > 1:
            span = _word_at(source, diagnostic.line, diagnostic.column)
        places.append(_place(error.name, diagnostic.line, source, span))
        line = source and line_of(source, diagnostic.line)
        hint = hint or hint_for(error.code, Mistake(diagnostic.message, line or "", diagnostic.line, source or ""))
    return Explanation(error.code, error.message, (), tuple(places), hint, ())


def _failed(error: ScriptError, source_of: SourceOf, modules: frozenset[str], variables: frozenset[str]) -> Explanation:
    source = None if error.script is None else source_of(error.script)
    place, line = None, None
    if error.script is not None and error.line is not None:
        line = source and line_of(source, error.line)
        place = _place(error.script, error.line, source, _span(error.code, source, error.line, error.message))
    mistake = Mistake(error.message, line or "", error.line or 0, source or "", variables, modules, source_of)
    frames = tuple(map(one_line, error.traceback))
    return Explanation(
        error.code,
        error.message,
        difference_lines(expectation_of(error)),
        () if place is None else (place,),
        hint_for(error.code, mistake),
        frames if len(frames) > 1 or place is None else (),
    )


def _place(script: str, line: int, source: str | None, span: Span | None) -> Place:
    lines = [] if source is None else source.split("\n")
    if not 0 < line <= len(lines):
        return Place(script, line)
    first, last = max(1, line - CONTEXT_LINES), min(len(lines), line + CONTEXT_LINES)
    return Place(script, line, tuple((number, lines[number - 1]) for number in range(first, last + 1)), span)


def _span(code: str, source: str | None, line: int, message: str) -> Span | None:
    if source is None:
        return None
    if code == ScriptSyntaxError.code:
        return syntax_span(source, line, message, lambda text: (found := syntax_error(text)) and found[1])
    if code == ExpectationFailed.code:
        return call_span(source, line, MATCHERS)
    return runtime_span(source, line, message)


def _word_at(source: str, line: int, column: int) -> Span | None:
    """Return the word at a column in bytes."""
    content = line_of(source, line)
    if content is None:
        return None
    start = len(content.encode("utf-8", "surrogatepass")[: column - 1].decode("utf-8", "replace"))
    stop = start
    while stop < len(content) and (content[stop].isalnum() or content[stop] == "_"):
        stop += 1
    return Span(start, max(stop, start + 1))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
