"""`picloud worker`."""

from __future__ import annotations

import logging

import click

from picloud.cli.session import read_settings


@click.command()
def worker() -> None:
    """Run background jobs until SIGTERM or Ctrl-C."""
    from picloud.triggers.worker import run_worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run_worker(read_settings())
