"""Dead letters as JSON. `picloud dead-letter --json` prints the same."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from picloud.admin.dead_letters import DECIDED_MAX
from picloud.errors import InvalidInput
from picloud.model.dead_letter import Attempt, DeadLetter, LetterFilter, LetterState
from picloud.model.json_text import check_json
from picloud.model.trigger import TriggerKind
from picloud.storage.dead_letters import Decided
from picloud.storage.kv import Content
from picloud.web.api.models import Model, Name, Text

TEXT_MAX_LENGTH = 1000
"""Of what messages are searched for."""


class LetterFilterBody(Model):
    """Which letters are meant; what is left out does not count."""

    trigger: Name | None = None
    kind: TriggerKind | None = None
    code: Name | None = Field(default=None, description="Of the last attempt's error.")
    text: Annotated[Text, Field(max_length=TEXT_MAX_LENGTH)] | None = Field(
        default=None, description="What the last attempt's message holds, in capitals or not."
    )
    failed_after: AwareDatetime | None = Field(default=None, description="Failed then or later.")
    failed_before: AwareDatetime | None = Field(default=None, description="Failed before then.")

    def wanted(self, state: LetterState | None = LetterState.OPEN, ids: tuple[UUID, ...] | None = None) -> LetterFilter:
        """Return the filter, for letters in that state, of these ids if any are given."""
        return LetterFilter(
            state, self.trigger, self.kind, self.code, self.text, self.failed_after, self.failed_before, ids
        )


class LetterQuery(LetterFilterBody):
    """Which letters, and which page of them."""

    state: Literal["open", "redriven", "discarded", "all"] = "open"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: Name | None = Field(default=None, description="Where to go on, from the page before.")

    def filter(self) -> LetterFilter:
        """Return which letters are asked for."""
        return self.wanted(None if self.state == "all" else LetterState(self.state))


class LetterEntry(Model):
    """A dead letter without its input and attempts."""

    id: UUID
    trigger: str
    kind: TriggerKind
    name: str = Field(description="Collection, queue or topic; the trigger of a tick or a dead letter.")
    operation: str | None
    key: str | None = Field(description="Of the entry, or the document's id.")
    key_base64: str | None = Field(description="In place of `key` when that is no UTF-8.")
    version: int | None = Field(description="Of the entry or document after the change.")
    event_id: UUID = Field(description="What the script knew as `event.id`.")
    script: str
    code: str = Field(description="Of the last attempt's error.")
    message: str = Field(description="What went wrong at the last attempt.")
    attempts: int
    sent_at: datetime
    failed_at: datetime
    state: LetterState
    decided_at: datetime | None
    decided_by: str | None
    redriven_as: UUID | None = Field(description="The event its trigger got again: another one when it was edited.")
    redrives: UUID | None = Field(description="The letter whose redrive this is the failure of.")

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return the entry of a letter."""
        return cls(**_facts(letter))


class AttemptView(Model):
    """One attempt that failed."""

    at: datetime | None
    code: str
    message: str
    version: str | None = Field(description="Of the script that ran.")
    script: str | None = Field(description="Where the error is.")
    line: int | None
    traceback: list[str]
    log: list[dict[str, Any]] = Field(description="The first lines of the run: `level`, `message`, perhaps `fields`.")
    used: dict[str, Any] | None = Field(description="What the run used.")

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Return the view of an attempt."""
        return cls(
            at=attempt.at,
            code=attempt.code,
            message=attempt.message,
            version=attempt.version,
            script=attempt.script,
            line=attempt.line,
            traceback=list(attempt.traceback),
            log=[dict(line) for line in attempt.log],
            used=None if attempt.used is None else dict(attempt.used),
        )


class LetterView(LetterEntry):
    """A dead letter, whole."""

    input: Any = Field(description="Value, document after the change, message, tick or letter; null without one.")
    input_base64: str | None = Field(description="In place of `input` when that is no JSON.")
    before: Any = Field(description="The document before the change.")
    failures: list[AttemptView]

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return the view of a letter that was read whole."""
        value, encoded = _value(letter.payload, letter.is_json)
        before, _ = _value(letter.before, True)
        failures = [AttemptView.of(attempt) for attempt in letter.failures]
        return cls(**_facts(letter), input=value, input_base64=encoded, before=before, failures=failures)


class LetterList(Model):
    """Dead letters, newest first."""

    dead_letters: list[LetterEntry]
    cursor: str | None = Field(description="For the next page; null after the last.")


class RedriveBody(Model):
    """What the trigger gets; without a field, what it got before."""

    input: Any = Field(default=None, description="Another input, as JSON.")
    input_base64: str | None = Field(default=None, description="Another input, as a string of any bytes.")

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError("give input or input_base64, not both")
        return self

    def edited(self) -> Content | None:
        """Return the other input, None without one; raise `InvalidInput`."""
        if self.input_base64 is not None:
            try:
                return Content(False, base64.b64decode(self.input_base64, validate=True))
            except (binascii.Error, ValueError):
                raise InvalidInput("body.input_base64: this is no Base64.") from None
        if "input" in self.model_fields_set:
            text = json.dumps(self.input, ensure_ascii=False, separators=(",", ":"))
            return Content(True, text.encode("utf-8", "surrogatepass"))
        return None


class RedrivenView(Model):
    """What a redrive led to."""

    event_id: UUID = Field(description="The event the trigger gets.")


class DecideBody(Model):
    """Which letters to decide over: some ids, or all open ones a filter means."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=DECIDED_MAX)] | None = None
    filter: LetterFilterBody | None = Field(default=None, description="`{}` means all open ones.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give one of ids and filter")
        return self

    def wanted(self) -> LetterFilter:
        """Return which letters are meant."""
        return (self.filter or LetterFilterBody()).wanted(ids=None if self.ids is None else tuple(self.ids))


class DecisionView(Model):
    """What became of one letter."""

    id: UUID
    outcome: Literal["redriven", "discarded", "decided_before", "not_found"]
    event_id: UUID | None = Field(default=None, description="The event the trigger gets.")


class DecidedView(Model):
    """What became of the letters."""

    results: list[DecisionView]
    more: bool = Field(description=f"Whether the filter means others, beyond the oldest {DECIDED_MAX}: ask again.")

    @classmethod
    def of(cls, decided: Decided, outcome: Literal["redriven", "discarded"], others: list[DecisionView]) -> Self:
        """Return the view of a decision; `others` are those it was not taken over."""
        done = [DecisionView(id=letter, outcome=outcome, event_id=event) for letter, event in decided.events.items()]
        return cls(results=done + others, more=decided.more)


def _facts(letter: DeadLetter) -> dict[str, Any]:
    names = LetterEntry.model_fields.keys() - {"key", "key_base64"}
    key, encoded = _text(letter.key)
    return {**{name: getattr(letter, name) for name in names}, "key": key, "key_base64": encoded}


def _text(content: bytes | None) -> tuple[str | None, str | None]:
    """Return bytes as text, or when they are none as Base64."""
    if content is None:
        return None, None
    try:
        return content.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(content).decode()


def _value(content: bytes | None, is_json: bool) -> tuple[Any, str | None]:
    """Return the value JSON stands for, or of what is none a script could read the bytes as Base64."""
    if content is None:
        return None, None
    if is_json:
        try:
            check_json(content)
        except ValueError:  # written behind the API
            pass
        else:
            return json.loads(content), None
    return None, base64.b64encode(content).decode()
