"""How the results of tests look in a notebook: a row each, and for one that failed what was expected and what came.

Durations are left out: a notebook's outputs are the same at every run.
"""

from __future__ import annotations

from collections.abc import Sequence

from picloud.engine.explain import Explanation, difference_lines, place_lines
from picloud.engine.testing import TestResult
from picloud.model.expectation import Expectation
from picloud.model.value import Table, Value, plain
from picloud_kernel.display import Bundle, columns
from picloud_kernel.markup import escaped, tag
from picloud_kernel.values import rows_markup, scalar, tree

_TITLES = ("test", "result", "assertions", "line")
_DIFF_STYLES = {"-": "old", "+": "new", "@": "quiet"}


def passed_bundle(result: TestResult) -> Bundle:
    """Return the line for a test that passed."""
    line = f"test {result.name}: passed, {_count(result.assertions)}"
    before, _, after = line.rpartition("passed")
    markup = escaped(before) + tag("span", "passed", "good") + escaped(after)
    return Bundle({"text/plain": line, "text/html": tag("div", markup, "block")})


def failed_bundle(result: TestResult) -> Bundle | None:
    """Return what a failed test expected and what came, None when its error says it all."""
    expectation = result.expectation
    if expectation is None:
        return None
    lines = [_failed_title(result, expectation)]
    for title, value in _sides(expectation):
        lines += [f"{title}:", *(f"  {line}" for line in plain(value).split("\n"))]
    lines += [f"  {line}" for line in difference_lines(expectation)]
    markup = tag("div", _failure(result, expectation), "block")
    return Bundle({"text/plain": "\n".join(lines), "text/html": markup})


def results_bundle(results: Sequence[tuple[TestResult, Explanation | None]]) -> Bundle:
    """Return many results as a table, the failed ones with their explanations below."""
    rows = [_row(result) for result, _ in results]
    failed = [(result, known) for result, known in results if known is not None]
    text = [columns([_TITLES, *rows]), *(f"test {result.name}: {known.text()}" for result, known in failed)]
    cells = [
        [escaped(name), tag("span", verdict, "good" if verdict == "passed" else "bad"), count, line]
        for name, verdict, count, line in rows
    ]
    table = rows_markup(_TITLES, cells, right=(False, False, True, True))
    parts = [table, *(_explained(result, known) for result, known in failed)]
    return Bundle({"text/plain": "\n\n".join(text), "text/html": tag("div", "".join(parts), "block")})


def _row(result: TestResult) -> tuple[str, str, str, str]:
    line = result.error.line if result.error is not None else None
    held = str(result.assertions) if result.passed or result.expectation else ""
    return result.name, "passed" if result.passed else "failed", held, "" if line is None else str(line)


def _explained(result: TestResult, known: Explanation) -> str:
    expectation = result.expectation
    message = tag("div", escaped(f"test {result.name}: {known.message}"), "status-bad")
    head = message if expectation is None else _failure(result, expectation)
    lines = [line for place in known.places for line in place_lines(place)]
    lines += [f"Hint: {known.hint}"] if known.hint else []
    return head + tag("pre", escaped("\n".join(lines)), "source")


def _failure(result: TestResult, expectation: Expectation) -> str:
    title = tag("div", escaped(_failed_title(result, expectation)), "status-bad")
    differences = expectation.differences
    if differences:
        rows = [[escaped(d.path), scalar(d.expected), scalar(d.actual)] for d in differences]
        found = rows_markup(("path", "expected", "got"), rows, right=(False, False, False))
        whole = "".join(_side(name, value) for name, value in _sides(expectation))
        return title + found + tag("details", tag("summary", "both tables") + whole, "note")
    if expectation.text_diff:
        lines = (
            tag("div", escaped(line) or "&nbsp;", _DIFF_STYLES.get(line[:1], "")) for line in expectation.text_diff
        )
        return title + tag("div", "- expected, + got", "note") + tag("pre", "".join(lines), "pre")
    return title + "".join(_side(name, value) for name, value in _sides(expectation))


def _side(title: str, value: Value) -> str:
    label = tag("span", f"{title}: ", "quiet")
    return tag("div", tree(value, label=label) if isinstance(value, Table) else label + scalar(value), "code")


def _sides(expectation: Expectation) -> list[tuple[str, Value]]:
    sides = (("expected", expectation.expected), ("got", expectation.actual))
    return [(title, value) for title, value in sides if value is not None]


def _failed_title(result: TestResult, expectation: Expectation) -> str:
    where = "" if result.error is None or result.error.line is None else f", line {result.error.line}"
    what = "assert" if expectation.matcher == "assert" else f"expect(...):{expectation.matcher}"
    held = f" after {_count(expectation.held)} that held" if expectation.held else ""
    return f"test {result.name}{where}: {what} failed{held}"


def _count(number: int) -> str:
    return f"{number} assertion{'' if number == 1 else 's'}"
