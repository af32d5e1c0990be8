"""What an endpoint returns becomes a response; what it raises says which script and line."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.executor import Executor
from picloud.engine.outcome import response_of
from picloud.engine.testing import run_test
from picloud.engine.validator import check_source
from picloud.errors import InvalidInput, InvalidResponse, ScriptRuntimeError, TimeLimitExceeded
from picloud.model.app import App, AppId
from picloud.model.http import Request, Response
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.modules.source import Snapshot
from picloud.platform import limits_of
from picloud.settings import Settings

APP = App(AppId(uuid4()), "shop", 1, datetime.now(UTC))
EXECUTOR = Executor(limits_of(Settings(run_memory_mb=32, run_timeout_s=5)))
HTML, TEXT, JSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"


def linked(name: str, source: str, kind: ScriptKind = ScriptKind.ENDPOINT) -> LinkedScript:
    return LinkedScript(Script(name, kind, source), check_source(name, kind, source).imports)


def answer(source: str, *modules: LinkedScript, params: dict[str, str] | None = None, **fields: Any) -> Response:
    snapshot = Snapshot(APP, {m.script.name: m for m in modules}, ())
    request = Request(**({"method": "GET", "path": "/", "id": "r1"} | fields))
    return EXECUTOR.endpoint(APP, linked("page", source), snapshot, request, params or {})


@pytest.mark.parametrize(
    ("source", "status", "kind", "body"),
    [
        ("", 204, None, b""),
        ("return nil", 204, None, b""),
        ("return nil, 404", 404, None, b""),
        ("return 'hello'", 200, TEXT, b"hello"),
        ("return ''", 200, TEXT, b""),
        ("return '<!doctype html><p>x'", 200, HTML, b"<!doctype html><p>x"),
        ("return '  <p>x</p>'", 200, HTML, b"  <p>x</p>"),
        ("return '<3 you'", 200, TEXT, b"<3 you"),
        ("return '<p>x', 200, { ['Content-Type'] = 'text/plain' }", 200, "text/plain", b"<p>x"),
        ("return '\\255'", 200, "application/octet-stream", b"\xff"),
        ("return { a = 1 }", 200, JSON, b'{"a":1}'),
        ("return { 1, 2.0, 'x' }, 201", 201, JSON, b'[1,2.0,"x"]'),
        ("return {}", 200, JSON, b"{}"),
        ("return json.array{}", 200, JSON, b"[]"),
        ("return json.null", 200, JSON, b"null"),
        ("return 12", 200, JSON, b"12"),
        ("return false", 200, JSON, b"false"),
        ("return 9007199254740993", 200, JSON, b"9007199254740993"),
        ("return response.json({ b = true })", 200, JSON, b'{"b":true}'),
        ("return response.html('<b>', 201)", 201, HTML, b"<b>"),
        ("return response.text('<b>')", 200, TEXT, b"<b>"),
        ("return response.bytes('\\0\\255')", 200, "application/octet-stream", b"\x00\xff"),
        ("return response.bytes('x', 'image/png', 203)", 203, "image/png", b"x"),
    ],
)  # fmt: skip
def test_values_become_responses(source: str, status: int, kind: str | None, body: bytes) -> None:
    response = answer(source)
    assert (response.status, response.body) == (status, body)
    assert dict(response.headers).get("content-type") == kind


def test_a_redirect_has_its_place_and_no_body() -> None:
    response = answer("return response.redirect('/login?next=%2F')")
    assert (response.status, response.body) == (302, b"")
    assert ("location", "/login?next=%2F") in response.headers
    assert answer("return response.redirect('/x', 308)").status == 308


def test_headers_are_lower_case_and_may_repeat() -> None:
    response = answer("return 'x', 200, { ['X-One'] = 1, ['Set-Cookie'] = { 'a=1', 'b=2' } }")
    assert sorted(h for h in response.headers if h[0] != "content-type") == [
        ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-one", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "return 'x', 99",
        "return 'x', 600",
        "return 'x', 200.5",
        "return 'x', '200'",
        "return 'x', {}",
        "return 'x', 200, 'headers'",
        "return 'x', 200, { 'a' }",
        "return 'x', 200, { ['x y'] = 'z' }",
        "return 'x', 200, { [''] = 'z' }",
        "return 'x', 200, { ['x-a:'] = 'z' }",
        "return 'x', 200, { ['é'] = 'z' }",
        "return 'x', 200, { ['x-a\\n'] = 'z' }",
        "return 'x', 200, { a = 'snow ☃' }",
        "return 'x', 200, { a = true }",
        "return 'x', 200, { a = {{}} }",
        "return 'x', 200, { a = 'b\\nc' }",
        "return 'x', 200, { a = 'b\\0' }",
        "return 'x', 200, { ['content-type'] = 'a\\r\\nb: c' }",
        "return response.html('x', 200, 'headers')",
        "return response.bytes(1)",
        "return response.bytes('x', 'a/b\\r\\nx: y')",
        "return response.bytes('x', {})",
        "return response.redirect(nil)",
        "return response.redirect('/a\\nb')",
        "local r = response.text('x') r.headers = 1 return r",
        "local r = response.text('x') r.kind = 7 return r",
    ],
)
def test_what_is_no_response_is_refused(source: str) -> None:
    with pytest.raises(InvalidResponse):
        answer(source)


@given(st.text(st.characters(max_codepoint=300)))
def test_no_accepted_header_holds_a_control_character(value: str) -> None:
    try:
        response = response_of((b"ok", 200, b"", b"", f"x\n{value}".encode()))
    except (InvalidResponse, ValueError):  # what splits into other lines
        return
    for _name, accepted in response.headers:
        assert not set(accepted.encode("latin-1").decode("latin-1")) & {chr(c) for c in [*range(32), 127] if c != 9}


@given(st.text(), st.text())
def test_no_text_gets_a_header_of_its_own(name: str, value: str) -> None:
    try:
        response = answer(
            "local h = request.query return 'x', 200, { [h.name] = h.value }",
            query=(("name", name), ("value", value)),
        )
    except InvalidResponse:
        return
    assert len(response.headers) <= 2
    assert not any(c in text for header in response.headers for text in header for c in "\r\n\0")


@pytest.mark.parametrize(
    "source", ["return function() end", "return { f = print }", "return { [1.5] = 1 }", "return 0/0"]
)
def test_what_json_cannot_hold_is_the_script_s_error(source: str) -> None:
    with pytest.raises(ScriptRuntimeError):
        answer(source)


def test_an_error_tells_script_line_and_who_called() -> None:
    tools = linked("tools", "local M = {}\nfunction M.fail()\n  error('no luck')\nend\nreturn M", ScriptKind.MODULE)
    source = 'local tools = require("tools")\n\nlocal function step()\n  tools.fail()\n  return 1\nend\nreturn step()'
    with pytest.raises(ScriptRuntimeError) as caught:
        answer(source, tools)
    assert (caught.value.script, caught.value.line) == ("tools", 3)
    assert "no luck" in caught.value.message
    lines = caught.value.traceback
    assert lines[0].startswith("tools:3:") and any(line.startswith("page:4:") for line in lines)
    assert not any("picloud" in line for line in lines)


@pytest.mark.parametrize("value", ["{}", "{ message = 'plain' }", "nil", "7", "true", "print", "json.null"])
def test_any_value_may_be_an_error(value: str) -> None:
    with pytest.raises(ScriptRuntimeError):
        answer(f"error({value})")


def test_a_body_that_is_not_json_is_the_caller_s_fault() -> None:
    with pytest.raises(InvalidInput, match="not valid JSON"):
        answer("return request.json.a", body=b"{")
    assert (
        answer("local ok = pcall(function() return request.json end) return tostring(ok)", body=b"{").body == b"false"
    )


@given(st.dictionaries(st.text(), st.text(), max_size=4), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_a_script_sees_the_request_as_it_is(params: dict[str, str], query: list[tuple[str, str]]) -> None:
    response = answer("return { p = request.params, q = request.query }", params=params, query=tuple(query))
    first: dict[str, str] = {}
    for name, value in query:
        first.setdefault(name, value)
    assert json.loads(response.body) == {"p": params, "q": first}


def test_many_query_fields_take_linear_time() -> None:
    query = tuple(("k", "v") for _ in range(30_000))
    assert answer("return request.query.k", query=query).body == b"v"


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=x=y", {"a": "1", "b": "x=y"}),
        ("a=1; a=2", {"a": "1"}),
        ("a; b=2;;=3; =", {"b": "2"}),
        ("a=", {"a": ""}),
    ],
)
def test_cookies(header: str, cookies: dict[str, str]) -> None:
    assert json.loads(answer("return request.cookies", headers={"cookie": header}).body) == cookies


def test_what_a_script_prints_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="picloud.script"):
        answer("print('one', nil, 2) log.warn('two', { a = 1 })")
    assert [(r.levelname, r.getMessage().strip()) for r in caplog.records] == [
        ("INFO", "one\tnil\t2"), ("WARNING", 'two {"a":1}'),
    ]  # fmt: skip


def test_a_test_s_calls_have_the_time_of_their_own_test() -> None:
    """A run of somebody else that is past its end must not shorten them."""
    executor = Executor(EXECUTOR.limits)
    entered, release = threading.Event(), threading.Event()
    outcome: list[str] = []

    def hold(_text: str) -> None:
        entered.set()
        release.wait(10)

    def other() -> None:
        try:
            executor.endpoint(
                APP, linked("other", "print('in') while true do end"), Snapshot(APP, {}, ()),
                Request("GET", "/", "r"), {}, timeout_s=0.2, write=hold,
            )  # fmt: skip
        except TimeLimitExceeded as error:
            outcome.append(error.code)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(5)
    (state,) = executor._states
    while state.remaining_s > 0:
        time.sleep(0.001)
    routes = (Route("GET", "/", "page"),)
    snapshot = Snapshot(APP, {"page": linked("page", "for i = 1, 1e5 do end return 'ok'")}, routes)
    result = run_test(executor, APP, snapshot, routes, TestSource("t", "expect(call('GET', '/').body):equals('ok')"))
    release.set()
    thread.join()
    assert result.passed, result.error
    assert outcome == ["time_limit_exceeded"]
