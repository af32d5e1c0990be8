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
from picloud.publishing.notebook import author, load_notebook, manifest_of, read_notebooks

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
    assert read_notebooks([path]).manifest == manifest_of(node)
    assert read_notebooks([path]).manifest.scripts[0].source == "return {}\n-- ü"


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
        read_notebooks([path])


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidNotebook, match="There is no file"):
        read_notebooks([tmp_path / "none.ipynb"])
    with pytest.raises(InvalidNotebook, match="no PiCloud notebook"):
        read_notebooks([tmp_path])


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTEBOOK_MAX_BYTES", 100)
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(notebook(MODULE)))
    with pytest.raises(InvalidNotebook, match="is larger than"):
        load_notebook(path)


def test_the_app_a_notebook_names() -> None:
    assert author([(None, notebook("md:%app x", "%app blog\n%plan", MODULE, "%app blog"))]).app == "blog"
    assert author([(None, notebook(MODULE))]).app is None
    with pytest.raises(InvalidNotebook, match="cell 2: '%app b' follows '%app a' in cell 1"):
        author([(None, notebook("%app a", "%app b"))])


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (MODULE, "b.ipynb, cell 2: the name 'greet' is already taken by cell 1 of a.ipynb: change one of them."),
        ("%%modul x", "b.ipynb, cell 2: There is no magic '%%modul'"),
        ("%app other", "b.ipynb, cell 2: '%app other' follows '%app blog' in cell 2 of a.ipynb"),
        ("%%test t\nassert(1)", "b.ipynb, cell 2: the test name 't' is already taken by cell 3 of a.ipynb"),
        (
            "%%endpoint x GET /hello/:a\nreturn 1",
            "b.ipynb, cell 2: the route GET /hello/:a is already taken by cell 4 of a.ipynb as GET /hello/:name",
        ),
    ],
)
def test_errors_in_several_notebooks_name_both_places(second: str, sentence: str) -> None:
    first = notebook(MODULE, "%app blog", "%%test t\nassert(1)", ENDPOINT)
    with pytest.raises(InvalidNotebook) as caught:
        author([("a.ipynb", first), ("b.ipynb", notebook("md:x", second))])
    assert caught.value.message.startswith(sentence)
    assert (caught.value.notebook, caught.value.cell) == ("b.ipynb", 2)


def test_where_each_part_comes_from() -> None:
    authored = author([("a.ipynb", notebook(MODULE)), ("b.ipynb", notebook("md:x", ENDPOINT, "%%test t\nassert(1)"))])
    assert authored.places == {
        "module greet": "cell 1 of a.ipynb",
        "endpoint hello": "cell 2 of b.ipynb",
        "route GET /hello/:name": "cell 2 of b.ipynb",
        "test t": "cell 3 of b.ipynb",
    }


def write(path: Path, *sources: str, language: str | None = "lua") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {} if language is None else {"language_info": {"name": language}}
    path.write_text(json.dumps({**notebook(*sources), "metadata": metadata}))
    return path


def test_a_folder_is_all_its_lua_notebooks(tmp_path: Path) -> None:
    write(tmp_path / "b.ipynb", MODULE)
    write(tmp_path / "a" / "deep" / "e.ipynb", ENDPOINT, language=None)
    (tmp_path / "a" / "notes.txt").write_text("%%module x")
    for left_out in (".ipynb_checkpoints/b.ipynb", ".hidden/x.ipynb", "a/.x.ipynb", "env/lib/x.ipynb"):
        write(tmp_path / left_out, "%%nonsense")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    write(tmp_path / "plot.ipynb", "%matplotlib inline", language="python")
    (tmp_path / "loop").symlink_to(tmp_path)
    authored = read_notebooks([tmp_path])
    assert [script.name for script in authored.manifest.scripts] == ["greet", "hello"]
    assert authored.places["module greet"] == f"cell 1 of {tmp_path / 'b.ipynb'}"
    write(tmp_path / "c.ipynb", MODULE)
    with pytest.raises(InvalidNotebook, match=r"c.ipynb, cell 1: .*'greet' is already taken by cell 1 of .*b.ipynb"):
        read_notebooks([tmp_path])


def test_a_file_met_twice_counts_once_and_a_named_python_notebook_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", MODULE)
    assert read_notebooks([path, tmp_path, tmp_path / "." / "a.ipynb"]).places == {"module greet": "cell 1"}
    with pytest.raises(InvalidNotebook, match="There is no magic '%matplotlib'"):
        read_notebooks([write(tmp_path / "plot.ipynb", "%matplotlib inline", language="python")])
