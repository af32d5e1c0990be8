"""`picloud worker`."""

from __future__ import annotations

import logging

import click

from picloud.cli.session import read_settings


@click.command()
def worker() -> None:
    """Run background jobs until SIGTERM or Ctrl-C."""
    from picloud.engine.log import EntryFormatter
    from picloud.platform import open_platform
    from picloud.triggers.worker import run_worker

    console = logging.StreamHandler()
    console.setFormatter(EntryFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[console])
    logging.getLogger("procrastinate").setLevel(logging.WARNING)  # it tells of each job
    settings = read_settings()
    with open_platform(settings) as platform:
        run_worker(platform.database, platform.deliverer, settings)
