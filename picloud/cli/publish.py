"""`picloud publish`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from picloud.cli.session import author, json_option, open_session, print_json
from picloud.errors import InvalidInput
from picloud.model.app import check_app_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from picloud.model.trigger import Trigger
    from picloud.publishing.diff import Change
    from picloud.publishing.notebook import Authored
    from picloud.publishing.publisher import Plan, Published

EXIT_WOULD_CHANGE = 3
SIGNS = {"added": "+", "changed": "~", "removed": "-", "affected": "*"}


@click.command()
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...", type=click.Path(path_type=Path))
@click.option("--app", "app_name", help="The app to publish to; by default the one the notebooks name with %app.")
@click.option("--plan", "plan_only", is_flag=True, help="Only tell what would change; exit 3 when something would.")
@click.option("-m", "--message", default="", help="What the release is about.")
@click.option(
    "--base",
    type=click.IntRange(0, 10**18),
    help="Number of the release this was made from, 0 for none: refuse when another one is live.",
)
@click.option("--force", is_flag=True, help="Publish although tests fail; needs --reason.")
@click.option("--reason", help="Why it is forced; kept with the release.")
@json_option
def publish(
    notebooks: tuple[Path, ...], app_name: str | None, plan_only: bool, message: str, base: int | None,
    force: bool, reason: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Publish notebooks as one app: test them, and make their endpoints and modules live at once.

    A folder stands for all Lua notebooks in it and below. The app then consists of exactly what they define; a new app
    is created.
    """
    from picloud.publishing.notebook import read_notebooks

    forced = force_reason(force, reason)
    authored = read_notebooks(notebooks)
    target = app_name or authored.app
    if target is None:
        raise InvalidInput("No notebook names the app: give one with --app, or write '%app NAME' in a cell.")
    check_app_name(target)
    if plan_only:
        _plan(target, authored, as_json)
        return
    with open_session() as platform:
        published = platform.publisher.publish(
            target,
            authored.manifest,
            author=author(),
            message=message,
            notebook=", ".join(map(_label, notebooks)),
            create=True,
            base=base,
            force=forced,
            places=authored.places,
        )
    _show(target, published, as_json)


def force_reason(force: bool, reason: str | None) -> str | None:
    """Return why to publish although tests fail, None when that is not asked for; refuse one without the other."""
    if force and not reason:
        raise click.UsageError("--force needs --reason TEXT: it is kept with the release.")
    if reason and not force:
        raise click.UsageError("--reason goes with --force.")
    return reason if force else None


def print_changes(changes: Iterable[Change]) -> None:
    """Print unified diffs, entry by entry."""
    for change in changes:
        click.echo(f"\n{change.entry}")
        for line in change.lines:
            click.echo(line)
        if change.left_out:
            click.echo(f"... {change.left_out} more lines")


def changes_json(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return diffs as JSON has them."""
    return [{"entry": c.entry, "lines": list(c.lines), "left_out": c.left_out} for c in changes]


def _label(path: Path) -> str:
    name = path.resolve().name
    return f"{name}/" if path.is_dir() else name


def _plan(app_name: str, authored: Authored, as_json: bool) -> None:
    with open_session() as platform:
        plan = platform.publisher.plan(app_name, authored.manifest, places=authored.places)
    if as_json:
        print_json(_plan_json(plan))
    else:
        _print_plan(plan)
        _print_triggers(plan)
        _print_tests(plan)
        print_changes(plan.changes())
    if plan.changes_anything:
        raise click.exceptions.Exit(EXIT_WOULD_CHANGE)


def _show(app_name: str, published: Published, as_json: bool) -> None:
    release = published.release
    failures = release.forced.failures if release.forced and published.plan.changes_anything else ()
    if as_json:
        print_json(
            {
                "app": app_name,
                "created_app": published.created_app,
                "release": release.number,
                "forced": [failure.test for failure in failures],
                "plan": _plan_json(published.plan),
            }
        )
        return
    if published.created_app:
        click.echo(f"Created app {app_name}.")
    _print_plan(published.plan)
    for failure in failures:
        click.echo(f"! test {failure.test} failed: {failure.message}")
    click.echo(f"Release {release.number} of {app_name} is live.")


def _plan_json(plan: Plan) -> dict[str, object]:
    parts = {name: list(getattr(plan, name)) for name in ("added", "changed", "removed", "unchanged", "affected")}
    return {
        **parts,
        "changes_anything": plan.changes_anything,
        "base": plan.base,
        "annotated": list(plan.annotated),
        "tests": [{"name": test.name, "reaches": list(test.reaches)} for test in plan.tests],
        "triggers": [_trigger_json(trigger) for trigger in plan.triggers()],
        "changes": changes_json(plan.changes()),
    }


def _trigger_json(trigger: Trigger) -> dict[str, object]:
    retry, ticks = trigger.retry, trigger.next_ticks(datetime.now(UTC))
    return {
        "name": trigger.name, "retries": retry.schedule(), "retries_at_s": retry.moments_s(), "next": ticks,
    }  # fmt: skip


def _print_plan(plan: Plan) -> None:
    for name, sign in SIGNS.items():
        for entry in getattr(plan, name):
            marks = " (imports a changed part)" if name == "affected" else ""
            marks += " (annotated)" if entry in plan.annotated else ""
            click.echo(f"{sign} {entry}{marks}")
    if not plan.changes_anything:
        click.echo("Nothing changes.")


def _print_triggers(plan: Plan) -> None:
    for trigger in plan.triggers():
        for line in trigger.outlook(datetime.now(UTC)):
            click.echo(f"  trigger {trigger.name}: {line}")


def _print_tests(plan: Plan) -> None:
    for test in plan.tests if plan.changes_anything else ():
        reached = f" (reaches {', '.join(test.reaches)})" if test.reaches else ""
        click.echo(f"? test {test.name}{reached}")
