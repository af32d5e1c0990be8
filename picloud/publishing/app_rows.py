"""What a file of an app holds: one class per line's kind, checked as what scripts and authors send is.

`tests/integration/publishing/test_app_schema.py` holds these classes against the database: a table or column of apps
that is neither here nor named as left out, with the reason, is a failing test.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from picloud.errors import InvalidInput
from picloud.model.app import APP_NAME
from picloud.model.documents import parse_path
from picloud.model.json_text import check_json
from picloud.model.script import SOURCE_MAX_BYTES
from picloud.model.trigger import (
    BACKOFF_MAX_S,
    BATCH_MAX,
    LATE_MAX_S,
    RETRIES_MAX,
    TIMEOUT_MAX_S,
    WAIT_MAX_S,
    TriggerKind,
)
from picloud.publishing.publisher import MESSAGE_MAX
from picloud.sdk.docs import DOCUMENT_MAX_BYTES, ID_MAX_BYTES
from picloud.sdk.kv import KEY_MAX_BYTES, VALUE_MAX_BYTES
from picloud.sdk.messages import MESSAGE_MAX_BYTES, check_name
from picloud.sdk.queue import DEDUPE_KEY_MAX_BYTES
from picloud.storage.document_query import stored_keys, stored_path
from picloud.storage.releases import in_current_form
from picloud.storage.searchable import original_text, searchable


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character")
    return value


def _bytes_of_file(value: Any) -> bytes:
    match value:
        case str():
            return value.encode()
        case {"base64": str(encoded), **more} if not more:
            return base64.b64decode(encoded, validate=True)
    raise ValueError('bytes are a text, or {"base64": ...}')


def _bytes_in_file(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


Text = Annotated[str, AfterValidator(_text)]
Bytes = Annotated[bytes, BeforeValidator(_bytes_of_file), PlainSerializer(_bytes_in_file)]
Time = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
Version = Annotated[int, Field(ge=0, lt=2**62)]
"""With room to grow."""
Collection = Annotated[str, Field(pattern=r"\A[a-zA-Z_][a-zA-Z0-9_-]{0,63}\z")]
Json = dict[str, Any]


class Line(BaseModel):
    """Something a line of a file holds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class AppLine(Line):
    """The app itself."""

    name: Annotated[str, Field(pattern=rf"\A{APP_NAME.pattern}\z")]
    revision: Version
    created_at: Time


class Header(Line):
    """The first line."""

    format: int
    picloud: str
    """Version of PiCloud that wrote the file."""
    schema_number: int
    """Of the last migration it knew."""
    app: AppLine


class Row(Line):
    """A row of a table, its fields named as the columns."""

    order: ClassVar[tuple[str, ...]]
    """Columns rows are sorted by: the same rows give the same file."""
    made: ClassVar[tuple[str, ...]] = ()
    """Columns made of the others."""
    given: ClassVar[Mapping[str, str]] = {}
    """Columns the database fills, and why they are not in the file."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the columns the file holds, which are also what `of_stored` takes."""
        return tuple(cls.model_fields)

    @classmethod
    def of_stored(cls, *values: Any) -> Self:
        """Make a line of a row of the database, which is not checked again."""
        return cls.model_construct(**dict(zip(cls.columns(), values, strict=True)))

    def stored(self) -> tuple[Any, ...]:
        """Return what to write to the columns, those that are `made` last."""
        return tuple(getattr(self, name) for name in self.columns())


class SourceRow(Row):
    """A text of scripts or tests."""

    order = ("version",)

    version: Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
    source: Annotated[Text, Field(max_length=SOURCE_MAX_BYTES)]


class FailedTestLine(Line):
    """A test that failed when a release was forced."""

    test: Text
    message: Text
    line: Annotated[int, Field(ge=1)] | None
    at: Text | None


class ReleaseRow(Row):
    """A release; the texts its manifest names are in `sources`."""

    order = ("number",)

    number: Annotated[int, Field(ge=1, lt=2**62)]
    manifest: Json
    author: Text
    message: Annotated[Text, Field(max_length=MESSAGE_MAX)]
    notebook: Text | None
    created_at: Time
    forced_reason: Text | None = None
    forced_failures: list[FailedTestLine] | None = None

    @classmethod
    def of_stored(cls, number: int, manifest: Json, *values: Any) -> Self:
        """Make a line of a row of the database."""
        *others, failures = values
        lines = None if failures is None else [FailedTestLine(**failure) for failure in failures]
        return super().of_stored(number, in_current_form(manifest), *others, lines)

    def stored(self) -> tuple[Any, ...]:
        """Return what to write, JSON as text."""
        *values, failures = super().stored()
        lines = None if failures is None else json.dumps([line.model_dump() for line in failures])
        return *(json.dumps(value) if isinstance(value, dict) else value for value in values), lines

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.forced_reason is None) != (self.forced_failures is None):
            raise ValueError("forced_reason and forced_failures go together")
        return self


class KvEntryRow(Row):
    """An entry of `kv`."""

    order = ("key",)

    key: Annotated[Bytes, Field(min_length=1, max_length=KEY_MAX_BYTES)]
    is_json: bool
    value: Annotated[Bytes, Field(max_length=VALUE_MAX_BYTES)]
    version: Version
    expires_at: Time | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        return self if not self.is_json else _with_json(self, self.value)


class DocumentIndexRow(Row):
    """An index that scripts declared; its path as they write it."""

    order = ("collection", "path")
    made = ("keys",)
    given: ClassVar[Mapping[str, str]] = {"id": "each database numbers its own"}

    collection: Collection
    path: str

    @classmethod
    def of_stored(cls, collection: str, path: str) -> Self:
        """Make a line of a row of the database."""
        return super().of_stored(collection, original_text(path))

    def stored(self) -> tuple[Any, ...]:
        """Return what to write."""
        path = parse_path(self.path)
        return self.collection, stored_path(path), stored_keys(path)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            parse_path(self.path)
        except InvalidInput as error:
            raise ValueError(error.message) from None
        return self


class DocumentRow(Row):
    """A document."""

    order = ("collection", "id")
    made = ("search",)

    collection: Collection
    id: Text
    version: Version
    created_at: Time
    updated_at: Time
    body: str

    def stored(self) -> tuple[Any, ...]:
        """Return what to write."""
        return *super().stored(), searchable(self.body)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= len(self.id.encode()) <= ID_MAX_BYTES:
            raise ValueError(f"an id has 1 to {ID_MAX_BYTES} bytes")
        body = self.body.encode()
        if not body.startswith(b"{") or len(body) > DOCUMENT_MAX_BYTES:
            raise ValueError(f"the body of a document is a JSON object of at most {DOCUMENT_MAX_BYTES} bytes")
        return _with_json(self, body)


class RetryLine(Line):
    """What happens when the script fails."""

    retries: Annotated[int, Field(ge=0, le=RETRIES_MAX)]
    backoff_s: Annotated[float, Field(ge=0, le=BACKOFF_MAX_S)]
    backoff_max_s: Annotated[float, Field(ge=0, le=BACKOFF_MAX_S)]
    jitter: Annotated[float, Field(ge=0, le=1)]


class OptionsLine(Line):
    """What a trigger was like when its event happened."""

    retry: RetryLine
    timeout_s: Annotated[float, Field(gt=0, le=TIMEOUT_MAX_S)] | None
    batch: Annotated[int, Field(ge=1, le=BATCH_MAX)]
    wait_s: Annotated[float, Field(ge=0, le=WAIT_MAX_S)]
    tz: Text | None = None
    catch_up: Literal["none", "last", "all"] | None = None
    late_max_s: Annotated[float, Field(ge=0, le=LATE_MAX_S)] | None = None
    overlap: Literal["skip", "queue", "cancel", "allow"] | None = None


class _EventParts(Row):
    """What happened."""

    kind: TriggerKind
    name: Text
    operation: Text | None
    key: Bytes | None
    is_json: bool
    payload: Annotated[Bytes, Field(max_length=DOCUMENT_MAX_BYTES)] | None
    before: Annotated[Bytes, Field(max_length=DOCUMENT_MAX_BYTES)] | None
    version: Version | None
    depth: Annotated[int, Field(ge=0, lt=2**31)]
    sent_at: Time

    @field_validator("kind", mode="before")
    @classmethod
    def _kind(cls, value: object) -> object:
        return TriggerKind(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind in (TriggerKind.QUEUE, TriggerKind.TOPIC):
            _check_channel(self.name, self.kind)
            if self.payload is None or len(self.payload) > MESSAGE_MAX_BYTES:
                raise ValueError(f"a message has a payload of at most {MESSAGE_MAX_BYTES} bytes")
        for content in (self.payload if self.is_json else None, self.before):
            if content is not None:
                _with_json(self, content)
        return self


class EventRow(_EventParts):
    """Something that happened and is not settled yet."""

    order = ("number",)
    given: ClassVar[Mapping[str, str]] = {"number": "the order of the lines says the same"}

    id: UUID
    dedupe_key: Annotated[Bytes, Field(min_length=1, max_length=DEDUPE_KEY_MAX_BYTES)] | None
    due_at: Time
    is_redriven: bool


class DeliveryRow(Row):
    """What a trigger still has to do with an event."""

    order = ("number",)
    given: ClassVar[Mapping[str, str]] = {
        "number": "the order of the lines says the same",
        "taken_by": "no job of another database has it",
        "lease": "no job of another database has it",
        "job": "the database makes one",
        "ready_at": "the database tells by the event and the attempts",
    }

    event_id: UUID
    trigger: Text
    script: Text
    options: OptionsLine
    due_at: Time
    attempts: Annotated[int, Field(ge=0, le=RETRIES_MAX)]
    failures: list[Json]
    redrives: UUID | None
    cancelled_at: Time | None = None
    is_backfilled: bool = False

    @classmethod
    def of_stored(cls, *values: Any) -> Self:
        """Make a line of a row of the database."""
        return super().of_stored(*_with_options(cls, values))

    def stored(self) -> tuple[Any, ...]:
        """Return what to write, JSON as text."""
        return tuple(map(_json_text, super().stored()))


class DeadLetterRow(_EventParts):
    """An event a trigger could not take."""

    order = ("failed_at", "id")

    id: UUID
    event_id: UUID
    trigger: Text
    script: Text
    options: OptionsLine
    code: Text
    message: Text
    attempts: Annotated[int, Field(ge=0, lt=2**31)]
    failures: list[Json]
    failed_at: Time
    state: Literal["open", "redriven", "discarded"]
    decided_at: Time | None
    decided_by: Text | None
    redriven_as: UUID | None
    redrives: UUID | None

    @classmethod
    def of_stored(cls, *values: Any) -> Self:
        """Make a line of a row of the database."""
        return super().of_stored(*_with_options(cls, values))

    def stored(self) -> tuple[Any, ...]:
        """Return what to write, JSON as text."""
        return tuple(map(_json_text, super().stored()))


def _check_channel(name: str, kind: TriggerKind) -> None:
    try:
        check_name(name, kind)
    except InvalidInput as error:
        raise ValueError(error.message) from None


def _with_options(row: type[Row], values: tuple[Any, ...]) -> Iterator[Any]:
    for column, value in zip(row.columns(), values, strict=True):
        yield OptionsLine.model_validate(value) if column == "options" else value


def _json_text(value: Any) -> Any:
    if isinstance(value, OptionsLine):
        return json.dumps(value.model_dump(exclude_unset=True))
    return json.dumps(value) if isinstance(value, list | dict) else value


TABLES: Final[Mapping[str, type[Row]]] = {
    "sources": SourceRow,
    "releases": ReleaseRow,
    "document_indexes": DocumentIndexRow,
    "documents": DocumentRow,
    "kv_entries": KvEntryRow,
    "events": EventRow,
    "deliveries": DeliveryRow,
    "dead_letters": DeadLetterRow,
}
"""What a file holds row by row, in this order: indexes before documents. What is live comes after all of it, so that
nothing that is brought in starts a run."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "tokens": "secrets: whoever opens the app elsewhere gets new ones there",
    "scripts": "the line `live` has them, as a manifest",
    "routes": "the line `live` has them, as a manifest",
    "triggers": "the line `live` has them, as a manifest",
    "script_imports": "what the scripts say",
    "schedules": "they begin where the app goes live",
    "ticks": "what became of schedules in this database",
    "runs": "what ran in this database",
    "document_keys": "made of documents and indexes",
}
"""The other tables of apps, and why."""


_R = TypeVar("_R", bound=Row)


def _with_json(row: _R, content: bytes) -> _R:
    """Return the row when the content is JSON that scripts can read and the database can search."""
    check_json(content)
    return row
