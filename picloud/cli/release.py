"""`picloud release`."""

from __future__ import annotations

import click

from picloud.cli.session import author, json_option, open_session, print_json, print_table


@click.group()
def release() -> None:
    """List releases and roll back to one."""


@release.command("list")
@click.option("--app", "app_name", required=True, help="The app.")
@json_option
def list_releases(app_name: str, as_json: bool) -> None:
    """List an app's releases."""
    with open_session() as platform:
        releases = platform.releases.list(platform.apps.get(app_name).id)
    if as_json:
        fields = ("number", "author", "message", "notebook", "created_at")
        print_json([{field: getattr(found, field) for field in fields} for found in releases])
    else:
        rows = [(r.number, f"{r.created_at:%Y-%m-%d %H:%M}", r.author, r.notebook or "-", r.message) for r in releases]
        print_table(("NUMBER", "CREATED", "AUTHOR", "NOTEBOOK", "MESSAGE"), rows)


@release.command()
@click.argument("number", type=click.IntRange(1, 10**18))
@click.option("--app", "app_name", required=True, help="The app.")
@json_option
def rollback(number: int, app_name: str, as_json: bool) -> None:
    """Publish an earlier release again, as a new one."""
    with open_session() as platform:
        published = platform.publisher.rollback(app_name, number, author=author())
    live = published.release.number
    if as_json:
        print_json({"app": app_name, "release": live, "rolled_back_to": number})
    elif published.plan.changes_anything:
        click.echo(f"Release {live} of {app_name} is live; it is release {number} again.")
    else:
        click.echo(f"Nothing changes: release {live} of {app_name} is live and equal to release {number}.")
