"""How past runs look: lists, lines they logged, and one run with what it was given. Pure: values in, text out.

Scripts and callers control most of these texts: each is made one line, and escaped where it becomes markup.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from picloud.engine.executor import RETRY_AS_USUAL
from picloud.engine.log import one_line
from picloud.engine.run_input import NOT_KEPT, RunInput
from picloud.model.event import Message, Verdicts
from picloud.model.identity import short_id
from picloud.model.run import RunRecord, RunReport, RunStatus
from picloud_kernel.display import Bundle, columns
from picloud_kernel.markup import escaped, tag
from picloud_kernel.values import rows_markup

CELL_MAX: Final = 80
"""Characters of one cell of a list as text."""
LINES_SHOWN_MAX: Final = 500
"""Lines of logs shown at once."""
MESSAGES_SHOWN_MAX: Final = 5
CONTENT_SHOWN_MAX: Final = 10_000
"""Characters of a body or a payload."""
BINARY_SHOWN_BYTES: Final = 48

FAILED: Final = (RunStatus.FAILED, RunStatus.FAULT)

TITLES: Final = ("run", "started", "what", "by", "result", "took", "runs", "principal")
_RIGHT: Final = (False, False, False, False, False, True, True, False)
_LOG_TITLES: Final = ("run began", "run", "level", "message")
_STATUS_STYLES: Final[Mapping[RunStatus, str]] = {
    RunStatus.SUCCEEDED: "good",
    RunStatus.REFUSED: "status-moved",
    RunStatus.FAILED: "status-bad",
    RunStatus.INTERRUPTED: "status-moved",
    RunStatus.FAULT: "status-bad",
}
_LEVEL_STYLES: Final[Mapping[str, str]] = {"warn": "status-moved", "error": "status-bad"}


def started(run: RunRecord) -> str:
    """Say when it began, in the time of this machine."""
    return run.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def by(run: RunRecord) -> str:
    """Say which trigger or endpoint it was."""
    return f"trigger {run.trigger}" if run.trigger is not None else f"endpoint {run.script}"


def result(run: RunRecord) -> str:
    """Say how it ended: with the status of its answer, or the code of its error."""
    return " ".join(str(part) for part in (run.status, run.http_status, run.code) if part is not None)


def took(run: RunRecord) -> str:
    """Say how long it took, or runs that were alike on average."""
    return f"{run.duration_ms:.1f} ms"


def cells(run: RunRecord) -> tuple[str, ...]:
    """Return its row of a list, as text in one line each."""
    alike = f"x{run.alike}" if run.alike > 1 else ""
    texts = (
        short_id(run.id), started(run), run.subject, by(run), result(run), took(run), alike, run.principal or ""
    )  # fmt: skip
    return tuple(map(one_line, texts))


def runs_bundle(runs: Sequence[RunRecord], note: str) -> Bundle:
    """Return runs as a table, with a sentence below it unless that is empty."""
    rows = [cells(run) for run in runs]
    plain = columns([TITLES, *(tuple(map(_cut, row)) for row in rows)])
    marked = []
    for run, row in zip(runs, rows, strict=True):
        cells_of_row = [escaped(cell) for cell in row]
        cells_of_row[4] = tag("span", cells_of_row[4], _STATUS_STYLES[run.status])
        marked.append(cells_of_row)
    return _bundle(plain, rows_markup(TITLES, marked, right=_RIGHT), note)


def logs_bundle(runs: Sequence[RunRecord], note: str) -> Bundle:
    """Return what runs logged, those that come first in `runs` last."""
    lines = [(run, line) for run in reversed(runs) for line in run.details["log"]]
    left_out = max(0, len(lines) - LINES_SHOWN_MAX)
    rows = [(*_log_row(run, line), line["level"]) for run, line in lines[left_out:]]
    note = " ".join(filter(None, (f"{left_out} earlier lines are left out." if left_out else "", note)))
    marked = [
        [escaped(when), escaped(run), *(tag("span", escaped(cell), _LEVEL_STYLES.get(style, "")) for cell in texts)]
        for when, run, *texts, style in rows
    ]
    plain = columns([_LOG_TITLES, *(row[:-1] for row in rows)])
    return _bundle(plain, rows_markup(_LOG_TITLES, marked, right=(False,) * 4), note)


def run_text(run: RunRecord, given: RunInput | None) -> str:
    """Say what a run was: what it was given, for whom, and how it ended; without the input itself."""
    trigger = "" if run.trigger in (None, run.script) else f", script {run.script}"
    told = f": {run.code}{_place(run)}" if run.code is not None else ""
    lines = [
        f"run {short_id(run.id)} of {by(run)}{trigger}: {run.subject}",
        f"{started(run)}, {run.status} after {took(run)}{told}",
        run.message,
        f"by {run.principal}" if run.principal else None,
        f"request {run.request_id}" if run.request_id else None,
        *(_events(given.messages) if given else ()),
        f"delivered again: dead letter {run.redrives}" if run.redrives else None,
        _secrets(given),
    ]
    return "\n".join(one_line(line) for line in lines if line)


def used_text(details: Mapping[str, Any]) -> str:
    """Say what a run used; empty when it did not begin. What was not measured when it ran counts as 0."""
    used = details["used"]
    return str(RunReport(**{name: used.get(name, 0) for name in RunReport.__dataclass_fields__})) if used else ""


def verdict_text(messages: Sequence[Message], verdicts: Verdicts, *, failed: bool) -> str:
    """Say how a script ended that ended well, and what it said of its messages; empty when there is nothing to say."""
    said = [f"{_nth(messages, place)} would come again {_when(pause_s)}" for place, pause_s in _retries(verdicts)]
    if not failed:
        return f"The script ended well and asked for more: {', '.join(said)}." if said else "The script ended well."
    said = [f"{_nth(messages, place)} is done" for place in sorted(verdicts.acked)] + said
    return f"Before it failed it said: {', '.join(said)}." if said else ""


def input_text(given: RunInput) -> str:
    """Return what a run was given, for people: JSON indented, text as it is, and what is neither by its size."""
    request = given.request
    if request is None:
        return "\n\n".join(_message_text(message) for message in given.messages)
    lines = [f"{request.method} {request.path}"]
    lines += [f"parameter {name} = {value}" for name, value in given.params.items()]
    lines += [f"query {name} = {value}" for name, value in request.query]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    shown = "\n".join(one_line(line) for line in lines)
    return f"{shown}\n\n{content_text(request.body)}" if request.body else shown


def content_text(content: bytes) -> str:
    """Return JSON indented, other text as it is, and of other bytes how many there are and how they begin."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        beginning = base64.b64encode(content[:BINARY_SHOWN_BYTES]).decode()
        more = "..." if len(content) > BINARY_SHOWN_BYTES else ""
        return f"({len(content)} bytes that are no text; in base64: {beginning}{more})"
    with suppress(ValueError, RecursionError):  # it is text, then
        indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        indented.encode()  # which half a surrogate pair does not survive
        text = indented
    cut = "" if len(text) <= CONTENT_SHOWN_MAX else f"\n... ({len(text) - CONTENT_SHOWN_MAX} more characters)"
    return "\n".join(one_line(line) for line in text[:CONTENT_SHOWN_MAX].split("\n")) + cut


def log_lines(run: RunRecord) -> list[str]:
    """Return what a run logged, a line each, with its level."""
    return ["  ".join(filter(None, _log_row(run, line)[2:])) for line in run.details["log"]]


def _message_text(message: Message) -> str:
    event = message.event
    facts = (
        f"{event.kind} {event.name}", event.operation, f"event {event.id}", f"attempt {message.attempt}",
        f"version {event.version}" if event.version else None,
    )  # fmt: skip
    parts = [
        one_line(", ".join(fact for fact in facts if fact)),
        *(f"{title}:\n{content_text(content)}" for title, content in _contents(message) if content is not None),
    ]
    return "\n".join(parts)


def _contents(message: Message) -> Iterable[tuple[str, bytes | None]]:
    event = message.event
    return ("key", event.key), ("before", event.before), ("payload", event.payload)


def _events(messages: Sequence[Message]) -> list[str]:
    told = [f"event {message.event.id}, attempt {message.attempt}" for message in messages[:MESSAGES_SHOWN_MAX]]
    others = len(messages) - len(told)
    return [*told, f"and {others} more events"] if others else told


def _secrets(given: RunInput | None) -> str | None:
    request = given.request if given else None
    pairs = (*request.query, *request.headers.items()) if request else ()
    hidden = [name for name, value in pairs if value == NOT_KEPT]
    return f"not kept of its query and headers, which may be secrets: {', '.join(hidden)}" if hidden else None


def _place(run: RunRecord) -> str:
    script, line = run.details["script"], run.details["line"]
    return f" in {script}, line {line}" if script and line else f" in {script}" if script else ""


def _log_row(run: RunRecord, line: Mapping[str, str]) -> tuple[str, str, str, str]:
    level = line["level"].upper() if line["level"] in _LEVEL_STYLES else line["level"]
    message = " ".join(filter(None, (line["message"], line.get("fields"))))
    return started(run), short_id(run.id), level, one_line(message)


def _retries(verdicts: Verdicts) -> list[tuple[int, float]]:
    return sorted(verdicts.retried.items())


def _nth(messages: Sequence[Message], place: int) -> str:
    return "the message" if len(messages) == 1 else f"message {place + 1}"


def _when(pause_s: float) -> str:
    return "after the pause of its trigger" if pause_s == RETRY_AS_USUAL else f"after {pause_s:g} s"


def _cut(cell: str) -> str:
    return cell if len(cell) <= CELL_MAX else cell[: CELL_MAX - 1] + "…"


def _bundle(plain: str, markup: str, note: str) -> Bundle:
    below = tag("div", escaped(note), "note") if note else ""
    return Bundle(
        {
            "text/plain": f"{plain}\n{note}".rstrip("\n"),
            "text/html": tag("div", markup + below, "block"),
        }
    )
