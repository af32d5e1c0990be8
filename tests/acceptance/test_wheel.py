"""A wheel, installed into a new environment, is all of PiCloud: command, kernel, extension, migrations, notebooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from picloud.testing.processes import scratch_home
from picloud.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the wheel and what it needs, nothing of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("picloud-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
            "--no-compile",  # most of what comes along is never imported
            "-c",
            ROOT / "constraints.txt",
            wheel,
        ],
        check=True,
        cwd=folder,
    )
    return python.parent


@pytest.mark.timeout(600)
def test_the_command_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The command migrates a new database and publishes a notebook that came with the wheel."""
    with scratch_home() as home:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PICLOUD_HOME"] = str(home)

        def picloud(*arguments: str) -> str:
            return subprocess.run(
                [installed / "picloud", *arguments],
                env=environment,
                cwd=tmp_path,
                check=True,
                capture_output=True,
                text=True,
            ).stdout

        assert picloud("version").strip() == __version__
        (notebook,) = (installed.parent / "lib").rglob("picloud/cli/notebooks/01-welcome.ipynb")
        picloud("publish", str(notebook), "--app", "welcome")
        assert json.loads(picloud("call", "GET", "/hello/ada", "--app", "welcome")) == {"message": "hello ada"}


@pytest.mark.timeout(600)
def test_jupyter_finds_kernel_and_extension(installed: Path, tmp_path: Path) -> None:
    """Kernelspec and extension come with the wheel's data files; nothing has to be installed or enabled."""

    def jupyter(*arguments: str) -> str:
        environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
        done = subprocess.run(
            [installed / "jupyter", *arguments],
            env=environment,
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    assert "picloud" in json.loads(jupyter("kernelspec", "list", "--json"))["kernelspecs"]
    listing = jupyter("server", "extension", "list")
    assert "server_ext" in listing and "enabled" in listing.split("server_ext", 1)[1]
