"""`picloud dead-letter`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from picloud.cli.session import app_option, author, confirm, json_option, open_session, print_json, print_table
from picloud.model.app import check_app_name
from picloud.model.dead_letter import LetterFilter, LetterState
from picloud.model.trigger import TriggerKind

if TYPE_CHECKING:
    from picloud.admin.dead_letters import DeadLetterAdministration
    from picloud.model.app import AppId
    from picloud.platform import Platform

ALL = "all"
COUNTED_MAX = 1000


class _Moment(click.ParamType[datetime]):
    """A time as ISO 8601 has it; on the clock of this machine when it names no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value[:40]!r} is no time: write it like 2026-01-31T03:00 or 2026-01-31T03:00Z.", param, ctx)


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which letters are meant."""
    for option in (
        click.option("--failed-before", type=_Moment(), metavar="TIME", help="Failed before then."),
        click.option("--failed-after", type=_Moment(), metavar="TIME", help="Failed then or later."),
        click.option("--text", help="The last error's message holds this, in capitals or not."),
        click.option("--code", help="The last error has this code."),
        click.option("--kind", type=click.Choice([kind.value for kind in TriggerKind]), help="Kind of the trigger."),
        click.option("--trigger", help="Name of the trigger that failed."),
    ):
        command = option(command)
    return command


@click.group("dead-letter")
def dead_letter() -> None:
    """List and show events no trigger could take, and decide over them.

    An id may be cut after eight characters when no other letter begins so.
    """


@dead_letter.command("list")
@app_option
@click.option(
    "--state", type=click.Choice([*(state.value for state in LetterState), ALL]), default="open", show_default=True,
    help="What was decided.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Letters at most.")
@click.option("--cursor", help="Where to go on, from the page before.")
@json_option
@_filters
def list_letters(app_name: str, state: str, limit: int, cursor: str | None, as_json: bool, **filters: Any) -> None:
    """List dead letters, newest first."""
    from picloud.admin.letter_text import TITLES, row
    from picloud.web.api.dead_letter_models import LetterEntry, LetterList

    wanted = _wanted(filters, None if state == ALL else LetterState(state))
    with open_session() as platform:
        letters, after = platform.dead_letters.page(_app(platform, app_name), wanted, limit=limit, cursor=cursor)
    if as_json:
        page = LetterList(dead_letters=[LetterEntry.of(letter) for letter in letters], cursor=after)
        print_json(page.model_dump(mode="json"))
        return
    print_table([title.upper() for title in TITLES], map(row, letters))
    if after:
        click.echo(f"There are older ones: --cursor {after}", err=True)


@dead_letter.command()
@click.argument("letter", metavar="ID")
@app_option
@json_option
def show(letter: str, app_name: str, as_json: bool) -> None:
    """Show a dead letter: input, and every attempt with error, traceback, logs and what it used."""
    from picloud.admin.letter_text import letter_lines
    from picloud.web.api.dead_letter_models import LetterView

    with open_session() as platform:
        letters, app_id = platform.dead_letters, _app(platform, app_name)
        found = letters.get(app_id, letters.resolve(app_id, letter))
    if as_json:
        print_json(LetterView.of(found).model_dump(mode="json"))
        return
    for line in letter_lines(found):
        click.echo(line)


@dead_letter.command()
@click.argument("letter", metavar="[ID]", required=False)
@app_option
@click.option("--input", "file", type=click.File("rb"), help="JSON in place of the letter's input; - is stdin.")
@click.option("--bytes", "is_bytes", is_flag=True, help="What --input gives is a string of any bytes, not JSON.")
@click.option("--all", "all_letters", is_flag=True, help="All open letters, or those the filters mean, oldest first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@_filters
def redrive(
    letter: str | None, app_name: str, file: IO[bytes] | None, is_bytes: bool, all_letters: bool, yes: bool,
    as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """Let the trigger take a dead letter again, as the trigger is live now."""
    from picloud.storage.kv import Content

    _check_which(letter, all_letters, filters)
    if is_bytes and file is None:
        raise click.UsageError("--bytes goes with --input.")
    if all_letters and file is not None:
        raise click.UsageError("--input is for one letter, not for --all.")
    edited = None if file is None else Content(not is_bytes, file.read())
    with open_session() as platform:
        letters, app_id = platform.dead_letters, _app(platform, app_name)
        if letter is None:
            count = _all(letters, app_id, filters, yes, "Redrive", letters.redrive_all)
            _tell(as_json, {"redriven": count}, f"Redriven: {count}.")
            return
        identity = letters.resolve(app_id, letter)
        event = letters.redrive(app_id, identity, by=author(), edited=edited)
    done = {"id": str(identity), "event_id": str(event)}
    _tell(as_json, done, f"Dead letter {identity} is on its way to its trigger again, as event {event}.")


@dead_letter.command()
@click.argument("letter", metavar="[ID]", required=False)
@app_option
@click.option("--all", "all_letters", is_flag=True, help="All open letters, or those the filters mean.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@_filters
def discard(letter: str | None, app_name: str, all_letters: bool, yes: bool, as_json: bool, **filters: Any) -> None:
    """Leave a dead letter as it is, off the list."""
    _check_which(letter, all_letters, filters)
    with open_session() as platform:
        letters, app_id = platform.dead_letters, _app(platform, app_name)
        if letter is None:
            count = _all(letters, app_id, filters, yes, "Discard", letters.discard_all)
            _tell(as_json, {"discarded": count}, f"Discarded: {count}.")
            return
        identity = letters.resolve(app_id, letter)
        letters.discard(app_id, identity, by=author())
    _tell(as_json, {"id": str(identity)}, f"Dead letter {identity} is off the list.")


def _wanted(filters: dict[str, Any], state: LetterState | None) -> LetterFilter:
    kind = filters["kind"]
    return LetterFilter(**{**filters, "state": state, "kind": None if kind is None else TriggerKind(kind)})


def _check_which(letter: str | None, all_letters: bool, filters: dict[str, Any]) -> None:
    if (letter is None) != all_letters:
        raise click.UsageError("Give either the ID of a letter or --all.")
    if any(value is not None for value in filters.values()) and not all_letters:
        raise click.UsageError("Filters go with --all.")


def _all(
    letters: DeadLetterAdministration, app_id: AppId, filters: dict[str, Any], yes: bool, verb: str,
    decide: Callable[..., int],
) -> int:  # fmt: skip
    wanted = letters.until_now(app_id, _wanted(filters, LetterState.OPEN))  # an answer is about those it counts
    if not yes:
        found, after = letters.page(app_id, wanted, limit=COUNTED_MAX)
        if not found:
            return 0
        count = f"{len(found)}{' or more' if after else ''}"
        confirm(f"{verb} {count} dead letter{'s' * (len(found) != 1)}?")
    return decide(app_id, wanted, by=author())


def _tell(as_json: bool, done: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(done)
    else:
        click.echo(sentence)


def _app(platform: Platform, app_name: str) -> AppId:
    return platform.apps.get(check_app_name(app_name)).id
