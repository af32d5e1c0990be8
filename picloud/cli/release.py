"""`picloud release`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from picloud.cli.publish import changes_json, force_reason, print_changes
from picloud.cli.session import app_option, author, json_option, open_session, print_json, print_table
from picloud.model.release import about

if TYPE_CHECKING:
    from picloud.model.release import Release
    from picloud.storage.releases import ReleaseInfo


@click.group()
def release() -> None:
    """List and show releases, and roll back to one."""


@release.command("list")
@app_option
@json_option
def list_releases(app_name: str, as_json: bool) -> None:
    """List an app's releases."""
    with open_session() as platform:
        releases = platform.releases.list(platform.apps.get(app_name).id)
    if as_json:
        print_json([_json(found) for found in releases])
    else:
        rows = [
            (r.number, f"{r.created_at:%Y-%m-%d %H:%M}", r.author, r.notebook or "-", about(r.message, r.forced))
            for r in releases
        ]
        print_table(("NUMBER", "CREATED", "AUTHOR", "NOTEBOOK", "MESSAGE"), rows)


@release.command()
@click.argument("number", type=click.IntRange(1, 10**18))
@app_option
@click.option("--diff", is_flag=True, help="Also print what it changed.")
@json_option
def show(number: int, app_name: str, diff: bool, as_json: bool) -> None:
    """Show a release: whose it is, what it consists of, and what it changed."""
    from picloud.publishing.publisher import entries_of

    with open_session() as platform:
        app_id = platform.apps.get(app_name).id
        found = platform.releases.get(app_id, number)
        changes = platform.publisher.difference(app_id, number) if diff else ()
    entries = sorted(entries_of(found.manifest))
    if as_json:
        print_json({**_json(found), "entries": entries, **({"changes": changes_json(changes)} if diff else {})})
        return
    click.echo(f"Release {number} of {app_name}, {found.created_at:%Y-%m-%d %H:%M}, by {found.author}")
    for line in (found.notebook, about(found.message, found.forced)):
        if line:
            click.echo(line)
    for failure in found.forced.failures if found.forced else ():
        click.echo(f"! test {failure.test} failed: {failure.message}")
    for entry in entries:
        click.echo(f"  {entry}")
    print_changes(changes)


@release.command()
@click.argument("number", type=click.IntRange(1, 10**18))
@app_option
@click.option("--force", is_flag=True, help="Publish although its tests fail now; needs --reason.")
@click.option("--reason", help="Why it is forced; kept with the release.")
@json_option
def rollback(number: int, app_name: str, force: bool, reason: str | None, as_json: bool) -> None:
    """Publish an earlier release again, as a new one."""
    forced = force_reason(force, reason)
    with open_session() as platform:
        published = platform.publisher.rollback(app_name, number, author=author(), force=forced)
    live = published.release.number
    if as_json:
        print_json({"app": app_name, "release": live, "rolled_back_to": number})
    elif published.plan.changes_anything:
        click.echo(f"Release {live} of {app_name} is live; it is release {number} again.")
    else:
        click.echo(f"Nothing changes: release {live} of {app_name} is live and equal to release {number}.")


def _json(found: ReleaseInfo | Release) -> dict[str, Any]:
    fields = ("number", "author", "message", "notebook", "created_at")
    forced = None if found.forced is None else asdict(found.forced)
    return {**{field: getattr(found, field) for field in fields}, "forced": forced}
