"""The layers and library owners of DESIGN section 3, and what must hold for the whole tree."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_point_down_and_libraries_have_one_owner() -> None:
    """Every contract of import-linter is kept."""
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_lock_file_pins_every_dependency_and_names_no_host() -> None:
    """A lock line is NAME==VERSION and nothing else; everything pyproject asks for is in it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.split("==")[0].lower().replace("_", "-") for line in lines if line and not line.startswith("#")}
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    assert not [line for line in lines if "://" in line or "--" in line]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {wish.split(">=")[0].split("[")[0].lower() for wish in wanted}
    assert names <= pins


@pytest.mark.parametrize("folder", ["picloud", "picloud_kernel", "server_ext"])
def test_no_statement_outside_sql_files(folder: str) -> None:
    """Statements live in .sql files: no Python file of the product holds one, but for the migration and test tools."""
    allowed = {"migrate.py", "embedded.py", "fixtures.py", "housekeeping.py", "health.py"}
    words = ("SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in allowed
        for line in path.read_text().splitlines()
        if any(f'"{word}' in line for word in words) and "SELECT 1" not in line
    ]
    assert not found
