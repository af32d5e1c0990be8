"""How errors read in a notebook."""

from __future__ import annotations

import re

from picloud.errors import (
    DatabaseUnavailable,
    Diagnostic,
    InvalidScript,
    ScriptRuntimeError,
    TestsFailed,
)
from picloud_kernel.errors import internal_report, report

SOURCE = "local M = {}\nfunction M.hello(name)\n  return nil .. name\nend\nreturn M"


def source_of(script: str) -> str | None:
    return {"greet": SOURCE}.get(script)


def plain(lines: tuple[str, ...]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9]+m", "", line) for line in lines]


def test_a_script_error_shows_script_line_and_source() -> None:
    error = ScriptRuntimeError(
        "attempt to concatenate a nil value",
        script="greet",
        line=3,
        traceback=("greet:3: in function 'hello'", "hello:2: in main chunk"),
    )
    shown = report(error, source_of)
    assert (shown.name, shown.message) == ("script_runtime_error", "attempt to concatenate a nil value")
    assert plain(shown.traceback) == [
        "script_runtime_error: attempt to concatenate a nil value",
        "",
        "greet, line 3",
        "    1 | local M = {}",
        "    2 | function M.hello(name)",
        "--> 3 |   return nil .. name",
        "    4 | end",
        "    5 | return M",
        "",
        "  greet:3: in function 'hello'",
        "  hello:2: in main chunk",
    ]


def test_a_script_the_session_does_not_have_is_named_without_source() -> None:
    shown = report(ScriptRuntimeError("x", script="other", line=3), source_of)
    assert plain(shown.traceback)[1:] == ["", "other, line 3"]


def test_a_line_outside_of_the_source_is_named_without_source() -> None:
    shown = report(ScriptRuntimeError("x", script="greet", line=30), source_of)
    assert plain(shown.traceback)[1:] == ["", "greet, line 30"]


def test_every_diagnostic_of_an_invalid_script_is_shown() -> None:
    error = InvalidScript("greet", (Diagnostic(1, 1, "no"), Diagnostic(5, 2, "never")))
    lines = plain(report(error, source_of).traceback)
    assert lines[0] == "invalid_script: greet:1:1: no\ngreet:5:2: never"
    assert "--> 1 | local M = {}" in lines
    assert "--> 5 | return M" in lines


def test_a_failed_test_shows_where_it_failed() -> None:
    error = TestsFailed("test greets failed: no")
    error.__cause__ = ScriptRuntimeError("no", script="greet", line=1)
    assert "--> 1 | local M = {}" in plain(report(error, source_of).traceback)


def test_a_platform_error_shows_its_sentence_and_nothing_of_its_cause() -> None:
    error = DatabaseUnavailable()
    error.__cause__ = OSError("host=secret")
    shown = report(error, source_of)
    assert plain(shown.traceback) == [f"database_unavailable: {error.message}"]


def test_a_defect_is_called_one() -> None:
    assert "defect of PiCloud" in internal_report().message
