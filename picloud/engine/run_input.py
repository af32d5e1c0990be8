"""What a run was given, as the history keeps it: enough to do the same run again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ConfigDict

from picloud.model.event import Event, Message
from picloud.model.http import Request
from picloud.model.trigger import TriggerKind

INPUT_MAX_BYTES: Final = 64 * 1024
"""Larger inputs are not kept: bodies and messages are what takes room."""
NOT_KEPT: Final = "(not kept)"
"""Stands for what may be a secret."""
_SECRET_NAME: Final = re.compile(
    "authorization|authentication|cookie|token|secret|passw|credential|session|assertion|jwt|(api|access|private)key"
    "|^(x?auth|sid|sig|pwd)$"
)
"""In the name of a header or a query field, written small and without what is no letter."""
_NO_LETTERS: Final = re.compile("[^a-z]+")
_SUBJECT_MAX: Final = 200


class RunInput(BaseModel):
    """A request with its route's parameters, or the messages of a trigger."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    request: Request | None = None
    """Without the values of headers and query fields that may be secrets."""
    params: Mapping[str, str] = {}
    messages: tuple[Message, ...] = ()

    @property
    def subject(self) -> str:
        """Say in short what it is: `GET /hello/ada`, `set user:ada`."""
        if self.request is not None:
            return _short(f"{self.request.method} {self.request.path}")
        first = subject_of(self.messages[0].event)
        others = len(self.messages) - 1
        return f"{first} and {others} more" if others else first

    @property
    def size_bytes(self) -> int:
        """How large it is, about: what a request or events hold of bytes, and what describes them."""
        if self.request is not None:
            pairs = (*self.request.query, *self.request.headers.items(), *self.params.items())
            return len(self.request.path) + len(self.request.body) + sum(len(a) + len(b) for a, b in pairs)
        events = [message.event for message in self.messages]
        return sum(len(part or b"") for event in events for part in (event.key, event.payload, event.before))

    def encode(self) -> bytes:
        """Return it as JSON, which `model_validate_json` reads."""
        return self.model_dump_json().encode()


def request_input(request: Request, params: Mapping[str, str]) -> RunInput:
    """Return what an endpoint was given."""
    query = tuple(_shown(*pair) for pair in request.query)
    headers = dict(_shown(*pair) for pair in request.headers.items())
    return RunInput.model_construct(request=replace(request, query=query, headers=headers), params=params)


def _shown(name: str, value: str) -> tuple[str, str]:
    """Return a header or a query field as it is kept: its name tells whether the value may be a secret."""
    return name, NOT_KEPT if _SECRET_NAME.search(_NO_LETTERS.sub("", name.lower())) else value


def messages_input(messages: Sequence[Message]) -> RunInput:
    """Return what a trigger was given."""
    return RunInput.model_construct(messages=tuple(messages))


def subject_of(event: Event) -> str:
    """Say in short what happened: `set user:ada`, `insert articles/7`, `mails`."""
    key = (event.key or b"").decode("utf-8", "replace")
    match event.kind:
        case TriggerKind.KV:
            return _short(f"{event.operation} {key}")
        case TriggerKind.DOCS:
            return _short(f"{event.operation} {event.name}/{key}")
    return _short(f"{event.kind} {event.name}")


def _short(text: str) -> str:
    return text if len(text) <= _SUBJECT_MAX else text[: _SUBJECT_MAX - 1] + "…"
