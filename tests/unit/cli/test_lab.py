"""What `picloud lab` sets up before JupyterLab starts."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from picloud.cli import lab


def test_missing_shared_data_is_installed_and_nothing_is_overwritten(tmp_path: Path) -> None:
    lab.install_shared_data(tmp_path)
    kernel = tmp_path / "share/jupyter/kernels/picloud/kernel.json"
    extension = tmp_path / "etc/jupyter/jupyter_server_config.d/picloud.json"
    assert "server_ext" in extension.read_text()
    kernel.write_text("mine")
    lab.install_shared_data(tmp_path)
    assert kernel.read_text() == "mine"


def test_a_checkout_is_worked_in_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / lab.WELCOME).touch()
    monkeypatch.chdir(tmp_path)
    workspace = lab.find_workspace(None, tmp_path / "home")
    assert workspace == lab.Workspace(tmp_path, f"notebooks/{lab.WELCOME}")
    assert not (tmp_path / "home").exists()


def test_elsewhere_the_examples_are_copied_into_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = lab.find_workspace(None, tmp_path / "home")
    assert workspace.root == tmp_path / "home" / "notebooks"
    assert (workspace.root / lab.WELCOME).stat().st_size > 0


def test_an_edited_example_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / lab.WELCOME).write_text("my work")
    lab.copy_examples(tmp_path)
    assert (tmp_path / lab.WELCOME).read_text() == "my work"


def test_a_folder_of_ones_own_opens_empty(tmp_path: Path) -> None:
    assert lab.find_workspace(tmp_path, tmp_path / "home") == lab.Workspace(tmp_path, None)


def test_a_folder_that_cannot_be_written_gives_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notebooks").touch()
    with pytest.raises(click.ClickException, match="Cannot write"):
        lab.copy_examples(tmp_path / "notebooks")


@pytest.mark.parametrize(("variable", "expected"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), ("OTHER", False)])
def test_a_browser_opens_only_on_a_display(variable: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ":0")
    assert lab.has_display() is expected


def test_jupyter_listens_where_it_is_told(tmp_path: Path) -> None:
    arguments = lab.jupyter_arguments(lab.Workspace(tmp_path, None), port=1, ip="127.0.0.1", browser=False)
    assert "--ServerApp.ip=127.0.0.1" in arguments
    assert "--ServerApp.open_browser=False" in arguments
    assert not any("default_url" in argument for argument in arguments)
