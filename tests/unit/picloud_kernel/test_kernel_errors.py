"""How errors read in a notebook."""

from __future__ import annotations

import re

from picloud.engine.explain import Explanation, explain
from picloud.errors import (
    DatabaseUnavailable,
    Diagnostic,
    InvalidScript,
    PicloudError,
    ScriptRuntimeError,
    TestsFailed,
)
from picloud_kernel.errors import internal_report, report

SOURCE = "local M = {}\nfunction M.hello(name)\n  return nil .. name\nend\nreturn M"


def explained(error: PicloudError) -> Explanation:
    return explain(error, {"greet": SOURCE}.get)


def plain(lines: tuple[str, ...]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9]+m", "", line) for line in lines]


def test_a_script_error_shows_script_line_caret_and_hint() -> None:
    error = ScriptRuntimeError(
        "attempt to concatenate a nil value",
        script="greet",
        line=3,
        traceback=("greet:3: in function 'hello'", "hello:2: in main chunk"),
    )
    shown = report(error, explained)
    assert (shown.name, shown.message) == ("script_runtime_error", "attempt to concatenate a nil value")
    assert plain(shown.traceback) == [
        "script_runtime_error: attempt to concatenate a nil value",
        "",
        "greet, line 3",
        "    1 | local M = {}",
        "    2 | function M.hello(name)",
        "--> 3 |   return nil .. name",
        "      |              ^^",
        "    4 | end",
        "    5 | return M",
        "",
        "  greet:3: in function 'hello'",
        "  hello:2: in main chunk",
        "",
        'Hint: One of them is nil: give it a value first, for example x or "".',
    ]


def test_a_script_that_is_not_at_hand_is_named_without_source() -> None:
    shown = report(ScriptRuntimeError("x", script="other", line=3), explained)
    assert plain(shown.traceback)[1:] == ["", "other, line 3"]


def test_a_line_outside_of_the_source_is_named_without_source() -> None:
    shown = report(ScriptRuntimeError("x", script="greet", line=30), explained)
    assert plain(shown.traceback)[1:] == ["", "greet, line 30"]


def test_every_diagnostic_of_an_invalid_script_is_shown() -> None:
    error = InvalidScript("greet", (Diagnostic(1, 1, "no"), Diagnostic(5, 2, "never")))
    lines = plain(report(error, explained).traceback)
    assert lines[:2] == ["invalid_script: greet:1:1: no", "greet:5:2: never"]
    assert "--> 1 | local M = {}" in lines
    assert "--> 5 | return M" in lines


def test_a_failed_test_shows_where_it_failed() -> None:
    error = TestsFailed("test greets failed: no")
    error.__cause__ = ScriptRuntimeError("no", script="greet", line=1)
    assert "--> 1 | local M = {}" in plain(report(error, explained).traceback)


def test_a_platform_error_shows_its_sentence_and_nothing_of_its_cause() -> None:
    error = DatabaseUnavailable()
    error.__cause__ = OSError("host=secret")
    shown = report(error, explained)
    assert plain(shown.traceback) == [f"database_unavailable: {error.message}"]


def test_a_message_cannot_rule_the_terminal() -> None:
    shown = report(ScriptRuntimeError("a\x1b[2Jb\nc"), explained)
    assert "\x1b[2J" not in "".join(shown.traceback)
    assert len(shown.traceback) == 2


def test_a_defect_is_called_one() -> None:
    assert "defect of PiCloud" in internal_report().message
