"""`picloud db`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from picloud.cli.session import json_option, print_json, read_settings


@click.group()
def db() -> None:
    """The database: where it is, its schema, and copies of it."""


@db.command()
def url() -> None:
    """Print the connection string of the database, password included.

    The embedded server runs only while something of PiCloud does: 'picloud serve' or 'picloud lab'.
    """
    with _conninfo() as conninfo:
        click.echo(conninfo)


@db.command("migrate")
@json_option
def migrate_schema(as_json: bool) -> None:
    """Bring the schema up to date and print what was applied."""
    from picloud.storage.migrate import migrate

    with _conninfo() as conninfo:
        applied = migrate(conninfo)
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo("\n".join(f"Applied {name}." for name in applied) or "The schema is up to date.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write the whole database to a file, hashes of tokens included, while everything goes on."""
    from picloud.storage.backup import backup

    with _conninfo() as conninfo:
        backup(conninfo, file)
    click.echo(f"Wrote the database to {file}.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Fill an empty database from such a file. It is run as SQL: restore only what you trust."""
    from picloud.storage.backup import restore

    with _conninfo() as conninfo:
        applied = restore(conninfo, file)
    click.echo("\n".join([f"Restored the database from {file}.", *(f"Applied {name}." for name in applied)]))


@contextmanager
def _conninfo() -> Iterator[str]:
    """Yield how to connect; an embedded server runs at least as long."""
    settings = read_settings()
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from picloud.storage.embedded import acquire

    with acquire(settings.home) as lease:
        yield lease.conninfo()
