"""Turns a notebook into a manifest. Outputs and markdown play no part, so a notebook can be published as committed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from picloud.errors import InvalidInput, InvalidNotebook
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script
from picloud.publishing.cells import Cell, CommandCell, EndpointCell, ModuleCell, TestCell, UseApp, parse_cell

NOTEBOOK_MAX_BYTES = 32 * 1024 * 1024
NBFORMAT_MAJOR = 4


def read_notebook(path: Path) -> Manifest:
    """Return the manifest of a notebook file; raise `InvalidNotebook` that says what is wrong with file or cell."""
    return manifest_of(load_notebook(path))


def load_notebook(path: Path) -> Mapping[str, Any]:
    """Return a notebook file as nbformat's JSON object, not yet looked at cell by cell."""
    try:
        if path.stat().st_size > NOTEBOOK_MAX_BYTES:
            megabytes = NOTEBOOK_MAX_BYTES // (1024 * 1024)
            raise InvalidNotebook(f"{path.name} is larger than {megabytes} MiB: clear its outputs and save it again.")
        notebook = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InvalidNotebook(f"There is no file {path}: give the path of a notebook.") from None
    except OSError as error:
        raise InvalidNotebook(f"{path} cannot be read ({error.strerror}): give the path of a notebook.") from None
    except (ValueError, RecursionError):
        raise InvalidNotebook(f"{path.name} is not a Jupyter notebook: it is not JSON.") from None
    return _check_notebook(notebook)


def manifest_of(notebook: Mapping[str, Any]) -> Manifest:
    """Return all that a notebook (an nbformat 4 node or its JSON) defines.

    Raises `InvalidNotebook` with the 1-based number of the cell, counting markdown cells too, as JupyterLab shows them.
    """
    parts = _Parts()
    for number, cell in _cells(notebook):
        parts.add(number, cell)
    if not parts.scripts:
        raise InvalidNotebook(
            "The notebook defines nothing to publish: give it a cell that begins with '%%endpoint' or '%%module'."
        )
    return parts.manifest()


def app_of(notebook: Mapping[str, Any]) -> str | None:
    """Return the app the notebook names with `%app`; None when it names none, `InvalidNotebook` when it names two."""
    found: str | None = None
    for number, cell in _cells(notebook):
        for command in cell.commands if isinstance(cell, CommandCell) else ():
            if not isinstance(command, UseApp):
                continue
            if found not in (None, command.name):
                raise InvalidNotebook(
                    f"'%app {command.name}' follows '%app {found}': a notebook publishes to one app.", cell=number
                )
            found = command.name
    return found


class _Parts:
    """What the cells read so far define, and in which cell."""

    def __init__(self) -> None:
        self.scripts: dict[str, tuple[int, Script]] = {}
        self.tests: dict[str, tuple[int, TestSource]] = {}
        self.routes: dict[tuple[str, str], tuple[int, Route]] = {}

    def add(self, number: int, cell: Cell) -> None:
        if isinstance(cell, ModuleCell | EndpointCell):
            self._refuse_second(number, self.scripts.get(cell.script.name), f"the name {cell.script.name!r}")
            self.scripts[cell.script.name] = (number, cell.script)
        if isinstance(cell, EndpointCell):
            shape = (cell.route.method, cell.route.shape)
            self._refuse_second(number, self.routes.get(shape), f"the route {cell.route.method} {cell.route.pattern}")
            self.routes[shape] = (number, cell.route)
        if isinstance(cell, TestCell):
            self._refuse_second(number, self.tests.get(cell.test.name), f"the test name {cell.test.name!r}")
            self.tests[cell.test.name] = (number, cell.test)

    @staticmethod
    def _refuse_second(number: int, earlier: tuple[int, object] | None, what: str) -> None:
        if earlier is None:
            return
        as_other = ""
        if isinstance(earlier[1], Route):
            as_other = f" as {earlier[1].method} {earlier[1].pattern}"
        raise InvalidNotebook(
            f"{what} is already taken by cell {earlier[0]}{as_other}: change one of them.", cell=number
        )

    def manifest(self) -> Manifest:
        return Manifest(
            scripts=tuple(script for _, (_, script) in sorted(self.scripts.items())),
            routes=tuple(sorted(route for _, route in self.routes.values())),
            tests=tuple(test for _, (_, test) in sorted(self.tests.items())),
        )


def _cells(notebook: Mapping[str, Any]) -> Iterator[tuple[int, Cell]]:
    """Yield the code cells, parsed, with their numbers."""
    for number, cell in enumerate(_check_notebook(notebook)["cells"], start=1):
        source = _source(cell, number)
        if source is None:
            continue
        try:
            yield number, parse_cell(source)
        except InvalidInput as error:
            raise InvalidNotebook(error.message, cell=number) from error


def _check_notebook(notebook: object) -> Mapping[str, Any]:
    if not isinstance(notebook, Mapping) or "nbformat" not in notebook:
        raise InvalidNotebook("This is not a Jupyter notebook: it has no 'nbformat'.")
    if notebook["nbformat"] != NBFORMAT_MAJOR:
        raise InvalidNotebook(
            f"The notebook has format {str(notebook['nbformat'])[:20]}, and only {NBFORMAT_MAJOR} can be published: "
            "open it in JupyterLab and save it again."
        )
    if not isinstance(notebook.get("cells"), list):
        raise InvalidNotebook("This is not a Jupyter notebook: it has no list of cells.")
    return notebook


def _source(cell: object, number: int) -> str | None:
    """Return a code cell's text, None for other cells; nbformat allows one string or a list of lines."""
    if not isinstance(cell, Mapping) or not isinstance(cell.get("cell_type"), str):
        raise InvalidNotebook("this is not a notebook cell: it has no 'cell_type'.", cell=number)
    if cell["cell_type"] != "code":
        return None
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if not isinstance(source, str):
        raise InvalidNotebook("this is not a code cell: its 'source' is not text.", cell=number)
    return source
