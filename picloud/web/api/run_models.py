"""What the admin API gives of the history of runs."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from pydantic import Field

from picloud.engine.run_input import RunInput
from picloud.model.run import DAYS_MAX, RunRecord, RunStatus
from picloud.web.api.models import Model, Name

if TYPE_CHECKING:
    from picloud.model.event import Message
    from picloud.storage.runs import RunPage


class RunQuery(Model):
    """Which runs."""

    script: Name | None = Field(default=None, description="Only those of this script.")
    trigger: Name | None = Field(default=None, description="Only those of this trigger.")
    status: RunStatus | None = Field(default=None, description="Only those that ended so.")
    request_id: Name | None = Field(default=None, description="Only the one of this request: `X-Request-Id`.")
    event: UUID | None = Field(default=None, description="Only those on this event.")
    redrives: UUID | None = Field(default=None, description="Only those of this dead letter, delivered again.")
    before: int | None = Field(default=None, ge=1, lt=2**63, description="`next` of the page before.")
    limit: int = Field(default=50, ge=1, le=500)


class RunView(Model):
    """One run, or many that were alike."""

    id: UUID
    kind: str = Field(description="endpoint, or the kind of the trigger.")
    script: str
    version: str = Field(description="Of the script: hex SHA-256.")
    revision: int = Field(description="Of the app.")
    trigger: str | None
    subject: str = Field(description="The request or the event in short: `GET /hello/ada`, `set user:ada`.")
    principal: str | None = Field(description="Who made the request; null: nobody known, or an event.")
    request_id: str | None
    events: list[UUID]
    redrives: UUID | None = Field(description="The dead letter that was delivered again.")
    status: RunStatus
    code: str | None = Field(description="Of the error.")
    message: str | None
    http_status: int | None
    started_at: datetime
    duration_ms: float = Field(description="Wall-clock; the mean of those that were alike.")
    alike: int = Field(description="How many runs it stands for. More than one: the others have entries of their own.")

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Return the view of a record."""
        return cls(**{name: getattr(record, name) for name in RunView.model_fields} | {"events": list(record.events)})


class RunList(Model):
    """Runs, newest first."""

    runs: list[RunView]
    next: int | None = Field(description="Where the next page begins (`before`); null: there is none.")

    @classmethod
    def of(cls, page: RunPage) -> Self:
        """Return the view of a page."""
        return cls(runs=[RunView.of(record) for record in page.runs], next=page.next)


class RunLine(Model):
    """A line the run logged."""

    level: str
    message: str
    fields: str | None = Field(default=None, description="JSON.")


class BytesView(Model):
    """Bytes as text where they are, else as base64."""

    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, data: bytes | None) -> Self | None:
        """Return the view of bytes, None of none."""
        if data is None:
            return None
        try:
            return cls(text=data.decode())
        except UnicodeDecodeError:
            return cls(base64=base64.b64encode(data).decode())


class RequestView(Model):
    """The request an endpoint got."""

    method: str
    path: str
    params: dict[str, str]
    query: list[tuple[str, str]] = Field(description="Without the values of those that may be secrets.")
    headers: dict[str, str] = Field(description="Likewise.")
    body: BytesView | None


class MessageView(Model):
    """An event a trigger got."""

    id: UUID
    kind: str
    name: str
    operation: str | None
    key: BytesView | None
    value: Any = Field(description="What the script saw: JSON, or text or base64 of other bytes.")
    before: Any = Field(description="The document before the change.")
    version: int | None
    sent_at: float
    attempt: int

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return the view of a message."""
        event = message.event
        value = BytesView.of(event.payload)
        return cls(
            id=event.id,
            kind=str(event.kind),
            name=event.name,
            operation=event.operation,
            key=BytesView.of(event.key),
            value=json.loads(event.payload) if event.payload is not None and event.is_json else value,
            before=None if event.before is None else json.loads(event.before),
            version=event.version,
            sent_at=event.sent_s,
            attempt=message.attempt,
        )


class RunDetails(RunView):
    """One run with everything the history has of it."""

    error_script: str | None = Field(description="Where the error is; a module, perhaps.")
    error_line: int | None
    traceback: list[str]
    log: list[RunLine] = Field(description="The first lines it logged.")
    used: dict[str, float] | None = Field(description="What it used: the report of its limits.")
    input_bytes: int
    request: RequestView | None = Field(description="null: a trigger's run, or it was too large to keep.")
    messages: list[MessageView]

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """Return the view of a record with its input."""
        details = record.details
        given = RunInput() if record.input is None else RunInput.model_validate_json(record.input)
        return cls(
            **RunView.of(record).model_dump(),
            error_script=details["script"],
            error_line=details["line"],
            traceback=details["traceback"],
            log=[RunLine(**line) for line in details["log"]],
            used=details["used"],
            input_bytes=record.input_bytes,
            request=_request(given),
            messages=[MessageView.of(message) for message in given.messages],
        )


def _request(given: RunInput) -> RequestView | None:
    request = given.request
    if request is None:
        return None
    return RequestView(
        method=request.method,
        path=request.path,
        params=dict(given.params),
        query=list(request.query),
        headers=dict(request.headers),
        body=BytesView.of(request.body or None),
    )


class RetentionBody(Model):
    """How long runs are kept."""

    runs_kept_days: int | None = Field(
        ge=0, le=DAYS_MAX, description="Days of runs that ended well; null: as PICLOUD_RUNS_KEPT_DAYS says."
    )


class RetentionView(Model):
    """How long runs are kept."""

    runs_kept_days: int = Field(description="Days of runs that ended well.")
    is_own: bool = Field(description="Whether the app has its own; else it is PICLOUD_RUNS_KEPT_DAYS.")
    failed_runs_kept_days: int = Field(description="Days of all others.")
    runs_kept: int = Field(description="How many, of each way to end, at most.")
