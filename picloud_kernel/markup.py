"""HTML made of values that may hold anything: text is escaped, attributes are written here and nowhere else.

Outputs are read in JupyterLab, light or dark, and elsewhere without its style sheet: colors are Jupyter's variables
with a fallback, or the text's own color made paler.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Final

STYLES: Final[Mapping[str, str]] = {
    "block": "padding: 0.2em 0.4em",
    "code": "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px); "
    "line-height: 1.4",
    "pre": "margin: 0.4em 0; padding: 0; background: transparent; white-space: pre-wrap; overflow-wrap: anywhere",
    "source": "margin: 0.4em 0 0.8em; padding: 0; background: transparent; white-space: pre; overflow-x: auto",
    "quiet": "opacity: 0.65",
    "note": "opacity: 0.65; font-size: smaller",
    "status-good": "color: var(--jp-success-color1, #388e3c); font-weight: 600",
    "status-moved": "color: var(--jp-warn-color1, #f57c00); font-weight: 600",
    "status-bad": "color: var(--jp-error-color1, #d32f2f); font-weight: 600",
    "good": "color: var(--jp-success-color1, #388e3c)",
    "bad": "color: var(--jp-error-color1, #d32f2f)",
    "text": "color: var(--jp-mirror-editor-string-color, #ba2121)",
    "number": "color: var(--jp-mirror-editor-number-color, #080)",
    "word": "color: var(--jp-mirror-editor-keyword-color, #008000)",
    "level": "padding-left: 1.4em",
    "left": "text-align: left; vertical-align: top",
    "right": "text-align: right; vertical-align: top",
    "old": "background: rgba(220, 60, 60, 0.18)",
    "new": "background: rgba(60, 160, 80, 0.2)",
    "reached": "padding-left: 0.6em; border-left: 4px solid var(--jp-success-color1, #388e3c)",
    "missed": "padding-left: 0.6em; border-left: 4px solid var(--jp-error-color1, #d32f2f); "
    "background: rgba(220, 60, 60, 0.18)",
    "passed-by": "padding-left: 0.6em; border-left: 4px solid transparent",
    "frame": "border: 1px solid rgba(128, 128, 128, 0.4); width: 100%; height: 16em; background: white",
    "picture": "max-width: 100%; max-height: 30em",
}
"""Every style an output uses, by what it is for."""

_VOID: Final = frozenset({"img"})
"""Elements without an end."""


def tag(name: str, content: str, style: str = "", **attributes: str) -> str:
    """Return an element around markup; `style` names styles, separated by blanks. Values of attributes are escaped."""
    styles = "; ".join(STYLES[key] for key in style.split())
    pairs = {"style": styles, **attributes} if styles else attributes
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in pairs.items())
    return f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{content}</{name}>"


def escaped(content: str) -> str:
    """Return text as markup that shows it."""
    return html.escape(content)
