"""`picloud app`."""

from __future__ import annotations

import click

from picloud.cli.session import json_option, open_session, print_json, print_table
from picloud.model.app import check_app_name


@click.group()
def app() -> None:
    """Create, list and delete apps."""


@app.command()
@click.argument("name")
@json_option
def create(name: str, as_json: bool) -> None:
    """Create an app."""
    check_app_name(name)
    with open_session() as platform:
        made = platform.apps.create(name)
    if as_json:
        print_json({"name": made.name, "revision": made.revision, "created_at": made.created_at})
    else:
        click.echo(f"Created app {made.name}.")


@app.command("list")
@json_option
def list_apps(as_json: bool) -> None:
    """List the apps."""
    with open_session() as platform:
        apps = platform.apps.list()
    if as_json:
        print_json([{"name": a.name, "revision": a.revision, "created_at": a.created_at} for a in apps])
    else:
        print_table(
            ("NAME", "REVISION", "CREATED"), [(a.name, a.revision, f"{a.created_at:%Y-%m-%d %H:%M}") for a in apps]
        )


@app.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete an app with everything it owns, for good."""
    check_app_name(name)
    with open_session() as platform:
        platform.apps.get(name)
        if not yes:
            click.confirm(f"Delete app {name} with its scripts, routes, releases and tokens?", abort=True, err=True)
        platform.apps.delete(name)
    click.echo(f"Deleted app {name}.")
