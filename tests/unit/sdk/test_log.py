"""What scripts log arrives as it was said, within the limits of the run, and no line looks like more than one."""

from __future__ import annotations

import json
import logging
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.engine.log import ENTRY_FORMAT, EntryFormatter, one_line, to_logging
from picloud.errors import NotFound, ScriptRuntimeError
from picloud.model.app import unpublished
from picloud.model.http import Request
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings
from picloud.web.server import LOGGING

APP = unpublished("shop")

NAUGHTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "\x01\x02\x1b[31mred\x1b[0m\x7f",
    "line\nline\r\nline\rline",
    "tab\tand\vvertical\fform",
    "\x85\u2028\u2029",
    "ünïcödé Ω 漢字",
    "\U0001f600\U0010ffff",
    "e\u0301 \u200b\ufeff\u00ad",
    "مرحبا שלום",
    "\u202eesrever\u202c \u2066isolated\u2069",
    "'; DROP TABLE scripts; --",
    "${jndi:ldap://x/a} %s %d %n {0} {}",
    "<script>alert(1)</script>",
    "\\n \\u0000 \\",
    "2026-07-31 12:00:00,000 ERROR picloud.web: request failed",
    "\ud7ff\ue000\ufffd\uffff",
    "x" * 100_000,
]


def nothing_published(_name: str) -> Published:
    raise NotFound


class Session(Interactive):
    def __init__(self, lines_max: int = 1000, kb: int = 256) -> None:
        self.written: list[str] = []
        limits = limits_of(Settings(run_memory_mb=16, run_log_lines_max=lines_max, run_log_kb=kb))
        super().__init__(nothing_published, Executor(limits), "shop", self.written.append)


SESSION = Session()


def quoted(text: str) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def serve(source: str) -> None:
    """Run an endpoint whose lines go to the server's log."""
    linked = LinkedScript(Script("e", ScriptKind.ENDPOINT, source), ())
    SESSION._executor.endpoint(APP, linked, Snapshot(APP, {}, ()), Request("GET", "/", "r"), {})


@pytest.mark.parametrize("text", NAUGHTY, ids=lambda text: ascii(text)[:30])
@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
def test_any_text_arrives_as_it_is(level: str, text: str) -> None:
    session = Session()
    session.run(f"log.{level}({quoted(text)}, {{ text = {quoted(text)} }})")
    [line] = session.written
    start = f"{level.upper()} {text} " if text else f"{level.upper()} "
    assert line.startswith(start)
    assert json.loads(line[len(start) :]) == {"text": text}


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("log.info('x')", "INFO x"),
        ("log.debug('x', { a = 1 })", 'DEBUG x {"a":1}'),
        ("log.info()", "INFO nil"),
        ("log.info(12, {})", "INFO 12 {}"),
        ("log.info(true, { 1, 2 })", "INFO true [1,2]"),
        ("log.info(setmetatable({}, { __tostring = function() return 'shown' end }))", "INFO shown"),
        ("log.info('x', { a = json.null, b = 1.5, c = { true } })", 'INFO x {"a":null,"b":1.5,"c":[true]}'),
        ("log.info('x', 'y')", 'INFO x "y"'),
        ("log.info('bytes \\xff')", "INFO bytes \ufffd"),
    ],
)
def test_what_is_logged(source: str, line: str) -> None:
    session = Session()
    session.run(source)
    assert session.written == [f"{line}\n"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("{ agent = '\\xff' }", "agent is not UTF-8 text"),
        ("{ ['\\xff'] = 1 }", "is not UTF-8 text"),
        ("{ f = print }", "f is a function"),
        ("{ n = 0 / 0 }", "JSON has no such number"),
        ("(function() local t = {} t.t = t return t end)()", "contains itself"),
        ("{ 1, a = 2 }", "has holes or mixes keys"),
        ("print", "is a function"),
    ],
)
def test_fields_that_are_no_json_are_replaced_by_the_reason(fields: str, reason: str) -> None:
    """What a client sends could end a run otherwise, by being logged."""
    session = Session()
    session.run(f"log.warn('agent', {fields})\nlog.warn('next')")
    first, second = session.written
    assert first.startswith("WARN agent {")
    assert reason in json.loads(first[len("WARN agent ") :])["not_logged"]
    assert second == "WARN next\n"


def test_limits_still_end_a_run_that_logs() -> None:
    """The error of a limit is none of the fields."""
    session = Session()
    with pytest.raises(ScriptRuntimeError, match="mine"):
        session.run("log.info(setmetatable({}, { __tostring = function() error('mine') end }))")


@pytest.mark.parametrize(("lines_max", "kb"), [(5, 256), (1000, 1)])
def test_a_run_logs_no_more_than_it_may(lines_max: int, kb: int) -> None:
    session = Session(lines_max, kb)
    session.run("for i = 1, 2000 do log.info(('x'):rep(200), { i = i }) print('y') end")
    assert 5 < len(session.written) < 15
    assert "its further lines are left out" in session.written[-1]
    session.run("log.info('next run')")
    assert session.written[-1] == "INFO next run\n"


def test_one_long_line_is_left_out_too() -> None:
    session = Session(kb=1)
    session.run("log.info(('x'):rep(1e6))")
    [line] = session.written
    assert "its further lines are left out" in line


# the log of the server ------------------------------------------------------------------------------------------------

UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text() | st.sampled_from(NAUGHTY))
@example("half a \ud800 pair")
@example("a\r\n2026-07-31 12:00:00,000 ERROR picloud.web: made up")
def test_a_line_of_the_server_s_log_stays_one_line(text: str) -> None:
    line = one_line(text)
    assert not UNSAFE.search(line)
    assert len(f"x{line}x".splitlines()) == 1
    assert one_line(line) == line
    if not UNSAFE.search(text):
        assert line == text


@given(st.dictionaries(st.text(), st.text() | st.sampled_from(NAUGHTY)))
def test_fields_stay_the_same_json(fields: dict[str, str]) -> None:
    assert json.loads(one_line(json.dumps(fields, ensure_ascii=False))) == fields


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAUGHTY[:-1]), st.sampled_from(["print", "log.info", "log.warn", "log.error"]))
def test_nothing_a_script_logs_makes_up_another_entry(caplog: pytest.LogCaptureFixture, text: str, call: str) -> None:
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="picloud.script"):
        serve(f"{call}({quoted(text)})" if call == "print" else f"{call}({quoted(text)}, {{ {quoted(text)} }})")
    [record] = caplog.records
    formatted = logging.Formatter(ENTRY_FORMAT).format(record)
    assert len(formatted.splitlines()) == 1
    assert "\x1b" not in formatted
    assert (record.__dict__["app"], record.__dict__["script"], record.__dict__["request_id"]) == ("shop", "e", "r")


ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ \S+: ")


@given(st.text() | st.sampled_from(NAUGHTY))
@example("a\n2026-07-31 12:00:00,000 ERROR picloud.web: made up")
def test_errors_make_up_no_entries_either(text: str) -> None:
    """Those of scripts are logged with their messages, and a driver's may quote what it was given."""
    try:
        raise ValueError(text)
    except ValueError as error:
        trace = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("picloud.web", logging.WARNING, "", 0, "script failed\n%s", (text,), trace)
    lines = EntryFormatter().format(record).split("\n")
    assert [bool(ENTRY.match(line)) for line in lines] == [True] + [False] * (len(lines) - 1)
    assert all(line.startswith("  ") and not UNSAFE.search(line) for line in lines[1:])
    assert "\n".join(lines).splitlines() == lines


def test_the_server_and_the_worker_write_entries_so() -> None:
    assert LOGGING["formatters"]["generic"] == {"()": f"{EntryFormatter.__module__}.{EntryFormatter.__qualname__}"}
    assert {handler["formatter"] for handler in LOGGING["handlers"].values()} == {"generic"}


def test_what_is_harmless_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="picloud.script"):
        serve("log.info('ünïcödé 漢字 \U0001f600 שלום\\t%s', { a = 1 }) log.error('a\\nb\\27[0m')")
    assert [record.getMessage() for record in caplog.records] == [
        'ünïcödé 漢字 \U0001f600 שלום\t%s {"a":1}', "a\\nb\\u001b[0m ",
    ]  # fmt: skip


def test_lines_nobody_keeps_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("picloud.script")
    monkeypatch.setattr(logger, "level", logging.ERROR)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setattr("picloud.engine.log.one_line", lambda text: pytest.fail(text))
    to_logging({})(b"info", "x", "")
    monkeypatch.undo()
    logger.manager._clear_cache()  # type: ignore[attr-defined]
