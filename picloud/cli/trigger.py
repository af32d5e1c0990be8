"""`picloud trigger`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from picloud.cli.backfill import backfill
from picloud.cli.session import app_option, author, json_option, open_session, print_json, print_table
from picloud.errors import NotFound
from picloud.model.app import check_app_name
from picloud.model.trigger import split_trigger, trigger_of

if TYPE_CHECKING:
    from picloud.admin.edits import Edit
    from picloud.model.trigger import Trigger
    from picloud.publishing.publisher import Published


@click.group()
def trigger() -> None:
    """List, show, put and delete triggers, each change a release, and run ticks of schedules after all."""


trigger.add_command(backfill)


@trigger.command("list")
@app_option
@json_option
def list_triggers(app_name: str, as_json: bool) -> None:
    """List an app's triggers."""
    from picloud.web.api.models import LiveTriggerView

    triggers = _live(app_name)
    if as_json:
        print_json([LiveTriggerView.of(found).model_dump(mode="json") for found in triggers])
    else:
        rows = [(found.name, found.describe(), found.script, found.retry.schedule()) for found in triggers]
        print_table(("NAME", "TAKES", "RUNS", "WHEN IT FAILS"), rows)


@trigger.command()
@click.argument("name")
@app_option
@json_option
def show(name: str, app_name: str, as_json: bool) -> None:
    """Show a trigger: what it takes, what it runs, and its next ticks."""
    from picloud.engine.log import one_line
    from picloud.web.api.models import LiveTriggerView

    found = next((found for found in _live(app_name) if found.name == name), None)
    if found is None:
        raise NotFound(f"There is no trigger {name[:80]!r}.")
    if as_json:
        print_json(LiveTriggerView.of(found).model_dump(mode="json"))
        return
    click.echo(one_line(f"{found.name}: {found.describe()}"))
    click.echo(one_line(f"  runs {found.script}, {found.retry.schedule()}"))
    click.echo(f"  {' '.join(found.describe_options())}")
    for tick in found.next_ticks(datetime.now(UTC)):
        click.echo(f"  next {tick:%Y-%m-%d %H:%M:%S %Z}")


@trigger.command()
@click.argument("name")
@click.argument("kind")
@click.argument("words", nargs=-1, metavar="[SOURCE] [OPTION=VALUE]...")
@click.option("--script", required=True, help="Name of the endpoint script it runs.")
@app_option
@json_option
def put(name: str, kind: str, words: tuple[str, ...], script: str, app_name: str, as_json: bool) -> None:
    """Add a trigger, or put it in the place of the one of its name, in the words of a '%%trigger' line.

    For example: picloud trigger put nightly cron "0 3 * * *" tz=Europe/Berlin --script report --app blog
    """
    from picloud.admin import edits
    from picloud.web.api.models import TriggerView

    parts = split_trigger(kind, words)
    if parts is None:
        raise click.UsageError("What follows the source are options, written as OPTION=VALUE.")
    wanted = trigger_of(name, kind, parts[0], script, parts[1])
    published = _edit(app_name, edits.put_trigger(wanted), f"Put trigger {name}")
    if as_json:
        shown = TriggerView.of(wanted).model_dump(mode="json")
        print_json({"app": app_name, "release": published.release.number, "trigger": shown})
    else:
        _say(app_name, published)


@trigger.command()
@click.argument("name")
@app_option
@json_option
def delete(name: str, app_name: str, as_json: bool) -> None:
    """Delete a trigger; its script stays, and so does what waits for it."""
    from picloud.admin import edits

    published = _edit(app_name, edits.delete_trigger(name), f"Delete trigger {name[:200]}")
    if as_json:
        print_json({"app": app_name, "release": published.release.number, "deleted": name})
    else:
        _say(app_name, published)


def _live(app_name: str) -> tuple[Trigger, ...]:
    with open_session() as platform:
        return platform.live.manifest(platform.apps.get(check_app_name(app_name)).id).triggers


def _edit(app_name: str, change: Edit, message: str) -> Published:
    with open_session() as platform:
        return platform.publisher.edit(check_app_name(app_name), change, author=author(), message=message)


def _say(app_name: str, published: Published) -> None:
    plan = published.plan
    marked = (("+", plan.added), ("~", plan.changed), ("-", plan.removed))
    what = ", ".join(f"{mark} {entry}" for mark, entries in marked for entry in entries) or "nothing changes"
    click.echo(f"Release {published.release.number} of {app_name} is live: {what}.")
