"""The README tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_links_and_pictures_exist() -> None:
    """Every relative link leads to a file."""
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_make_targets_exist() -> None:
    """Every `make X` the README names is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named and named <= targets


def test_commands_exist() -> None:
    """Every `picloud X` the README shows is a command."""
    named = set(re.findall(r"^\.venv/bin/picloud ([a-z]+)", README, re.MULTILINE))
    assert named
    for command in named:
        result = subprocess.run([sys.executable, "-m", "picloud", command, "--help"], capture_output=True, text=True)
        assert result.returncode == 0, f"picloud {command}: {result.stderr}"


def test_notebook_cells_are_the_welcome_notebook_s() -> None:
    """The Lua shown in the README is what the welcome notebook holds."""
    notebook = (ROOT / "notebooks" / "01-welcome.ipynb").read_text()
    cells = re.findall(r"```lua\n(.*?)```", README, re.DOTALL)
    assert cells
    for line in (line for cell in cells for line in cell.splitlines() if line.strip()):
        assert line.replace('"', '\\"') in notebook, line
