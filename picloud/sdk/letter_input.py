"""What may take the place of a dead letter's input: only what an event of its kind could have brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.dead_letter import DeadLetter
from picloud.model.json_text import check_json
from picloud.model.trigger import TriggerKind
from picloud.sdk.docs import DOCUMENT_MAX_BYTES
from picloud.sdk.kv import VALUE_MAX_BYTES
from picloud.sdk.messages import MESSAGE_MAX_BYTES
from picloud.storage.kv import Content

INPUT_MAX_BYTES: Final[Mapping[TriggerKind, int]] = {
    TriggerKind.KV: VALUE_MAX_BYTES,
    TriggerKind.DOCS: DOCUMENT_MAX_BYTES,
    TriggerKind.QUEUE: MESSAGE_MAX_BYTES,
    TriggerKind.TOPIC: MESSAGE_MAX_BYTES,
}
"""Of the kinds whose input can be edited."""


def check_input(letter: DeadLetter, edited: Content) -> Content:
    """Return the edited input when the letter can have it, else raise `InvalidInput` with what to do."""
    limit = INPUT_MAX_BYTES.get(letter.kind)
    if limit is None:
        raise InvalidInput(f"what a {letter.kind} trigger gets cannot be edited: redrive the letter as it is")
    if letter.operation == "delete":
        raise InvalidInput("nothing comes with a deletion that could be edited: redrive the letter as it is")
    if len(edited.content) > limit:
        raise InvalidInput(f"the input has {len(edited.content)} bytes, more than the {limit} allowed")
    if edited.is_json:
        try:
            check_json(edited.content)
        except ValueError as error:
            raise InvalidInput(f"the input cannot be read: {error}") from None
    if letter.kind is TriggerKind.DOCS and not (edited.is_json and edited.content.lstrip().startswith(b"{")):
        raise InvalidInput("a document is a JSON object")
    return edited
