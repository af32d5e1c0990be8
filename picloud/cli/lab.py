"""`picloud lab`: JupyterLab with the PiCloud kernel and extension, set up and opened on the welcome notebook."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from picloud.cli.session import read_settings

EXAMPLES = "notebooks"
WELCOME = "01-welcome.ipynb"
SHARED_DATA = (
    ("picloud_kernel", "kernelspec", "share/jupyter/kernels/picloud"),
    ("server_ext", "jupyter_server_config.d", "etc/jupyter/jupyter_server_config.d"),
)
"""Package, folder in it, folder below `sys.prefix`: what an installed wheel has put there already."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where JupyterLab works."""

    root: Path
    """The folder its file browser shows."""
    notebook: str | None
    """The notebook to open, relative to the root; None for an empty JupyterLab."""


@click.command(context_settings={"ignore_unknown_options": False})
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8888, show_default=True, help="The next free one if taken."
)
@click.option(
    "--ip", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for the whole network."
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--notebook-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder to work in. Default: this one when it holds the example notebooks, else PICLOUD_HOME/notebooks.",
)
@click.argument("jupyter_args", nargs=-1, type=click.UNPROCESSED)
def lab(port: int, ip: str, no_browser: bool, notebook_dir: Path | None, jupyter_args: tuple[str, ...]) -> None:
    """Open JupyterLab with PiCloud; arguments after -- go to jupyter lab."""
    from picloud.storage.prepare import prepared

    settings = read_settings()
    install_shared_data(Path(sys.prefix))
    workspace = find_workspace(notebook_dir, settings.home)
    arguments = jupyter_arguments(workspace, port=port, ip=ip, browser=not no_browser and has_display())
    # Held as long as Jupyter runs: the database is up and migrated before the first child needs it.
    with prepared(settings):
        launch([*arguments, *jupyter_args])


def install_shared_data(prefix: Path) -> None:
    """Copy kernelspec and extension config below `prefix` where they are missing, as after an editable install."""
    for package, folder, destination in SHARED_DATA:
        target = prefix / destination
        for source in sorted((_package(package) / folder).iterdir()):
            if source.is_file() and not (target / source.name).exists():
                _copy(source, target)


def find_workspace(notebook_dir: Path | None, home: Path) -> Workspace:
    """Choose the folder to work in; fills PICLOUD_HOME/notebooks with the examples when it comes to that."""
    if notebook_dir is not None:
        return Workspace(notebook_dir.resolve(), WELCOME if (notebook_dir / WELCOME).exists() else None)
    if (Path.cwd() / EXAMPLES / WELCOME).exists():
        return Workspace(Path.cwd(), f"{EXAMPLES}/{WELCOME}")
    copy_examples(home / EXAMPLES)
    return Workspace((home / EXAMPLES).resolve(), WELCOME)


def copy_examples(target: Path) -> None:
    """Copy the example notebooks that are not in the folder yet; what is there may be somebody's work and stays."""
    for source in sorted(_examples().iterdir()):
        if source.is_file() and not (target / source.name).exists():
            _copy(source, target)


def has_display() -> bool:
    """Tell whether a browser could open a window here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def jupyter_arguments(workspace: Workspace, *, port: int, ip: str, browser: bool) -> list[str]:
    """Return the arguments of `jupyter lab`."""
    arguments = [
        f"--ServerApp.ip={ip}",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--ServerApp.root_dir={workspace.root}",
        "--PicloudExtension.announce=True",
    ]
    if workspace.notebook is not None:
        arguments.append(f"--LabApp.default_url=/lab/tree/{workspace.notebook}")
    if os.geteuid() == 0:
        arguments.append("--ServerApp.allow_root=True")
    return arguments


def launch(arguments: list[str]) -> None:
    """Run JupyterLab in this process until it is stopped."""
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]  # slow to import, and no other command needs it

    if not sys.stdin.isatty():
        # Jupyter asks on a terminal before it stops; without one it would drop everything where it stands.
        signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    LabApp.launch_instance(argv=arguments)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise click.ClickException(f"The package {name} is missing: install PiCloud again.")
    return Path(spec.origin).parent


def _examples() -> Path:
    """The examples as the wheel ships them, or as they lie in a checkout."""
    shipped = Path(__file__).with_name(EXAMPLES)
    return shipped if shipped.is_dir() else _package("picloud").parent / EXAMPLES


def _copy(source: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / source.name)
    except OSError as error:
        raise click.ClickException(f"Cannot write {folder / source.name}: {error.strerror}.") from error
