"""`picloud app`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from picloud.cli.session import confirm, json_option, open_session, print_json, print_table
from picloud.model.app import check_app_name
from picloud.model.run import DAYS_MAX

if TYPE_CHECKING:
    from picloud.publishing.transfer import Transferred


@click.group()
def app() -> None:
    """Create, list, move and delete apps."""


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
            confirm(f"Delete app {name} with its scripts, routes, releases and tokens?")
        platform.apps.delete(name)
    click.echo(f"Deleted app {name}.")


@app.command()
@click.argument("name")
@click.option("--runs-days", type=click.IntRange(0, DAYS_MAX), help="Keep runs that ended well for so many days.")
@click.option("--default", "to_default", is_flag=True, help="Keep them as PICLOUD_RUNS_KEPT_DAYS says.")
@json_option
def retention(name: str, runs_days: int | None, to_default: bool, as_json: bool) -> None:
    """Say how long an app's runs are kept in the history, or change it."""
    if runs_days is not None and to_default:
        raise click.UsageError("--runs-days and --default exclude each other.")
    with open_session() as platform:
        app_id = platform.apps.get(name).id
        if runs_days is not None or to_default:
            platform.run_records.keep_days(app_id, runs_days)
        own, settings = platform.run_records.kept_days(app_id), platform.settings
    days = settings.runs_kept_days if own is None else own
    if as_json:
        print_json({"app": name, "runs_kept_days": days, "is_own": own is not None})
    else:
        click.echo(f"Runs of {name} that ended well are kept for {days} days, others {settings.failed_runs_kept_days}.")


@app.command("export")
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; by default NAME.app.jsonl.gz."
)
@json_option
def export_app(name: str, output: Path | None, as_json: bool) -> None:
    """Write all an app owns, but for its tokens, to one file."""
    from picloud.publishing.transfer import export_app

    path = output or Path(f"{check_app_name(name)}.app.jsonl.gz")
    with open_session() as platform:
        done = export_app(platform.database, name, path)
    if as_json:
        print_json({"app": name, "file": str(path), "sha256": done.sha256, "rows": done.rows})
    else:
        click.echo(f"Exported app {name} to {path}: {_told(done)}. Its tokens are not in the file.")


@app.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--as", "name", help="Another name for the app.")
@json_option
def import_app(file: Path, name: str | None, as_json: bool) -> None:
    """Make an app of a file that 'picloud app export' wrote: all of it, or nothing when something is wrong."""
    from picloud.publishing.transfer import import_app

    with open_session() as platform:
        done = import_app(platform.database, file, name)
    if as_json:
        print_json({"app": done.app, "rows": done.rows})
    else:
        click.echo(f"Imported app {done.app}: {_told(done)}. Make it new tokens with 'picloud token create'.")


def _told(done: Transferred) -> str:
    counts = [f"{count} {table.replace('_', ' ')}" for table, count in done.rows.items() if count]
    return ", ".join(counts) or "nothing in it yet"
