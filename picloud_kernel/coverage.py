"""How coverage looks in a notebook: a table, and each script's text with its lines marked."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from picloud.engine.coverage import ScriptCoverage
from picloud_kernel.display import Bundle, columns, text

ANNOTATED_LINES_MAX: Final = 5000
"""Lines of a script whose text is shown; the table has the figures of longer ones."""

_PRE: Final = "margin: 0.3em 0 0.6em; padding: 0"
_LINE: Final = "padding-left: 0.6em; border-left: 4px solid"
_REACHED: Final = f"{_LINE} var(--md-green-600, green)"
_MISSING: Final = f"{_LINE} var(--md-red-600, red); background: rgba(244, 67, 54, 0.15)"
_NEITHER: Final = f"{_LINE} transparent"
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
    return Bundle({"text/plain": columns(rows), "text/html": _table(rows) + sources})


def percent(part: int, whole: int) -> str:
    """Return a whole percentage: 100 % is all, 0 % is none, `-` is of nothing."""
    return f"{max(100 * part // whole, min(part, 1))} %" if whole else "-"


def _row(script: ScriptCoverage) -> tuple[str, ...]:
    reached, total = len(script.reached), len(script.lines)
    missing = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in script.missing)
    return script.script.name, str(script.script.kind), f"{reached}/{total}", percent(reached, total), missing


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (
        f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)}</tr>"
        for row, tag in zip(rows, ("th", *("td" for _ in rows[1:])), strict=True)
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _annotated(script: ScriptCoverage) -> str:
    title = html.escape(f"{script.script.kind} {script.script.name}, {percent(len(script.reached), len(script.lines))}")
    lines = script.script.source.split("\n")
    if len(lines) > ANNOTATED_LINES_MAX:
        return f"<div>{title}: too long to show its text here</div>"
    width = len(str(len(lines)))
    marks = dict.fromkeys(script.lines, _MISSING) | dict.fromkeys(script.reached, _REACHED)
    marked = (
        f'<span style="{marks.get(number, _NEITHER)}">{number:>{width}}  {html.escape(line)}</span>'
        for number, line in enumerate(lines, 1)
    )
    joined = "\n".join(marked)
    return f'<details><summary>{title}</summary><pre style="{_PRE}">{joined}</pre></details>'
