"""`picloud publish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from picloud.cli.session import author, json_option, open_session, print_json
from picloud.errors import InvalidInput
from picloud.model.app import check_app_name
from picloud.model.release import Manifest

if TYPE_CHECKING:
    from picloud.platform import Platform
    from picloud.publishing.publisher import Plan

EXIT_WOULD_CHANGE = 3
SIGNS = {"added": "+", "changed": "~", "removed": "-", "affected": "*"}


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--app", "app_name", help="The app to publish to; by default the one the notebook names with %app.")
@click.option("--plan", "plan_only", is_flag=True, help="Only tell what would change; exit 3 when something would.")
@click.option("-m", "--message", default="", help="What the release is about.")
@json_option
def publish(notebook: Path, app_name: str | None, plan_only: bool, message: str, as_json: bool) -> None:
    """Publish a notebook: test it, and make its endpoints and modules live at once. A new app is created."""
    from picloud.publishing.notebook import app_of, load_notebook, manifest_of

    document = load_notebook(notebook)
    target = app_name or app_of(document)
    if target is None:
        raise InvalidInput("The notebook names no app: give one with --app, or write '%app NAME' in a cell.")
    check_app_name(target)
    manifest = manifest_of(document)
    with open_session() as platform:
        if plan_only:
            _show_plan(platform, target, manifest, as_json)
        else:
            _publish(platform, target, manifest, message, notebook.name, as_json)


def _show_plan(platform: Platform, app_name: str, manifest: Manifest, as_json: bool) -> None:
    plan = platform.publisher.plan(app_name, manifest)
    if as_json:
        print_json(_plan_json(plan))
    else:
        _print_plan(plan)
    if plan.changes_anything:
        raise click.exceptions.Exit(EXIT_WOULD_CHANGE)


def _publish(platform: Platform, app_name: str, manifest: Manifest, message: str, notebook: str, as_json: bool) -> None:
    published = platform.publisher.publish(
        app_name, manifest, author=author(), message=message, notebook=notebook, create=True
    )
    if as_json:
        print_json(
            {
                "app": app_name,
                "created_app": published.created_app,
                "release": published.release.number,
                "plan": _plan_json(published.plan),
            }
        )
        return
    if published.created_app:
        click.echo(f"Created app {app_name}.")
    _print_plan(published.plan)
    click.echo(f"Release {published.release.number} of {app_name} is live.")


def _plan_json(plan: Plan) -> dict[str, object]:
    parts = {name: list(getattr(plan, name)) for name in ("added", "changed", "removed", "unchanged", "affected")}
    return {**parts, "changes_anything": plan.changes_anything}


def _print_plan(plan: Plan) -> None:
    for name, sign in SIGNS.items():
        for entry in getattr(plan, name):
            click.echo(f"{sign} {entry}{' (imports a changed part)' if name == 'affected' else ''}")
    if not plan.changes_anything:
        click.echo("Nothing changes.")
