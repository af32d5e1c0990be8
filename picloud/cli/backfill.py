"""`picloud trigger backfill`."""

from __future__ import annotations

import click

from picloud.cli.session import app_option, author, json_option, open_session, print_json


@click.command()
@click.argument("name")
@app_option
@click.option("--from", "start", required=True, help="Begin here, as in 2026-03-01T00:00:00+01:00.")
@click.option("--to", "end", required=True, help="End here; a tick at this moment is in.")
@click.option("--again", is_flag=True, help="Also run ticks that ran before.")
@click.option("--dry-run", is_flag=True, help="Only tell which ticks would be run.")
@json_option
def backfill(name: str, app_name: str, start: str, end: str, again: bool, dry_run: bool, as_json: bool) -> None:
    """Run the ticks of a schedule in a range after all, those that ran left out."""
    from picloud.model.backfill import BackfillRange
    from picloud.model.rfc3339 import moment

    wanted = BackfillRange(moment(start), moment(end))
    with open_session() as platform:
        app_id = platform.apps.get(app_name).id
        made = platform.schedules.backfill(app_id, name, wanted, by=author(), again=again, dry_run=dry_run)
    if as_json:
        print_json({"app": app_name, "trigger": name, "dry_run": dry_run, "ran_before": made.ran_before,
                    "ticks": made.ticks})  # fmt: skip
        return
    for tick in made.ticks:
        click.echo(tick.isoformat())
    click.echo(made.describe(dry_run=dry_run))
