"""What JupyterLab finds in the kernelspec's folder."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "picloud_kernel" / "kernelspec"


def test_jupyter_replaces_python_by_its_own_interpreter() -> None:
    """jupyter_client does so when argv[0] is exactly `python`: the kernel starts from a venv that is not on PATH."""
    spec = json.loads((FOLDER / "kernel.json").read_text())
    assert spec["argv"] == ["python", "-m", "picloud_kernel", "-f", "{connection_file}"]
    assert spec["interrupt_mode"] == "message"


@pytest.mark.parametrize("size", [32, 64])
def test_the_logos_have_the_size_of_their_name(size: int) -> None:
    data = (FOLDER / f"logo-{size}x{size}.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (size, size)
