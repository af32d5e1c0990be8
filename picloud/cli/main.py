"""The command group. Each command imports what it needs when it runs: `picloud version` answers at once."""

from __future__ import annotations

from typing import Any

import click

from picloud.cli.app import app
from picloud.cli.call import call
from picloud.cli.db import db
from picloud.cli.dead_letter import dead_letter
from picloud.cli.doctor import doctor
from picloud.cli.lab import lab
from picloud.cli.publish import publish
from picloud.cli.release import release
from picloud.cli.run import run
from picloud.cli.serve import serve
from picloud.cli.token import token
from picloud.cli.trigger import trigger
from picloud.cli.worker import worker
from picloud.errors import PicloudError, ScriptError
from picloud.version import __version__


class _Group(click.Group):
    """Reports a `PicloudError` as a sentence on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PicloudError as error:
            click.echo(f"picloud: {error.message}", err=True)
            if isinstance(error, ScriptError):
                for frame in error.traceback:
                    click.echo(f"  {frame}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """PiCloud: Lua cells become live HTTP endpoints.

    Exit codes: 0 done, 1 error, 2 wrong usage; `publish --plan` exits 3 when something would change. Settings are
    environment variables, PICLOUD_*.
    """


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


_COMMANDS = (
    app, call, db, dead_letter, doctor, lab, publish, release, run, serve, token, trigger, version, worker,
)  # fmt: skip
for _command in _COMMANDS:
    main.add_command(_command)
