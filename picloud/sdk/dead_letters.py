"""`dead_letters`: events that no trigger could take, to be looked at and delivered again."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from picloud.errors import InvalidInput
from picloud.model.dead_letter import DeadLetter, LetterFilter, LetterState, Position
from picloud.sdk.letter_input import check_input
from picloud.sdk.run import Run
from picloud.sdk.spec import Cell, Data, Namespace, Row, Rows
from picloud.storage.dead_letters import DeadLetters
from picloud.storage.kv import Content

LIST_MAX: Final = 100
PAGE_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of messages in one list."""
BY_SCRIPT: Final = "script"
"""Who decided over a dead letter, when it was not a person."""

dead_letters = Namespace(
    "dead_letters",
    """Events whose triggers failed as often as they may, until somebody decides over them.

A dead letter has `id`, `trigger`, `kind` (as triggers have it), `name` (of the queue, topic or collection),
`operation` and `key` (of the entry, or the document's id) where there are any, `message` (what the script got: message,
value or document), `event_id`, `script` (which failed), `code` and `error` (how), `attempts`, and `sent_at` and
`failed_at` in seconds since 1970.""",
)
_COLUMNS: Final = (
    "id", "trigger", "kind", "name", "operation", "key", "message*", "event_id", "script", "code", "error", "attempts",
    "sent_at", "failed_at",
)  # fmt: skip

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
    trigger: Annotated[str | None, "only those of this trigger"] = None,
    limit: Annotated[int, f"how many at most, up to {LIST_MAX}; a page ends sooner when it grows large"] = LIST_MAX,
    cursor: Annotated[str | None, "where to go on, from the page before"] = None,
) -> tuple[Rows, str | None]:
    """List dead letters page by page."""
    if not 1 <= limit <= LIST_MAX:
        raise InvalidInput(f"limit must be from 1 to {LIST_MAX}, got {limit}")
    found, after = DeadLetters(run.data.fetch).page(
        LetterFilter(trigger=trigger),
        limit=limit,
        after=None if cursor is None else Position.of(cursor),
        input_bytes_max=PAGE_MAX_BYTES,
    )
    return Rows(_COLUMNS, tuple(map(_cells, found))), after.cursor() if after else None


@dead_letters.function(
    returns="the dead letter, or nil when there is none",
    example='dead_letters.get("0193f4a8-0000-7000-8000-000000000000") --> nil',
)
def get(run: Run, id: Id) -> Row | None:  # noqa: A002  the name scripts know
    """Read one dead letter."""
    found = _open(run, _id(id))
    return Row(_COLUMNS, _cells(found)) if found else None


@dead_letters.function(
    returns="whether there was such a dead letter",
    example='dead_letters.redrive("0193f4a8-0000-7000-8000-000000000000") --> false',
)
def redrive(
    run: Run,
    id: Id,  # noqa: A002
    *,
    message: Annotated[Data | None, "what the script gets in place of the letter's message; left out: that"] = None,
) -> bool:
    """Let the trigger that failed take it again, at once, and take it off the list.

    With another `message` it is another event, with another id; the letter keeps what failed. What comes with a
    deletion, a tick or a dead letter cannot be edited.
    """
    identity, edited = _id(id), None
    if message is not None:
        letter = _open(run, identity)
        if letter is None:
            return False
        edited = check_input(letter, Content(message.is_json, message.content))
    return DeadLetters(run.data.fetch).redrive(identity, by=BY_SCRIPT, edited=edited) is not None


@dead_letters.function(
    returns="whether there was such a dead letter",
    example='dead_letters.discard("0193f4a8-0000-7000-8000-000000000000") --> false',
)
def discard(run: Run, id: Id) -> bool:  # noqa: A002
    """Decide to leave it, and take it off the list."""
    return DeadLetters(run.data.fetch).discard(_id(id), by=BY_SCRIPT)


def _open(run: Run, identity: UUID) -> DeadLetter | None:
    letter = DeadLetters(run.data.fetch).get(identity)
    return letter if letter and letter.state is LetterState.OPEN else None


def _cells(letter: DeadLetter) -> tuple[Cell, ...]:
    message = None if letter.payload is None else Data(letter.is_json, letter.payload)
    return (
        str(letter.id), letter.trigger, letter.kind, letter.name, letter.operation, letter.key, message,
        str(letter.event_id), letter.script, letter.code, letter.message, letter.attempts, letter.sent_at.timestamp(),
        letter.failed_at.timestamp(),
    )  # fmt: skip


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("this is no id of a dead letter") from None
