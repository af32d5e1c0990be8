"""How values and answers look in a notebook. Pure: values in, MIME bundles out."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from picloud.engine.interactive import Echo
from picloud.model.http import Response
from picloud.publishing.diff import Change

TABLE_ROWS_MAX = 1000
TABLE_COLUMNS_MAX = 50
BODY_SHOWN_MAX_BYTES = 64 * 1024
EXACT_INTEGER_MAX = 2**53
"""Browsers read JSON numbers as doubles: integers beyond this would be shown wrong."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One output in all forms a front end may pick from."""

    data: dict[str, Any]
    """MIME type to content; `text/plain` is always there."""
    metadata: dict[str, Any] = field(default_factory=dict)


def text(content: str) -> Bundle:
    """Return plain text as a bundle."""
    return Bundle({"text/plain": content})


def echo_bundle(echoes: Sequence[Echo]) -> Bundle | None:
    """Return what a cell's last expression shows; None when it has no value.

    A single table becomes a JSON tree, or an HTML table when it is a list of flat records; several values are text.
    """
    if not echoes:
        return None
    plain = "\n".join(echo.text for echo in echoes)
    if len(echoes) > 1 or echoes[0].json is None or echoes[0].type != "table":
        return text(plain)
    value = json.loads(echoes[0].json)
    table = _table(value)
    if table is not None:
        return Bundle({"text/plain": plain, "text/html": table})
    if not _is_exact(value):
        return text(plain)
    return Bundle({"text/plain": plain, "application/json": value}, {"application/json": {"expanded": True}})


def response_bundle(response: Response) -> Bundle:
    """Return an answer to `%call`: status, headers, and the body, JSON indented."""
    status = f"{response.status} {_phrase(response.status)}".rstrip()
    headers = [f"{name}: {value}" for name, value in response.headers]
    body = _body_text(response)
    plain = "\n".join([status, *headers]) + (f"\n\n{body}" if body else "")
    color = "green" if response.status < 300 else "orange" if response.status < 400 else "red"
    rows = "".join(f"<div>{html.escape(header)}</div>" for header in headers)
    shown = f'<pre style="margin: 0.6em 0 0; padding: 0">{html.escape(body)}</pre>' if body else ""
    rich = (
        '<div style="padding: 0.2em 0.6em">'
        f'<div style="color: var(--md-{color}-700, {color}); font-weight: 600">{html.escape(status)}</div>'
        f'<div style="font-size: smaller; opacity: 0.75">{rows}</div>{shown}</div>'
    )
    return Bundle({"text/plain": plain, "text/html": rich})


def changes_bundle(head: str, changes: Sequence[Change]) -> Bundle:
    """Return a text and what changes, entry by entry: as unified diffs, in HTML folded away and coloured."""
    plain, rich = [head], [f"<pre>{html.escape(head)}</pre>"]
    for change in changes:
        more = [f"... {change.left_out} more lines"] if change.left_out else []
        plain.append("\n".join([change.entry, *change.lines, *more]))
        lines = "\n".join(map(_diff_line, (*change.lines, *more)))
        added, removed = (sum(line.startswith(sign) for line in change.lines) for sign in "+-")
        rich.append(
            f"<details><summary>{html.escape(change.entry)} "
            f'<span style="opacity: 0.75">+{added} -{removed}</span></summary><pre>{lines}</pre></details>'
        )
    return Bundle({"text/plain": "\n\n".join(plain), "text/html": "".join(rich)})


def _diff_line(line: str) -> str:
    color = {"+": "green", "-": "red", "@": "blue"}.get(line[:1])
    escaped = html.escape(line)
    return f'<span style="color: var(--md-{color}-700, {color})">{escaped}</span>' if color else escaped


def columns(rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Return rows of cells as aligned text."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(indent + line.rstrip() for line in lines)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _body_text(response: Response) -> str:
    if len(response.body) > BODY_SHOWN_MAX_BYTES:
        return f"({len(response.body)} bytes, too many to show here)"
    try:
        body = response.body.decode()
    except UnicodeDecodeError:
        return f"({len(response.body)} bytes of binary data)"
    if "json" in dict(response.headers).get("content-type", ""):
        try:
            return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return body
    return body


def _table(value: object) -> str | None:
    """Return a list of flat records as an HTML table, None when it is something else or too large for one."""
    if not isinstance(value, list) or not 0 < len(value) <= TABLE_ROWS_MAX:
        return None
    names: dict[str, None] = {}
    for record in value:
        if not isinstance(record, dict) or not record or any(isinstance(item, dict | list) for item in record.values()):
            return None
        names.update(dict.fromkeys(record))
    if len(names) > TABLE_COLUMNS_MAX:
        return None
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(record, name) for name in names)}</tr>" for record in value)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(record: dict[str, Any], name: str) -> str:
    if name not in record:
        return "<td></td>"
    value = record[name]
    return f"<td>{html.escape(value if isinstance(value, str) else json.dumps(value))}</td>"


def _is_exact(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_exact, value.values()))
    if isinstance(value, list):
        return all(map(_is_exact, value))
    return not isinstance(value, int) or abs(value) <= EXACT_INTEGER_MAX
