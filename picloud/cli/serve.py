"""`picloud serve`."""

from __future__ import annotations

from contextlib import ExitStack
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

import click

from picloud.cli.session import read_settings
from picloud.settings import Settings

if TYPE_CHECKING:
    from picloud.web.wsgi import Application


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 picks a free one.")
@click.option("--workers", type=int, help="Worker processes.")
@click.option("--threads", type=int, help="Threads that run scripts, per worker process.")
def serve(host: str | None, port: int | None, workers: int | None, threads: int | None) -> None:
    """Serve the published apps and the admin API until SIGTERM or Ctrl-C.

    Migrates first; prints the URL once it answers. Options not given are the settings PICLOUD_HOST and so on.
    """
    from picloud.storage.prepare import prepared
    from picloud.web import server

    settings = read_settings(host=host, port=port, workers=workers, threads=threads)
    with prepared(settings):  # keeps the embedded server up while a worker is replaced
        server.serve(settings, load_application, announce=lambda url: click.echo(f"PiCloud answers on {url}"))


def load_application(settings: Settings) -> Application:
    """Open the platform in a worker process, to be closed when the worker ends, and return its application."""
    from picloud.platform import open_platform
    from picloud.web import create_app

    stack = ExitStack()
    platform = stack.enter_context(open_platform(settings))
    Finalize(None, stack.close, exitpriority=100)  # a forked worker ends without atexit
    return create_app(platform)
