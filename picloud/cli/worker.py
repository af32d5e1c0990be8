"""`picloud worker`."""

from __future__ import annotations

import logging

import click

from picloud.cli.session import read_settings


@click.command()
def worker() -> None:
    """Run background jobs until SIGTERM or Ctrl-C."""
    from picloud.engine.log import EntryFormatter
    from picloud.triggers.worker import run_worker

    console = logging.StreamHandler()
    console.setFormatter(EntryFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[console])
    run_worker(read_settings())
