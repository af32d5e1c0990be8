"""`picloud run`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from picloud.cli.session import app_option, json_option, open_session, print_json, print_table
from picloud.model.identity import short_id
from picloud.model.run import RunStatus

if TYPE_CHECKING:
    from picloud.model.run import RunRecord


@click.group()
def run() -> None:
    """List and show what ran."""


@run.command("list")
@app_option
@click.option("--script", help="Only runs of this script.")
@click.option("--trigger", help="Only runs of this trigger.")
@click.option("--status", type=click.Choice([str(status) for status in RunStatus]), help="Only runs that ended so.")
@click.option("--request-id", help="Only the run of this request.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many at most.")
@json_option
def list_runs(
    app_name: str, script: str | None, trigger: str | None, status: str | None, request_id: str | None, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """List an app's runs, newest first."""
    from picloud.storage.runs import RunFilter

    wanted = RunFilter(script, trigger, None if status is None else (RunStatus(status),), request_id)
    with open_session() as platform:
        runs = platform.run_records.list(platform.apps.get(app_name).id, wanted, limit=limit).runs
    if as_json:
        print_json([_json(found) for found in runs])
    else:
        print_table(("RUN", "STARTED", "WHAT", "STATUS", "MS", "ALIKE", "ERROR"), map(_row, runs))


@run.command()
@click.argument("identity", metavar="RUN")
@app_option
@json_option
def show(identity: str, app_name: str, as_json: bool) -> None:
    """Show a run: how it ended, what it used and logged, and its input. RUN is its id, or the first 8 digits of it."""
    from picloud.web.api.run_models import RunDetails

    with open_session() as platform:
        found = platform.run_records.get(platform.apps.get(app_name).id, identity)
    details = RunDetails.of(found).model_dump(mode="json")
    if as_json:
        print_json(details)
        return
    log = details.pop("log")
    for name, value in details.items():
        if value not in (None, [], {}):
            click.echo(f"{name}: {_text(value)}")
    for line in log:
        click.echo(_text(" ".join(part for part in (line["level"].upper(), line["message"], line["fields"]) if part)))


def _row(found: RunRecord) -> tuple[object, ...]:
    return (
        short_id(found.id),
        f"{found.started_at:%Y-%m-%d %H:%M:%S}",
        found.subject if found.trigger is None else f"{found.subject} > {found.trigger}",
        found.status,
        f"{found.duration_ms:.1f}",
        found.alike,
        found.code or "",
    )


def _json(found: RunRecord) -> Any:
    from picloud.web.api.run_models import RunView

    return RunView.of(found).model_dump(mode="json")


def _text(value: Any) -> str:
    """Return a value of a run on one line: callers have written some of it."""
    from picloud.engine.log import one_line

    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
