"""How coverage looks in a notebook: a table, and each script's text with its lines marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from picloud.engine.coverage import ScriptCoverage
from picloud_kernel.display import Bundle, columns, text
from picloud_kernel.markup import escaped, tag
from picloud_kernel.values import rows_markup

ANNOTATED_LINES_MAX: Final = 5000
"""Lines of a script whose text is shown; the table has the figures of longer ones."""

_HEAD: Final = ("script", "kind", "lines", "covered", "missing")


def coverage_bundle(scripts: Sequence[ScriptCoverage], *, annotated: bool = False) -> Bundle:
    """Return the table of what was reached of each script, in HTML with the scripts' text below when `annotated`."""
    if not scripts:
        return text("No script of the app was loaded.")
    rows = [_HEAD, *map(_row, scripts)]
    if len(scripts) > 1:
        reached, total = sum(len(s.reached) for s in scripts), sum(len(s.lines) for s in scripts)
        rows.append(("total", "", f"{reached}/{total}", percent(reached, total), ""))
    sources = "".join(map(_annotated, scripts)) if annotated else ""
    return Bundle({"text/plain": columns(rows), "text/html": tag("div", _table(rows) + sources, "block")})


def percent(part: int, whole: int) -> str:
    """Return a whole percentage: 100 % is all, 0 % is none, `-` is of nothing."""
    return f"{max(100 * part // whole, min(part, 1))} %" if whole else "-"


def _row(script: ScriptCoverage) -> tuple[str, ...]:
    reached, total = len(script.reached), len(script.lines)
    missing = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in script.missing)
    return script.script.name, str(script.script.kind), f"{reached}/{total}", percent(reached, total), missing


def _table(rows: Sequence[Sequence[str]]) -> str:
    titles, *body = rows
    cells = [list(map(escaped, row)) for row in body]
    return rows_markup(titles, cells, right=[title in ("lines", "covered") for title in titles])


def _annotated(script: ScriptCoverage) -> str:
    title = escaped(f"{script.script.kind} {script.script.name}, {percent(len(script.reached), len(script.lines))}")
    lines = script.script.source.split("\n")
    if len(lines) > ANNOTATED_LINES_MAX:
        return tag("div", f"{title}: too long to show its text here")
    width = len(str(len(lines)))
    marks = dict.fromkeys(script.lines, "missed") | dict.fromkeys(script.reached, "reached")
    marked = (
        tag("span", escaped(f"{number:>{width}}  {line}"), marks.get(number, "passed-by"))
        for number, line in enumerate(lines, 1)
    )
    return tag("details", tag("summary", title) + tag("pre", "\n".join(marked), "pre"))
