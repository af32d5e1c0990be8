"""A real papermill run: the translator registers itself, and the parameters reach the cells of a real kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 120
CHECK = 'print(name, n, ratio, on, sizes[2], more.deep[1] == json.null, #text)\nreturn name .. " " .. greeting'


@pytest.fixture
def environment(embedded_home: Path, embedded_server: object, tmp_path: Path) -> dict[str, str]:
    kernels = tmp_path / "jupyter" / "kernels"
    kernels.mkdir(parents=True)
    (kernels / "picloud").symlink_to(Path(__file__).parents[2] / "picloud_kernel" / "kernelspec")
    own = {"PICLOUD_HOME": str(embedded_home), "JUPYTER_PATH": str(tmp_path / "jupyter"), "IPYTHONDIR": str(tmp_path)}
    return os.environ | own


def write_notebook(path: Path, *cells: tuple[str, list[str]]) -> Path:
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "picloud", "display_name": "PiCloud", "language": "lua"}},
        "cells": [
            {"cell_type": "code", "id": f"c{number}", "metadata": {"tags": tags}, "source": source}
            | {"execution_count": None, "outputs": []}
            for number, (source, tags) in enumerate(cells)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def papermill(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "papermill", *arguments],
        env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def cells_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return found


def test_the_translator_is_announced_to_papermill() -> None:
    [announced] = entry_points(group="papermill.engine", name="picloud")
    assert announced.value == "picloud_kernel.papermill:NBClientEngine"


def test_parameters_reach_all_later_cells(environment: dict[str, str], tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "nb.ipynb",
        ("-- who is greeted\nname = 'nobody'\ngreeting = 'hello'", ["parameters"]),
        (CHECK, []),
        ("%%python\nprint(1)", []),
        ("assert(name and n == 3)", []),
    )
    parameters = tmp_path / "more.yaml"
    parameters.write_text('sizes: [1, 2.5]\n"on": true\nmore: {deep: [null]}\ntext: "a\\n\\"b\\"\\0ü"\n')
    out = tmp_path / "out.ipynb"
    run = papermill(
        environment, str(notebook), str(out), "-p", "name", "ada", "-p", "n", "3", "-p", "ratio", "0.5",
        "-f", str(parameters), "-k", "picloud",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    default, injected, check, *_ = cells_of(out)
    assert default["metadata"]["tags"] == ["parameters"]
    assert injected["metadata"]["tags"] == ["injected-parameters"]
    assert 'name = "ada"\n' in injected["source"]
    assert injected["source"][0] == "-- Parameters\n"
    stream, result = check["outputs"]
    assert "".join(stream["text"]) == "ada\t3\t0.5\ttrue\t2.5\ttrue\t8\n"
    assert "".join(result["data"]["text/plain"]).strip('"') == "ada hello"


def test_a_failing_cell_ends_the_run_with_its_error(environment: dict[str, str], tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "nb.ipynb", ("error('stop here: ' .. name)", []), ("print('never')", []))
    out = tmp_path / "out.ipynb"
    run = papermill(environment, str(notebook), str(out), "-p", "name", "ada")
    assert run.returncode != 0
    assert "stop here: ada" in run.stderr
    assert cells_of(out)[-1]["outputs"] == []


def test_the_parameters_of_a_notebook_are_listed(environment: dict[str, str], tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "nb.ipynb", ("-- who is greeted\nname = 'nobody'", ["parameters"]))
    listed = papermill(environment, "--help-notebook", str(notebook))
    assert "name" in listed.stdout
    assert "who is greeted" in listed.stdout
