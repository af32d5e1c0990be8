"""How dead letters read as text: on a terminal, in a notebook and in the dashboard. HTML is for others to make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from picloud.engine.log import one_line
from picloud.model.dead_letter import Attempt, DeadLetter, LetterState, shown_key
from picloud.model.json_text import check_json
from picloud.model.run import RunReport

TITLES: Final = ("id", "failed", "trigger", "of", "attempts", "state", "error")
"""Of the columns of `row`."""
ERROR_SHOWN_MAX: Final = 160
"""Characters of an error in a table."""
SOURCE_SHOWN_MAX: Final = 80
"""Characters of what a letter is of in a table: keys may be long."""
TEXT_SHOWN_MAX: Final = 10_000
"""Characters of an input, an error or a traceback where one letter is shown."""


def row(letter: DeadLetter) -> tuple[str, ...]:
    """Return a letter as cells of one line each."""
    trigger, source = one_line(letter.trigger), cut(one_line(letter.source), SOURCE_SHOWN_MAX)
    message = cut(one_line(letter.message), ERROR_SHOWN_MAX)
    return str(letter.id), moment(letter.failed_at), trigger, source, str(letter.attempts), str(letter.state), message


def facts(letter: DeadLetter) -> list[tuple[str, str]]:
    """Return what is known of a letter, but for its input and attempts, each with what it is."""
    told: list[tuple[str, object]] = [
        ("trigger", letter.trigger),
        ("of", letter.source),
        ("operation", letter.operation),
        ("document", shown_key(letter.key) if letter.key is not None and letter.name else None),
        ("version", letter.version),
        ("event", letter.event_id),
        ("happened", moment(letter.sent_at)),
        ("script", letter.script),
        ("failed", moment(letter.failed_at)),
        ("attempts", letter.attempts),
        ("error", f"{letter.code}: {cut(letter.message, TEXT_SHOWN_MAX)}"),
        ("came of", letter.redrives and f"letter {letter.redrives}, which was redriven"),
        ("state", _decision(letter)),
    ]
    return [(name, str(fact)) for name, fact in told if fact is not None]


def input_text(content: bytes | None, *, is_json: bool) -> str | None:
    """Return an input as a person reads it, JSON indented; None without one."""
    if content is None:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"({len(content)} bytes of binary data)"
    if is_json:
        try:
            check_json(content)
        except ValueError:  # written behind the SDK: it is shown as it is
            return cut(text, TEXT_SHOWN_MAX)
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return cut(text, TEXT_SHOWN_MAX)


def attempt_title(number: int, attempt: Attempt) -> str:
    """Return what went wrong at an attempt in one line."""
    at = f", {moment(attempt.at)}" if attempt.at else ""
    return f"attempt {number}{at}: {attempt.code}: {cut(one_line(attempt.message), ERROR_SHOWN_MAX)}"


def attempt_lines(attempt: Attempt) -> list[str]:
    """Return all else that is known of an attempt."""
    lines = [cut(attempt.message, TEXT_SHOWN_MAX)] if len(one_line(attempt.message)) > ERROR_SHOWN_MAX else []
    if attempt.script is not None:
        lines.append(f"in {attempt.script}" + (f", line {attempt.line}" if attempt.line is not None else ""))
    lines += [cut(frame, TEXT_SHOWN_MAX) for frame in attempt.traceback]
    lines += [f"version {attempt.version}"] if attempt.version else []
    lines += [f"used {_used(attempt.used)}"] if attempt.used else []
    lines += [f"log {_log_line(entry)}" for entry in attempt.log]
    return lines


def letter_lines(letter: DeadLetter) -> list[str]:
    """Return a letter, whole, as lines, none of which can look like another or rule the terminal."""
    told = facts(letter)
    width = max(len(name) for name, _ in told)
    lines = [f"dead letter {letter.id}", *(f"  {name.ljust(width)}  {fact}" for name, fact in told)]
    for name, text in inputs(letter):
        lines += ["", name, *(f"  {line}" for line in text.split("\n"))]
    for number, attempt in enumerate(letter.failures, 1):
        lines += ["", attempt_title(number, attempt), *(f"  {line}" for line in attempt_lines(attempt))]
    return [one_line(part) for line in lines for part in line.split("\n")]


def inputs(letter: DeadLetter) -> list[tuple[str, str]]:
    """Return the letter's input, and the document before the change, each with what it is."""
    shown = (
        ("input", input_text(letter.payload, is_json=letter.is_json)),
        ("before the change", input_text(letter.before, is_json=True)),
    )
    return [(name, text) for name, text in shown if text is not None]


def moment(at: datetime) -> str:
    """Return a time to the second, on the clock of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def cut(text: str, characters: int) -> str:
    """Return a text with so many characters at most, and how many more there are."""
    return text if len(text) <= characters else f"{text[:characters]} ... {len(text) - characters} more characters"


def _decision(letter: DeadLetter) -> str:
    if letter.state is LetterState.OPEN or letter.decided_at is None:
        return letter.state
    what = f"{letter.state} by {letter.decided_by}, {moment(letter.decided_at)}"
    return f"{what}, as event {letter.redriven_as}" if letter.redriven_as else what


def _used(used: Any) -> str:
    try:
        return str(RunReport(**used))
    except (TypeError, ValueError):  # another PiCloud's
        return json.dumps(used)


def _log_line(entry: Any) -> str:
    parts: Sequence[Any] = (entry.get("level", ""), entry.get("message", ""), entry.get("fields", ""))
    return " ".join(cut(str(part), TEXT_SHOWN_MAX) for part in parts if part)
