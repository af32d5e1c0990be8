"""How Lua values look in a notebook: text, expandable trees, and tables of records. Pure: values in, markup out."""

from __future__ import annotations

from collections.abc import Sequence

from picloud.model.value import Scalar, Table, Text, Value, inline, key_text, more_text
from picloud_kernel.markup import escaped, tag

ROWS_MAX = 200
COLUMNS_MAX = 50
OPEN_LEVELS = 2
"""How many levels of a tree are open at first."""
OPEN_ENTRIES_MAX = 12
"""Tables within a table with more entries are closed."""
PREVIEW_MAX = 80
"""Characters of a closed table."""
_STYLES = {"number": "number", "string": "text"}


def value_markup(value: Table) -> str:
    """Return a table: records as rows and columns, anything else as a tree."""
    return records(value) or tag("div", tree(value), "code")


def tree(value: Value, *, label: str = "", levels: int = OPEN_LEVELS) -> str:
    """Return a value as a tree; `label` is markup that stands before it, `levels` are open."""
    if not isinstance(value, Table) or not (value.items or value.fields or value.more):
        return tag("div", label + scalar(value))
    below = levels - 1 if len(value.items) + len(value.fields) <= OPEN_ENTRIES_MAX else 0
    summary = tag("summary", label + tag("span", escaped(_preview(value)), "quiet"))
    inner = [tree(item, label=_key(str(number)), levels=below) for number, item in enumerate(value.items, 1)]
    inner += [tree(item, label=_key(key_text(key)), levels=below) for key, item in value.fields]
    inner += [tag("div", escaped(more_text(value)), "quiet")] * bool(value.more)
    attributes = {"open": "open"} if levels > 0 else {}
    return tag("details", summary + tag("div", "".join(inner), "level"), **attributes)


def scalar(value: Value) -> str:
    """Return a value in one piece, colored by its type."""
    kind = "string" if isinstance(value, Text) else value.kind if isinstance(value, Scalar) else ""
    return tag("span", escaped(inline(value)), _STYLES.get(kind, "word" if kind else "quiet"))


def records(value: Table) -> str | None:
    """Return a list of flat records as an HTML table, None when it is something else or has too many columns."""
    items = [item for item in value.items if not (isinstance(item, Table) and item.more)]  # the last may be cut
    rows = [item.as_record() if isinstance(item, Table) else None for item in items]
    flat = [row for row in rows if row and not any(isinstance(cell, Table) for cell in row.values())]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if value.fields or not rows or len(flat) < len(rows) or len(names) > COLUMNS_MAX:
        return None
    right = {name for name in names if all(_is_number(row[name]) for row in flat if name in row)}
    return rows_markup(
        names,
        [[_cell(row.get(name)) for name in names] for row in flat[:ROWS_MAX]],
        right=[name in right for name in names],
        left_out=len(value.items) - len(flat[:ROWS_MAX]) + value.more,
    )


def rows_markup(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool], left_out: int = 0
) -> str:
    """Return cells of markup as a table below its titles; `right` tells which columns are aligned so."""
    sides = ["right" if flag else "left" for flag in right]
    head = "".join(tag("th", escaped(title), side) for title, side in zip(titles, sides, strict=True))
    body = "".join(
        tag("tr", "".join(tag("td", cell, side) for cell, side in zip(row, sides, strict=True))) for row in rows
    )
    table = tag("table", tag("thead", tag("tr", head)) + tag("tbody", body))
    if not left_out:
        return table
    return table + tag("div", f"{left_out} more {'row is' if left_out == 1 else 'rows are'} not shown", "note")


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, Text):
        return escaped(value.content + value.rest) if not value.is_binary else escaped(value.quoted)
    return tag("span", escaped(inline(value)), "" if _is_number(value) else "quiet")


def _is_number(value: Value) -> bool:
    return isinstance(value, Scalar) and value.kind == "number"


def _key(name: str) -> str:
    return tag("span", escaped(name)) + tag("span", ": ", "quiet")


def _preview(table: Table) -> str:
    text = inline(table)
    return text if len(text) <= PREVIEW_MAX else f"{text[:PREVIEW_MAX]}..."
