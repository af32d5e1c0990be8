"""What commands share: settings, an open platform, who is calling, output."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from picloud.errors import InvalidInput
from picloud.settings import Settings

if TYPE_CHECKING:
    from picloud.platform import Platform

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""For every command that lists or shows something."""
app_option: Callable[[Any], Any] = click.option("--app", "app_name", required=True, help="The app.")
"""For every command about one app that is there."""


def read_settings(**overrides: object) -> Settings:
    """Return the settings of the environment with a command's options over them; None leaves a setting as it is."""
    try:
        return Settings.model_validate(
            {**dict(Settings()), **{name: value for name, value in overrides.items() if value is not None}}
        )
    except ValidationError as error:
        finding = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(finding["loc"][0]) if finding["loc"] else ""
        raise InvalidInput(f"PICLOUD_{name.upper()}: {finding['msg']}.") from None


@contextmanager
def open_session() -> Iterator[Platform]:
    """Yield the platform the environment describes."""
    from picloud.platform import open_platform

    with open_platform(read_settings()) as platform:
        yield platform


def author() -> str:
    """Return who releases made by a command are by."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return f"cli:{os.getuid()}"


def confirm(question: str) -> None:
    """Ask on stderr whether to go on; end the command with exit code 1 unless somebody says yes."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:  # stdin is at its end, as in a pipe
        click.echo(err=True)
        raise InvalidInput("Nobody answered, so nothing was done: --yes does it without asking.") from None
    if not agreed:
        raise click.Abort


def print_json(value: object) -> None:
    """Print one JSON document; times as ISO 8601, control characters escaped, also those JSON does not ask it of."""
    from picloud.engine.log import one_line

    click.echo(one_line(json.dumps(value, ensure_ascii=False, default=_to_json)))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns, whatever control characters somebody wrote into them."""
    from picloud.engine.log import one_line

    table = [list(titles), *([one_line(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _to_json(value: Any) -> str:
    return str(value.isoformat())
