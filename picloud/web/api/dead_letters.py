"""Operations on dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from uuid import UUID

from picloud.errors import NotFound
from picloud.model.app import AppId
from picloud.model.dead_letter import LetterFilter
from picloud.storage.dead_letters import Decided
from picloud.web.api.dead_letter_models import (
    DecideBody,
    DecidedView,
    DecisionView,
    LetterEntry,
    LetterList,
    LetterQuery,
    LetterView,
    RedriveBody,
    RedrivenView,
)
from picloud.web.api.operation import Call


def list_dead_letters(call: Call, query: LetterQuery) -> LetterList:
    """Return dead letters, newest first."""
    letters, cursor = call.services.dead_letters.page(
        call.app().id, query.filter(), limit=query.limit, cursor=query.cursor
    )
    return LetterList(dead_letters=[LetterEntry.of(letter) for letter in letters], cursor=cursor)


def get_dead_letter(call: Call) -> LetterView:
    """Return one dead letter with its input and attempts."""
    return LetterView.of(call.services.dead_letters.get(call.app().id, _letter(call)))


def redrive_dead_letter(call: Call, body: RedriveBody) -> RedrivenView:
    """Let the trigger take a letter again."""
    app_id, by = call.app().id, call.principal.name
    event = call.services.dead_letters.redrive(app_id, _letter(call), by=by, edited=body.edited())
    return RedrivenView(event_id=event)


def discard_dead_letter(call: Call) -> None:
    """Leave a letter as it is."""
    call.services.dead_letters.discard(call.app().id, _letter(call), by=call.principal.name)


def redrive_dead_letters(call: Call, body: DecideBody) -> DecidedView:
    """Let triggers take letters again."""
    return _decide(call, body, "redriven", call.services.dead_letters.redrive_many)


def discard_dead_letters(call: Call, body: DecideBody) -> DecidedView:
    """Leave letters as they are."""
    return _decide(call, body, "discarded", call.services.dead_letters.discard_many)


def _decide(
    call: Call, body: DecideBody, outcome: Literal["redriven", "discarded"], decide: Callable[..., Decided]
) -> DecidedView:
    app_id, wanted = call.app().id, body.wanted()
    decided = decide(app_id, wanted, by=call.principal.name)
    return DecidedView.of(decided, outcome, _others(call, app_id, wanted, decided))


def _others(call: Call, app_id: AppId, wanted: LetterFilter, decided: Decided) -> list[DecisionView]:
    """Return what became of the letters that were asked for by id and not decided over now."""
    left = tuple(dict.fromkeys(letter for letter in wanted.ids or () if letter not in decided.events))
    states = call.services.dead_letters.states(app_id, left) if left else {}
    return [DecisionView(id=x, outcome="decided_before" if x in states else "not_found") for x in left]


def _letter(call: Call) -> UUID:
    text = call.path["letter"]
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no dead letter {text[:60]!r}.") from None
