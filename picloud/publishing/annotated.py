"""Cells in the manner of Jupyter Kernel Gateway's notebook-http mode: `-- GET /path` and `-- ResponseInfo GET /path`.

They become an endpoint of ours by text alone: the cells' lines inside functions, line for line, and below them what
calls these. So what is live is what the source view shows, and an error's line is that of the cell, counted through
cells of the same annotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.route import Route
from picloud.model.script import SCRIPT_NAME, Script, ScriptKind
from picloud.publishing.cells import AnnotatedCell, EndpointCell

_HEAD: Final = "local function handler(...) "
_SERVE: Final = (files("picloud.publishing") / "annotated.lua").read_text(encoding="utf-8")


def annotated_endpoint(cells: Sequence[AnnotatedCell]) -> EndpointCell:
    """Return the endpoint that cells of one annotation make together, in their order; raise `InvalidInput`.

    It is called `METHOD` and the path's segments with blanks in between, as `GET users :id`: no path has blanks.
    """
    first = cells[0]
    handlers = [cell.source for cell in cells if not cell.is_response_info]
    if not handlers:
        raise InvalidInput(
            f"'-- ResponseInfo {first.method} {first.pattern}' says how to answer, but no cell begins with "
            f"'-- {first.method} {first.pattern}': write that one too."
        )
    infos = [cell.source for cell in cells if cell.is_response_info]
    source = f"{_HEAD}{_joined(handlers)}\nend\n"
    source += f"local function response_info(...) {_joined(infos)}\nend\n" if infos else "local response_info = nil\n"
    name = " ".join((first.method, *Route(first.method, first.pattern, "").segments))
    if not SCRIPT_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} is too long to name an endpoint: begin the cell with '%%endpoint NAME METHOD PATH' instead."
        )
    script = Script(name, ScriptKind.ENDPOINT, source + _SERVE)
    return EndpointCell(script, Route(first.method, first.pattern, name))


def is_annotated(script: Script) -> bool:
    """Tell whether a script was made of annotated cells."""
    return script.source.startswith(f"{_HEAD}--")


def _joined(sources: Sequence[str]) -> str:
    return "\n".join(source.rstrip("\n") for source in sources)
