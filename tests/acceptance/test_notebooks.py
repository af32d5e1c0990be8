"""Every notebook in notebooks/ runs green under nbval, also a second time on the same server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.triggers.test_worker import worker

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def environment(
    embedded_home: Path, embedded_server: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What `make run` gives notebooks: a home, the kernel, and a worker beside them."""
    jupyter = tmp_path_factory.mktemp("jupyter")
    (jupyter / "kernels").mkdir()
    (jupyter / "kernels" / "picloud").symlink_to(ROOT / "picloud_kernel" / "kernelspec")
    with worker(tmp_path_factory.mktemp("worker") / "log", HOME=str(embedded_home)):
        yield os.environ | {
            "PICLOUD_HOME": str(embedded_home),
            "JUPYTER_PATH": str(jupyter),
            "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
        }


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_green(notebook: Path, run: int, environment: dict[str, str], tmp_path: Path) -> None:
    """From a folder of its own: pytest must find nothing of this project's configuration there."""
    (tmp_path / notebook.name).write_bytes(notebook.read_bytes())
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            notebook.name,
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS][:1] == ["01-welcome.ipynb"]
