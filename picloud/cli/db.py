"""`picloud db`."""

from __future__ import annotations

import click

from picloud.cli.session import json_option, print_json, read_settings


@click.group()
def db() -> None:
    """The database: where it is, and its schema."""


@db.command()
def url() -> None:
    """Print the connection string of the database, password included.

    The embedded server runs only while something of PiCloud does: 'picloud serve' or 'picloud lab'.
    """
    settings = read_settings()
    if settings.database_url is not None:
        click.echo(settings.database_url.get_secret_value())
        return
    from picloud.storage.embedded import acquire

    with acquire(settings.home) as lease:
        click.echo(lease.conninfo())


@db.command("migrate")
@json_option
def migrate_schema(as_json: bool) -> None:
    """Bring the schema up to date and print what was applied."""
    from picloud.storage.embedded import acquire
    from picloud.storage.migrate import migrate

    settings = read_settings()
    if settings.database_url is not None:
        applied = migrate(settings.database_url.get_secret_value())
    else:
        with acquire(settings.home) as lease:
            applied = migrate(lease.conninfo())
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo("\n".join(f"Applied {name}." for name in applied) or "The schema is up to date.")
