"""Notes each run in the history, beside the run: it costs a run next to nothing, and never fails one.

Runs are gathered in memory and written by a thread, once a second. Of runs that are alike (one script, one way to end)
the first few of each second have a row each, as long as the app has room; the others are counted by one more row. So a
flood takes little room, in memory and in the database, every run is counted, and no success pushes out an error, nor
one app the runs of another. While the database is away, the notes wait. A process that is killed loses those of its
last second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from picloud.engine.executor import Observe
from picloud.engine.log import KeptLines, one_line
from picloud.engine.run_input import INPUT_MAX_BYTES, RunInput, messages_input, request_input
from picloud.errors import CallerError, DatabaseUnavailable, PicloudError, PlatformError, RunInterrupted, ScriptError
from picloud.model.app import App, AppId
from picloud.model.event import Message
from picloud.model.http import Request, Response
from picloud.model.run import ENDPOINT, RunRecord, RunReport, RunStatus
from picloud.model.script import LinkedScript
from picloud.storage.runs import RunRepository

ALIKE_MAX: Final = 20
"""Rows a second for runs of one script that ended in one way; one more counts the others."""
ROOM_BYTES: Final = 4 * 2**20
"""What the notes of an app may hold between two flushes; half of it is for runs that did not end well."""
FLUSH_S: Final = 1.0
CLOSE_S: Final = 5.0
"""How long the end of a process waits for its last notes to be written."""
TRACEBACK_MAX: Final = 20
"""Lines kept with each run that failed."""
_NOTE_BYTES: Final = 4 * 1024
"""What a note takes beside input and log, about."""
_NO_LOG: Final = {
    "level": "warn",
    "message": "(its lines are left out: the app had more runs at once than are kept whole)",
}
"""In place of the lines of a run there was no room for."""

_log = logging.getLogger(__name__)

Key = tuple[object, ...]
"""What is the same of runs that are alike."""


@dataclass(slots=True)
class Watched:
    """What is seen of one run while it goes on."""

    also: Observe | None = None
    """Who else gets the report."""
    lines: KeptLines = field(default_factory=KeptLines)
    report: RunReport | None = None

    def observe(self, report: RunReport) -> None:
        """Take the report of the run."""
        self.report = report
        if self.also is not None:
            self.also(report)

    @property
    def wall_ms(self) -> float:
        """How long it took; 0 when it did not begin."""
        return self.report.wall_ms if self.report else 0.0

    def details(self, error: Exception | None) -> dict[str, Any]:
        """Return what is kept of the run beside its error's code and message."""
        script_error = error if isinstance(error, ScriptError) else None
        return {
            "script": script_error.script if script_error else None,
            "line": script_error.line if script_error else None,
            "traceback": list(script_error.traceback[:TRACEBACK_MAX]) if script_error else [],
            "log": self.lines.lines,
            "used": asdict(self.report) if self.report else None,
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """One run until it is written."""

    record: RunRecord
    """Without its input."""
    input: RunInput | None
    """None: it is not kept."""
    size_bytes: int
    """What it takes of its app's room."""

    def bare(self) -> _Kept:
        """Return it without what takes room: its input and its log."""
        log = self.record.details["log"] and [_NO_LOG]
        record = replace(self.record, details={**self.record.details, "log": log})
        return _Kept(record, None, _NOTE_BYTES)


@dataclass(slots=True)
class _Alike:
    """Runs of one script that ended in one way, since the last flush; one is kept at least."""

    kept: list[_Kept]
    more: int = 0
    more_ms: float = 0.0
    last_at: float = 0.0
    """When the last one of `more` began."""

    def count(self, runs: int, took_ms: float, began_at: float) -> None:
        """Count runs that are not kept."""
        self.more += runs
        self.more_ms += took_ms
        self.last_at = max(self.last_at, began_at)


@dataclass(slots=True)
class _Waiting:
    """Runs of one app since the last flush."""

    groups: dict[Key, _Alike] = field(default_factory=dict)
    room_bytes: int = ROOM_BYTES

    def has_room(self, key: Key, *, failed: bool) -> bool:
        """Tell whether one more run is kept whole."""
        alike = self.groups.get(key)
        return (alike is None or len(alike.kept) < ALIKE_MAX) and self.room_bytes > (0 if failed else ROOM_BYTES // 2)

    def keep(self, key: Key, kept: _Kept) -> None:
        """Keep a run, whole if there is room; the first of its kind is kept in any case."""
        alike = self.groups.get(key)
        if not self.has_room(key, failed=kept.record.code is not None):
            if alike is not None:
                alike.count(1, kept.record.duration_ms, kept.record.started_at.timestamp())
                return
            kept = kept.bare()
        self.room_bytes -= kept.size_bytes
        if alike is None:
            self.groups[key] = _Alike([kept])
        else:
            alike.kept.append(kept)

    def add(self, newer: _Waiting) -> None:
        """Add what came later, by the same rules."""
        for key, alike in newer.groups.items():
            for kept in alike.kept:
                self.keep(key, kept)
            self.groups[key].count(alike.more, alike.more_ms, alike.last_at)


class RunHistory:
    """Takes runs from any thread; a thread of its own writes them."""

    def __init__(self, runs: RunRepository) -> None:
        self._runs = runs
        self._waiting: dict[AppId, _Waiting] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writer: threading.Thread | None = None
        self._stop = threading.Event()

    def endpoint(
        self, app: App, script: LinkedScript, request: Request, params: Mapping[str, str], watched: Watched,
        ended: Response | Exception,
    ) -> None:  # fmt: skip
        """Note the run of an endpoint."""
        error, status = (ended, None) if isinstance(ended, Exception) else (None, ended.status)
        self._note(
            app.id,
            (script.key, status, _code(error)),
            watched,
            error,
            lambda: _kept(app, script, request_input(request, params), watched, error, http_status=status),
        )

    def trigger(
        self, app: App, script: LinkedScript, trigger: str, messages: Sequence[Message], watched: Watched,
        error: Exception | None, redrives: UUID | None,
    ) -> None:  # fmt: skip
        """Note the run of a trigger; `redrives` is the dead letter that was delivered again."""
        self._note(
            app.id,
            (script.key, trigger, _code(error)),
            watched,
            error,
            lambda: _kept(
                app, script, messages_input(messages), watched, error, trigger=trigger, redrives=redrives
            ),
        )  # fmt: skip

    def flush(self) -> None:
        """Write what waits; raises `DatabaseUnavailable`, and then it waits on."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            while waiting:
                app_id = next(iter(waiting))
                try:
                    self._write(waiting[app_id])
                except DatabaseUnavailable:
                    self._wait_on(waiting)
                    raise
                del waiting[app_id]

    def close(self) -> None:
        """Write what waits, if that can be done soon; what ends later, because nobody waits for it, is not noted."""
        self._stop.set()
        if self._writer is None:
            return
        self._writer.join(CLOSE_S)
        if self._writer.is_alive() or not self._try_flush():
            _log.error(
                "The last notes of runs are lost: the database did not take them in time",
                extra={"action": "history_failed"},
            )

    def _note(
        self, app_id: AppId, key: Key, watched: Watched, error: Exception | None, keep: Callable[[], _Kept]
    ) -> None:
        try:
            with self._lock:
                waiting = self._waiting.get(app_id)
                if waiting is None:
                    waiting = self._waiting[app_id] = _Waiting()
                alike = waiting.groups.get(key)
                if alike is None or waiting.has_room(key, failed=error is not None):
                    waiting.keep(key, keep())
                else:
                    alike.count(1, watched.wall_ms, time.time() - watched.wall_ms / 1000)
                if self._writer is None:
                    self._writer = threading.Thread(target=self._run, name="picloud history", daemon=True)
                    self._writer.start()
        except Exception:  # a bug: the run goes on without its note, and the log says so
            _log.exception("A run could not be noted", extra={"action": "history_failed"})

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._try_flush()
        self._try_flush()

    def _try_flush(self) -> bool:
        """Write what waits; return False when that has to wait on."""
        try:
            self.flush()
        except DatabaseUnavailable:  # which has said so in the log
            return False
        return True

    def _write(self, waiting: _Waiting) -> None:
        try:
            records = [record for alike in waiting.groups.values() for record in _records(alike)]
            self._runs.add(sorted(records, key=lambda record: record.started_at))
        except DatabaseUnavailable:
            raise
        except Exception:  # a bug: runs go on without their notes, and the log says so
            _log.exception("Notes of runs could not be written and are lost", extra={"action": "history_failed"})

    def _wait_on(self, older: Mapping[AppId, _Waiting]) -> None:
        """Put back what could not be written, in front of what has come since."""
        with self._lock:
            for app_id, waiting in older.items():
                newer = self._waiting.get(app_id)
                if newer is not None:
                    waiting.add(newer)
                self._waiting[app_id] = waiting


def _records(alike: _Alike) -> list[RunRecord]:
    kept, more, more_ms = alike.kept, alike.more, alike.more_ms
    last = kept[-1].record
    if more == 1:  # a row that counts one would look like the run itself
        kept, more, more_ms = kept[:-1], 2, more_ms + last.duration_ms
    records = [replace(found.record, input=_encoded(found.input)) for found in kept]
    if more:
        records.append(
            replace(
                last,
                id=uuid4(),
                principal=None,
                request_id=None,
                events=(),
                redrives=None,
                started_at=_moment(alike.last_at),
                duration_ms=more_ms / more,
                alike=more,
                details=Watched().details(None),
                input_bytes=0,
            )
        )
    return records


def _encoded(given: RunInput | None) -> bytes | None:
    if given is None:
        return None
    try:
        return given.encode()
    except ValueError:  # a text that is none
        _log.warning(
            "The input of a run cannot be kept: %s", one_line(given.subject), extra={"action": "history_input"}
        )
        return None


def _kept(
    app: App, script: LinkedScript, given: RunInput, watched: Watched, error: Exception | None,
    *, http_status: int | None = None, trigger: str | None = None, redrives: UUID | None = None,
) -> _Kept:  # fmt: skip
    """Return what is kept of a run that has ended just now, nothing of its error object, which holds its frames."""
    request, messages = given.request, given.messages
    size = given.size_bytes
    record = RunRecord(
        id=uuid4(),
        app_id=app.id,
        kind=ENDPOINT if request is not None else str(messages[0].event.kind),
        script=script.script.name,
        version=script.key.decode(),
        revision=app.revision,
        trigger=trigger,
        subject=given.subject,
        principal=request.principal if request is not None else None,
        request_id=request.id if request is not None else None,
        events=tuple(message.event.id for message in messages),
        redrives=redrives,
        status=_status(error),
        code=_code(error),
        message=_message(error),
        http_status=http_status,
        started_at=_moment(time.time() - watched.wall_ms / 1000),
        duration_ms=watched.wall_ms,
        alike=1,
        details=watched.details(error),
        input=None,
        input_bytes=size,
    )
    is_kept = size <= INPUT_MAX_BYTES
    return _Kept(record, given if is_kept else None, _NOTE_BYTES + watched.lines.size_bytes + is_kept * size)


def _status(error: Exception | None) -> RunStatus:
    match error:
        case None:
            return RunStatus.SUCCEEDED
        case RunInterrupted():
            return RunStatus.INTERRUPTED
        case ScriptError():
            return RunStatus.FAILED
        case CallerError():
            return RunStatus.REFUSED
    return RunStatus.FAULT


def _code(error: Exception | None) -> str | None:
    if error is None:
        return None
    return error.code if isinstance(error, PicloudError) else PlatformError.code


def _message(error: Exception | None) -> str | None:
    """Return the sentence of an error; what is no error of PiCloud's may say what nobody is to read."""
    if error is None:
        return None
    return error.message if isinstance(error, PicloudError) else PlatformError().message


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
