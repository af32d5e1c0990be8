"""HTML whose every text is escaped: the one way markup gets into the panel. Pure."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterable

from picloud.errors import InvalidScript, PicloudError
from picloud.model.script import ScriptKind
from picloud.publishing.publisher import Plan

DIFF_LINES_MAX = 2000
"""Comparing takes quadratic time: longer texts are not compared."""
DIAGNOSTICS_SHOWN_MAX = 20


class Html(str):
    """Markup made by `tag`; any other text is escaped on its way into it."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Html:
    """Return an element; `class_` stands for `class`."""
    inner = "".join(child if isinstance(child, Html) else html.escape(child) for child in children)
    told = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{told}>{inner}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Return the parts as one, escaped where they are text."""
    return Html(html.escape(separator).join(p if isinstance(p, Html) else html.escape(p) for p in parts))


def badge(kind: ScriptKind) -> Html:
    """Return the badge of a kind."""
    return tag("span", str(kind), class_=f"picloud-badge picloud-{kind}")


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> Html:
    """Return a table; `caption` is for those who hear the page."""
    header = tag("tr", *(tag("th", name, scope="col") for name in head))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    return tag("table", tag("caption", caption), tag("thead", header), tag("tbody", *body), class_="picloud-table")


def hint(*sentences: str) -> Html:
    """Return what an empty place says."""
    return tag("p", *sentences, class_="picloud-hint")


def error(failure: PicloudError) -> Html:
    """Return an error as sentences: what is wrong with a script line by line, failed tests one below the other."""
    if not isinstance(failure, InvalidScript):
        return tag("div", failure.message, class_="picloud-error", role="alert")
    shown = failure.diagnostics[:DIAGNOSTICS_SHOWN_MAX]
    items = [tag("li", tag("b", f"{failure.name}, line {d.line}"), f": {d.message}") for d in shown]
    if len(failure.diagnostics) > len(shown):
        items.append(tag("li", f"and {len(failure.diagnostics) - len(shown)} more"))
    return tag("ul", *items, class_="picloud-error", role="alert")


def plan(planned: Plan) -> Html:
    """Return what a publish would do, in words and in order."""
    parts = (
        ("adds", planned.added),
        ("changes", planned.changed),
        ("removes", planned.removed),
        ("reaches", planned.affected),
    )
    items = [
        tag("li", tag("b", verb), f" {entry}", class_=f"picloud-{verb}") for verb, found in parts for entry in found
    ]
    return tag("ul", *items, class_="picloud-plan")


def diff(before: str, after: str) -> Html:
    """Return the lines that differ, with three around them."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > DIFF_LINES_MAX:
        return hint(f"{len(old)} and {len(new)} lines are too many to compare here.")
    lines = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    marks = {"+": "picloud-adds", "-": "picloud-removes", "@": "picloud-where"}
    return tag("pre", *(tag("span", f"{line}\n", class_=marks.get(line[:1], "")) for line in lines))


def details(summary: str, content: Html) -> Html:
    """Return content that is folded away under its summary."""
    return tag("details", tag("summary", summary), content)
