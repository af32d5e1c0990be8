"""`dead_letters`: events that no trigger could take, to be looked at and delivered again."""

from __future__ import annotations

import re
from typing import Annotated, Final
from uuid import UUID

from picloud.errors import InvalidInput
from picloud.sdk.run import Run
from picloud.sdk.spec import Cell, Data, Namespace, Row, Rows
from picloud.storage import events
from picloud.storage.events import DeadLetter

LIST_MAX: Final = 100

dead_letters = Namespace(
    "dead_letters",
    """Events whose triggers failed as often as they may, until somebody decides over them.

A dead letter has `id`, `kind` (as triggers have it), `name` (of the queue, topic or collection), `message` (what the
script got: message, value or document), `script` (which failed), `code` and `error` (how), `attempts`, and `sent_at`
and `failed_at` in seconds since 1970.""",
)
_COLUMNS: Final = (
    "id", "kind", "name", "message*", "script", "code", "error", "attempts", "sent_at", "failed_at",
)  # fmt: skip
_CURSOR: Final = re.compile(r"([0-9]{1,17})/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")

Id = Annotated[str, "of the dead letter"]


@dead_letters.function(
    name="list",
    returns="dead letters, those that failed last first, and a cursor when there are more",
    example="""
    for _, letter in ipairs(dead_letters.list({ limit = 10 })) do
      print(letter.name, letter.error)
    end
    """,
)
def list_(
    run: Run,
    *,
    limit: Annotated[int, f"how many at most, up to {LIST_MAX}"] = LIST_MAX,
    cursor: Annotated[str | None, "where to go on, from the page before"] = None,
) -> tuple[Rows, str | None]:
    """List dead letters page by page."""
    if not 1 <= limit <= LIST_MAX:
        raise InvalidInput(f"limit must be from 1 to {LIST_MAX}, got {limit}")
    found = events.list_dead(run.data, limit=limit + 1, before=_before(cursor))
    page = found[:limit]
    return Rows(_COLUMNS, tuple(map(_cells, page))), _cursor(page[-1]) if len(found) > limit else None


@dead_letters.function(
    returns="the dead letter, or nil when there is none",
    example='dead_letters.get("0193f4a8-0000-7000-8000-000000000000") --> nil',
)
def get(run: Run, id: Id) -> Row | None:  # noqa: A002  the name scripts know
    """Read one dead letter."""
    found = events.get_dead(run.data, _id(id))
    return Row(_COLUMNS, _cells(found)) if found else None


@dead_letters.function(
    returns="whether there was such a dead letter",
    example='dead_letters.redrive("0193f4a8-0000-7000-8000-000000000000") --> false',
)
def redrive(run: Run, id: Id) -> bool:  # noqa: A002
    """Let the trigger that failed take it again, at once, and take it off the list."""
    return events.redrive(run.data, _id(id))


@dead_letters.function(
    returns="whether there was such a dead letter",
    example='dead_letters.discard("0193f4a8-0000-7000-8000-000000000000") --> false',
)
def discard(run: Run, id: Id) -> bool:  # noqa: A002
    """Decide to leave it, and take it off the list."""
    return events.discard(run.data, _id(id))


def _cells(letter: DeadLetter) -> tuple[Cell, ...]:
    where = (str(letter.id), letter.kind, letter.name)
    message = None if letter.payload is None else Data(letter.is_json, letter.payload)
    failure = (letter.script, letter.code, letter.message, letter.attempts)
    return (*where, message, *failure, letter.sent_s, letter.failed_us / 1_000_000)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("this is no id of a dead letter") from None


def _cursor(letter: DeadLetter) -> str:
    return f"{letter.failed_us}/{letter.id}"


def _before(cursor: str | None) -> tuple[int, UUID] | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise InvalidInput("the cursor is none that dead_letters.list gave")
    return int(found[1]), UUID(found[2])
