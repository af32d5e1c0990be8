from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from picloud.cli import main


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def picloud(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command against a fresh database."""
    monkeypatch.setenv("PICLOUD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PICLOUD_DATABASE_URL", database_url)

    def run(*arguments: str) -> Done:
        result = CliRunner().invoke(main, arguments, prog_name="picloud")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., str]:
    """Write a notebook of code cells and return its path."""

    def write(*cells: str, name: str = "nb.ipynb") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        code: list[dict[str, Any]] = [
            {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
            for cell in cells
        ]
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code}))
        return str(path)

    return write
