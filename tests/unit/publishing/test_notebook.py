"""Notebook to manifest: what is taken, what is skipped, and errors that name the cell."""

# mypy: allow-untyped-calls
# nbformat declares types, but not for these functions.

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from picloud.errors import InvalidNotebook
from picloud.publishing import notebook as module
from picloud.publishing.notebook import app_of, load_notebook, manifest_of, read_notebook

MODULE = "%%module greet\nreturn {}"
ENDPOINT = "%%endpoint hello GET /hello/:name\nreturn 1"


def notebook(*sources: str) -> dict[str, Any]:
    """Make a notebook of code cells; a source that begins with `md:` is markdown."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown" if source.startswith("md:") else "code", "source": source, "metadata": {}}
        for source in sources
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def test_module_endpoint_and_test_cells_make_the_manifest() -> None:
    manifest = manifest_of(
        notebook("md:# Title", "%app a", ENDPOINT, "%%test t\nassert(1)", MODULE, "return 1", "%%python\nimport os")
    )
    assert [script.name for script in manifest.scripts] == ["greet", "hello"]
    assert [(route.method, route.pattern, route.script) for route in manifest.routes] == [
        ("GET", "/hello/:name", "hello")
    ]
    assert [test.name for test in manifest.tests] == ["t"]


def test_an_nbformat_node_is_read_like_its_file(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell(MODULE + "\n-- ü")
    node = nbformat.v4.new_notebook(cells=[cell])
    path = tmp_path / "nb.ipynb"
    nbformat.write(node, path)  # writes the source as a list of lines
    assert read_notebook(path) == manifest_of(node)
    assert read_notebook(path).scripts[0].source == "return {}\n-- ü"


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (MODULE, "cell 3: the name 'greet' is already taken by cell 2"),
        ("%%endpoint greet GET /x\nreturn 1", "cell 3: the name 'greet' is already taken by cell 2"),
        ("%%modul x", "cell 3: There is no magic '%%modul'"),
        ("%%endpoint x get /\nreturn 1", "cell 3: get /: unknown method"),
    ],
)
def test_errors_name_the_cell_counting_markdown(second: str, sentence: str) -> None:
    with pytest.raises(InvalidNotebook) as caught:
        manifest_of(notebook("md:text", MODULE, second))
    assert caught.value.message.startswith(sentence)
    assert caught.value.cell == 3


def test_two_routes_of_one_shape_are_refused() -> None:
    with pytest.raises(InvalidNotebook) as caught:
        manifest_of(notebook(ENDPOINT, "%%endpoint other GET /hello/:who\nreturn 1"))
    assert caught.value.message == (
        "cell 2: the route GET /hello/:who is already taken by cell 1 as GET /hello/:name: change one of them."
    )


def test_one_shape_may_answer_two_methods() -> None:
    manifest = manifest_of(notebook(ENDPOINT, "%%endpoint other PUT /hello/:who\nreturn 1"))
    assert len(manifest.routes) == 2


def test_two_tests_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidNotebook, match="cell 3: the test name 't' is already taken by cell 2"):
        manifest_of(notebook(MODULE, "%%test t", "%%test t"))


@pytest.mark.parametrize("cells", [(), ("return 1",), ("md:text",), ("%%test t\nassert(1)",)])
def test_a_notebook_that_defines_nothing_is_refused(cells: tuple[str, ...]) -> None:
    """It would otherwise take the whole app away."""
    with pytest.raises(InvalidNotebook, match="nothing to publish"):
        manifest_of(notebook(*cells))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "has no 'nbformat'"),
        ({}, "has no 'nbformat'"),
        ({"nbformat": 3, "worksheets": []}, "has format 3, and only 4 can be published"),
        ({"nbformat": 5, "cells": []}, "has format 5"),
        ({"nbformat": 4}, "no list of cells"),
        ({"nbformat": 4, "cells": [1]}, "cell 1: this is not a notebook cell"),
        ({"nbformat": 4, "cells": [{"cell_type": "code"}]}, "cell 1: this is not a code cell"),
        ({"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}, "cell 1: this is not a code cell"),
    ],
)
def test_what_is_not_a_notebook_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidNotebook) as caught:
        manifest_of(value)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    "content", [b"", b"# text", b"\xff\xfe\x00", b"[" * 100_000], ids=["empty", "text", "binary", "deep"]
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(InvalidNotebook, match=r"x\.ipynb is not a Jupyter notebook"):
        read_notebook(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidNotebook, match="There is no file"):
        read_notebook(tmp_path / "none.ipynb")
    with pytest.raises(InvalidNotebook, match="cannot be read"):
        read_notebook(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTEBOOK_MAX_BYTES", 100)
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(notebook(MODULE)))
    with pytest.raises(InvalidNotebook, match="is larger than"):
        load_notebook(path)


def test_the_app_a_notebook_names() -> None:
    assert app_of(notebook("md:%app x", "%app blog\n%plan", MODULE, "%app blog")) == "blog"
    assert app_of(notebook(MODULE)) is None
    with pytest.raises(InvalidNotebook, match="cell 2: '%app b' follows '%app a'"):
        app_of(notebook("%app a", "%app b"))
