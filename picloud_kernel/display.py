"""How values and answers look in a notebook. Pure: values in, MIME bundles out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from picloud.engine.interactive import Echo
from picloud.model.http import Response
from picloud.model.value import Table, Text, Value
from picloud.model.value import plain as plain_text
from picloud.publishing.diff import Change
from picloud_kernel.markup import escaped, tag
from picloud_kernel.values import value_markup

TEXT_SHOWN_MAX = 10_000
"""Characters of a string."""
BODY_SHOWN_MAX_BYTES = 64 * 1024
PREVIEW_MAX_BYTES = 256 * 1024
"""Of a page or a picture, which a notebook keeps."""
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_PAGE_POLICY: Final = (
    '<!doctype html><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
"""What a page may load where a notebook shows it: nothing from elsewhere, so that a look at it tells nobody."""


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

    Tables are trees, or tables of HTML when they are lists of flat records; other values are text.
    """
    if not echoes:
        return None
    plain = "\n".join(_text_of(echo.value) for echo in echoes)
    values = [echo.value for echo in echoes]
    if not any(isinstance(value, Table) and (value.items or value.fields) for value in values):
        return text(plain)
    shown = [
        value_markup(value) if isinstance(value, Table) else tag("div", escaped(_text_of(value)), "code pre")
        for value in values
    ]
    return Bundle({"text/plain": plain, "text/html": tag("div", "".join(shown), "block")})


def response_bundle(response: Response) -> Bundle:
    """Return an answer to `%call`: status, headers, and the body, JSON indented, pages and pictures as they look."""
    status = f"{response.status} {_phrase(response.status)}".rstrip()
    headers = [f"{name}: {value}" for name, value in response.headers]
    body = _body_text(response)
    plain = "\n".join([status, *headers]) + (f"\n\n{body}" if body else "")
    style = "status-good" if response.status < 300 else "status-moved" if response.status < 400 else "status-bad"
    parts = [
        tag("div", escaped(status), style),
        tag("div", "".join(tag("div", escaped(header)) for header in headers), "note"),
        _preview(response) or (tag("pre", escaped(body), "pre") if body else ""),
    ]
    return Bundle({"text/plain": plain, "text/html": tag("div", "".join(parts), "block")})


def changes_bundle(head: str, changes: Sequence[Change]) -> Bundle:
    """Return a text and what changes, entry by entry: as unified diffs, in HTML folded away and coloured."""
    plain, rich = [head], [tag("pre", escaped(head), "pre")]
    for change in changes:
        more = [f"... {change.left_out} more lines"] if change.left_out else []
        plain.append("\n".join([change.entry, *change.lines, *more]))
        lines = "\n".join(map(_diff_line, (*change.lines, *more)))
        added, removed = (sum(line.startswith(sign) for line in change.lines) for sign in "+-")
        summary = tag("summary", f"{escaped(change.entry)} {tag('span', f'+{added} -{removed}', 'quiet')}")
        rich.append(tag("details", summary + tag("pre", lines, "pre")))
    return Bundle({"text/plain": "\n\n".join(plain), "text/html": tag("div", "".join(rich), "block")})


def _diff_line(line: str) -> str:
    style = {"+": "new", "-": "old", "@": "quiet"}.get(line[:1])
    return tag("span", escaped(line), style) if style else escaped(line)


def columns(rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Return rows of cells as aligned text."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(indent + line.rstrip() for line in lines)


def _text_of(value: Value) -> str:
    if isinstance(value, Text) and not value.is_binary:
        return plain_text(replace(value, content=value.content[:TEXT_SHOWN_MAX]))
    return plain_text(value)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _kind(response: Response) -> str:
    return dict(response.headers).get("content-type", "").partition(";")[0].strip().lower()


def _body_text(response: Response) -> str:
    if len(response.body) > BODY_SHOWN_MAX_BYTES:
        return f"({len(response.body)} bytes, too many to show here)"
    try:
        body = response.body.decode()
    except UnicodeDecodeError:
        return f"({len(response.body)} bytes of binary data)"
    if "json" in _kind(response):
        try:
            return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return body
    return body


def _preview(response: Response) -> str | None:
    """Return a picture, or a page with its source; its scripts do not run and nothing of it reaches the notebook."""
    kind = _kind(response)
    if not response.body or len(response.body) > PREVIEW_MAX_BYTES:
        return None
    if kind in PICTURES:
        source = f"data:{kind};base64,{base64.b64encode(response.body).decode()}"
        return tag("img", "", "picture", src=source, alt=f"A picture of {len(response.body)} bytes")
    if kind != "text/html":
        return None
    page = _PAGE_POLICY + response.body.decode("utf-8", "replace")
    source = tag("details", tag("summary", "source") + tag("pre", escaped(_body_text(response)), "pre"), "note")
    return tag("iframe", "", "frame", sandbox="", srcdoc=page, title="The page", loading="lazy") + source
