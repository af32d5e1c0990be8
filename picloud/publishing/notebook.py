"""Turns a notebook into a manifest. Outputs and markdown play no part, so a notebook can be published as committed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picloud.errors import InvalidInput, InvalidNotebook
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import Script
from picloud.model.trigger import Trigger
from picloud.publishing.annotated import annotated_endpoint
from picloud.publishing.cells import (
    AnnotatedCell,
    Cell,
    CommandCell,
    EndpointCell,
    ModuleCell,
    TestCell,
    TriggerCell,
    UseApp,
    parse_cell,
)

NOTEBOOK_MAX_BYTES = 32 * 1024 * 1024
NBFORMAT_MAJOR = 4


@dataclass(frozen=True, slots=True)
class Authored:
    """What notebooks define together."""

    manifest: Manifest
    app: str | None
    """The app they name with `%app`; None when they name none."""
    places: Mapping[str, str]
    """Which cell each entry comes from, by its name in a plan: `test greets` is from `cell 4 of a.ipynb`."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A cell of a notebook."""

    notebook: str | None
    """As errors call it; None when there is only one."""
    cell: int
    """1-based, markdown cells counted too, as JupyterLab shows them."""

    def __str__(self) -> str:
        return f"cell {self.cell}" if self.notebook is None else f"cell {self.cell} of {self.notebook}"

    def error(self, message: str) -> InvalidNotebook:
        """Return an error in this cell."""
        return InvalidNotebook(message, cell=self.cell, notebook=self.notebook)


def read_notebooks(paths: Iterable[Path]) -> Authored:
    """Return what notebook files and folders define together; raise `InvalidNotebook` that names file and cell.

    Of a folder these are all notebooks in it and below it whose language is Lua, by path; what is hidden and virtual
    environments are left out. A file that is met twice counts once.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _in_folder(path) if path.is_dir() else (path,):
            found.setdefault(file.resolve(), file)
    if not found:
        raise InvalidNotebook("There is no PiCloud notebook in this folder: give one that has .ipynb files.")
    if len(found) == 1:
        return author((None, load_notebook(path)) for path in found.values())
    return author((str(path), load_notebook(path)) for path in found.values())


def _in_folder(folder: Path) -> list[Path]:
    """Return the notebooks below a folder in the order of their paths; links to folders are not followed."""
    files = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_left_out(Path(root, name))]
        files += [Path(root, name) for name in names if name.endswith(".ipynb") and not name.startswith(".")]
    return [path for path in sorted(files, key=lambda path: path.parts) if _is_lua(load_notebook(path))]


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _is_lua(notebook: Mapping[str, Any]) -> bool:
    """Tell whether a notebook may be PiCloud's: a plot in Python beside the others is not published."""
    metadata = notebook.get("metadata")
    about = metadata.get("language_info") if isinstance(metadata, Mapping) else None
    language = about.get("name") if isinstance(about, Mapping) else None
    return not isinstance(language, str) or language.lower() == "lua"


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
    return _check_notebook(notebook, path.name)


def manifest_of(notebook: Mapping[str, Any]) -> Manifest:
    """Return all that a notebook (an nbformat 4 node or its JSON) defines.

    Raises `InvalidNotebook` with the 1-based number of the cell, counting markdown cells too, as JupyterLab shows them.
    """
    return author([(None, notebook)]).manifest


def author(notebooks: Iterable[tuple[str | None, Mapping[str, Any]]]) -> Authored:
    """Return what notebooks, each with the name its errors give it, define together; raise `InvalidNotebook`."""
    parts = _Parts()
    for name, notebook in notebooks:
        for place, cell in _cells(notebook, name):
            parts.add(place, cell)
    parts.add_annotated()
    if not parts.scripts:
        raise InvalidNotebook("There is nothing to publish: begin a cell with '%%endpoint' or '%%module'.")
    return Authored(parts.manifest(), parts.app[1] if parts.app else None, parts.places)


class _Parts:
    """What the cells read so far define, and in which cell."""

    def __init__(self) -> None:
        self.scripts: dict[str, tuple[Place, Script]] = {}
        self.tests: dict[str, tuple[Place, TestSource]] = {}
        self.routes: dict[tuple[str, str], tuple[Place, Route]] = {}
        self.triggers: list[tuple[Place, Trigger]] = []
        self.annotated: dict[tuple[str, str], list[tuple[Place, AnnotatedCell]]] = {}
        self.app: tuple[Place, str] | None = None

    def add(self, place: Place, cell: Cell) -> None:
        if isinstance(cell, ModuleCell | EndpointCell | TriggerCell):
            self._refuse_second(place, self.scripts.get(cell.script.name), f"the name {cell.script.name!r}")
            self.scripts[cell.script.name] = (place, cell.script)
        if isinstance(cell, EndpointCell):
            shape = (cell.route.method, cell.route.shape)
            self._refuse_second(place, self.routes.get(shape), f"the route {cell.route.method} {cell.route.pattern}")
            self.routes[shape] = (place, cell.route)
        if isinstance(cell, TriggerCell):
            self.triggers.append((place, cell.trigger))
        if isinstance(cell, TestCell):
            self._refuse_second(place, self.tests.get(cell.test.name), f"the test name {cell.test.name!r}")
            self.tests[cell.test.name] = (place, cell.test)

        if isinstance(cell, AnnotatedCell):
            self.annotated.setdefault((cell.method, cell.pattern), []).append((place, cell))
        for command in cell.commands if isinstance(cell, CommandCell) else ():
            if isinstance(command, UseApp):
                self._use_app(place, command.name)

    def add_annotated(self) -> None:
        """Add the endpoints that annotated cells make together, once all cells are there."""
        for found in self.annotated.values():
            place = found[0][0]
            try:
                endpoint = annotated_endpoint([cell for _, cell in found])
            except InvalidInput as error:
                raise place.error(error.message) from error
            self.add(place, endpoint)

    @property
    def places(self) -> dict[str, str]:
        """Which cell each entry comes from, by its name in a plan."""
        found = {f"{script.kind} {name}": place for name, (place, script) in self.scripts.items()}
        found |= {f"route {route.method} {route.pattern}": place for place, route in self.routes.values()}
        found |= {f"trigger {trigger.name}": place for place, trigger in self.triggers}
        found |= {f"test {name}": place for name, (place, _) in self.tests.items()}
        return {entry: str(place) for entry, place in found.items()}

    def _use_app(self, place: Place, name: str) -> None:
        if self.app is not None and self.app[1] != name:
            raise place.error(
                f"'%app {name}' follows '%app {self.app[1]}' in {self.app[0]}: what is published together goes to one "
                "app."
            )
        self.app = self.app or (place, name)

    @staticmethod
    def _refuse_second(place: Place, earlier: tuple[Place, object] | None, what: str) -> None:
        if earlier is None:
            return
        as_other = ""
        if isinstance(earlier[1], Route):
            as_other = f" as {earlier[1].method} {earlier[1].pattern}"
        raise place.error(f"{what} is already taken by {earlier[0]}{as_other}: change one of them.")

    def manifest(self) -> Manifest:
        return Manifest(
            scripts=tuple(script for _, (_, script) in sorted(self.scripts.items())),
            routes=tuple(sorted(route for _, route in self.routes.values())),
            tests=tuple(test for _, (_, test) in sorted(self.tests.items())),
            triggers=tuple(sorted((trigger for _, trigger in self.triggers), key=lambda trigger: trigger.name)),
        )


def _cells(notebook: Mapping[str, Any], name: str | None) -> Iterator[tuple[Place, Cell]]:
    """Yield the code cells, parsed, with their places."""
    for number, cell in enumerate(_check_notebook(notebook, name)["cells"], start=1):
        place = Place(name, number)
        source = _source(cell, place)
        if source is None:
            continue
        try:
            yield place, parse_cell(source)
        except InvalidInput as error:
            raise place.error(error.message) from error


def _check_notebook(notebook: object, name: str | None) -> Mapping[str, Any]:
    """Return the notebook when it is one; its error names it."""
    if not isinstance(notebook, Mapping) or "nbformat" not in notebook:
        raise InvalidNotebook("This is not a Jupyter notebook: it has no 'nbformat'.", notebook=name)
    if notebook["nbformat"] != NBFORMAT_MAJOR:
        raise InvalidNotebook(
            f"The notebook has format {str(notebook['nbformat'])[:20]}, and only {NBFORMAT_MAJOR} can be published: "
            "open it in JupyterLab and save it again.",
            notebook=name,
        )
    if not isinstance(notebook.get("cells"), list):
        raise InvalidNotebook("This is not a Jupyter notebook: it has no list of cells.", notebook=name)
    return notebook


def _source(cell: object, place: Place) -> str | None:
    """Return a code cell's text, None for other cells; nbformat allows one string or a list of lines."""
    if not isinstance(cell, Mapping) or not isinstance(cell.get("cell_type"), str):
        raise place.error("this is not a notebook cell: it has no 'cell_type'.")
    if cell["cell_type"] != "code":
        return None
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if not isinstance(source, str):
        raise place.error("this is not a code cell: its 'source' is not text.")
    return source
