"""Completion, inspection and is-complete of what a text alone tells: no platform is opened for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.sdk import Function, functions
from picloud.sdk.reference import hover
from picloud_kernel import inspection
from picloud_kernel.completeness import is_complete
from picloud_kernel.completion import Completion
from picloud_kernel.lua_names import EXPECTATIONS, LIBRARIES, REQUEST, RESPONSE
from picloud_kernel.scope import Scope
from picloud_kernel.session import Session


def never_opened() -> Any:
    raise AssertionError("the platform was opened")


def scope(code: str) -> Scope:
    return Scope(code, None, lambda _name: None)


def complete(code: str, cursor: int) -> dict[str, Any]:
    return Completion(Session(never_opened, print)).reply(code, cursor, scope(code))


def inspect(code: str, cursor: int) -> dict[str, Any]:
    return inspection.reply(code, cursor, 0, scope(code))


def matches(code: str) -> list[str]:
    """What is offered at the end of a text."""
    found: list[str] = complete(code, len(code))["matches"]
    return found


@pytest.mark.parametrize(
    ("code", "matches", "start"),
    [
        ("%pl", ["%plan"], 0),
        ("%%", ["%%module", "%%endpoint", "%%trigger", "%%test", "%%python"], 0),
        ("%app blog\n%rou", ["%routes"], 10),
        ("local greeting = 1\nreturn gree", ["greeting"], 26),
        ("x = string.for", ["string.format"[7:]], 11),
        ("x = kv.ge", ["get", "get_many"], 7),
        ("return transac", ["transaction"], 7),
        ("x = nothing.en", [], 12),
        ("a.b.c", [], 4),
        ("return un", ["until"], 7),
        ("x = 1 ", [], 6),
        ("", [], 0),
    ],
)
def test_complete(code: str, matches: list[str], start: int) -> None:
    reply = complete(code, len(code))
    assert reply["matches"] == matches
    assert (reply["cursor_start"], reply["cursor_end"]) == (start, len(code))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("%%endpoint e GET /a/:id/*rest\nreturn request.params.", ["id", "rest"]),
        ("%%endpoint e GET /a\nreturn request.", sorted(REQUEST)),
        ("-- says\n\n%%endpoint e GET /a\nreturn request.pa", ["params", "path"]),
        ("%%endpoint e GET /a\nreturn response.", sorted(RESPONSE)),
        ("%%endpoint e GET /a\nreturn requ", ["request", "require"]),
        ("return request.", []),
        ("return requ", ["require"]),
        ("%%test t\nexpect(1):", list(EXPECTATIONS)),
        ("%%test t\nexpect(call('GET', '/').json.x):eq", ["equals"]),
        ("%%test t\nexp", ["expect"]),
        ("%%test t\ncal", ["call"]),
        ("expect(1):", []),
        ("%%module m\nlocal M = {}\nfunction M.hello() end\nfunction M.bye() return M.", ["bye", "hello"]),
        ("coroutine.", sorted(LIBRARIES["coroutine"])),
        ("local s = 'a'\ns.", []),
        ("%call g", []),
        ("%call P", ["POST", "PUT", "PATCH"]),
        ("%%endpoint hello DE", ["DELETE"]),
        ("%%endpoint hello GET /a au", ["auth=public", "auth=token"]),
        ("%%endpoint hello GET /a auth=token ti", ["timing=on"]),
        ("%publish --", ["--remove", "--force", "--reason"]),
        ("%runs --", ["--failed", "--limit"]),
        ("%runs mailer --f", ["--failed"]),
        ("%report o", ["on", "off"]),
        ("%app ", []),
        ("%rollback ", []),
        ("return require('", []),
        ("x = 'text'.", []),
    ],
)
def test_what_fits_at_the_place_is_offered(code: str, expected: list[str]) -> None:
    assert matches(code) == expected


def test_every_match_says_what_it_is_and_how_it_is_called() -> None:
    reply = complete("x = kv.se", 9)
    assert reply["metadata"]["_jupyter_types_experimental"] == [
        {"start": 7, "end": 9, "text": text, "type": "function", "signature": signature}
        for text, signature in [("set", "(key, value, [options])"), ("set_many", "(entries, [options])")]
    ]
    kinds = {item["text"]: item["type"] for item in complete("m", 1)["metadata"]["_jupyter_types_experimental"]}
    assert kinds == {"math": "module"}


@pytest.mark.parametrize("before", ["x = '😀' ", "-- 🦉🦉\n", "é = ", "\t"])
def test_positions_are_code_points(before: str) -> None:
    reply = complete(f"{before}whi and more", len(before) + 3)
    assert (reply["matches"], reply["cursor_start"], reply["cursor_end"]) == (["while"], len(before), len(before) + 3)
    assert inspect(f"{before}kv.get(1)", len(before) + 1)["found"]


@given(st.text(alphabet=st.sampled_from("%abrequirexpct.:('\"\n 😀[=-?\0"), max_size=60), st.integers(0, 60))
def test_no_text_makes_it_fail(code: str, cursor: int) -> None:
    cursor = min(cursor, len(code))
    reply = complete(code, cursor)
    assert 0 <= reply["cursor_start"] <= reply["cursor_end"] == cursor
    typed = code[reply["cursor_start"] : cursor]
    assert all(match.startswith(typed) for match in reply["matches"])
    inspect(code, cursor)
    assert is_complete(code)["status"] in ("complete", "incomplete", "invalid")


def test_a_long_text_is_no_trouble() -> None:
    code = "expect(" * 20_000 + "a." * 20_000
    assert matches(code) == []
    inspect(code, len(code))
    assert is_complete("(" * 100_000)["status"] in ("incomplete", "invalid")


def test_completion_looks_at_the_text_before_the_cursor() -> None:
    assert complete("%pl\nx = 1", 3)["matches"] == ["%plan"]


@pytest.mark.parametrize(("code", "cursor"), [("%publish", 3), ("%app blog\n%publish -m x", 20), ("%%endpoint", 0)])
def test_a_magic_is_explained(code: str, cursor: int) -> None:
    reply = inspect(code, cursor)
    assert reply["found"] is True
    assert reply["data"]["text/plain"].startswith("%")


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)
def test_every_function_of_the_sdk_is_completed_and_explained(function: Function) -> None:
    *_, last = function.name.split(".")
    assert last in complete(function.name, len(function.name))["matches"]
    for code, cursor in [
        (f"local x = {function.name}(", len(f"local x = {function.name}(")),
        (f"{function.name}(1)", len(function.name) - 1),
        (f"{function.name}", len(function.name)),
    ]:
        assert inspect(code, cursor)["data"]["text/markdown"] == hover(function)


def test_a_namespace_is_explained() -> None:
    assert inspect("kv", 2)["data"]["text/plain"].startswith("Values under keys")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("string.format(", "string.format(format, ...)"),
        ("x = math.pi", "math.pi"),
        ("pcall", "pcall(f, ...)"),
        ("%%endpoint e GET /a\nreturn request.query", "request.query"),
        ("%%endpoint e GET /a\nreturn response.json(", "response.json(value, [status], [headers])"),
        ("%%test t\nexpect(1):equals(", "expect(value):equals(other)"),
        ("%%test t\ncall(", "call(method, path, [options])"),
    ],
)
def test_what_scripts_have_is_explained_in_a_line(code: str, text: str) -> None:
    first, _, rest = inspect(code, len(code))["data"]["text/plain"].partition("\n\n")
    assert first == text
    assert rest


@pytest.mark.parametrize(("code", "cursor"), [("my.kv.get", 9), ("return x", 3), ("", 0), ("%nothing", 2)])
def test_nothing_else_is_explained(code: str, cursor: int) -> None:
    assert inspect(code, cursor)["found"] is False


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("return 1", "complete"),
        ("1 + 1", "complete"),
        ("", "complete"),
        ("%help", "complete"),
        ("%%module m\nreturn {}", "incomplete"),
        ("%%module m\nreturn {}\n\n", "complete"),
        ("for i = 1, 2 do", "incomplete"),
        ("1 +", "incomplete"),
        ("x = [[", "incomplete"),
        ("x = = 1", "invalid"),
        ("end", "invalid"),
        ("%nothing", "invalid"),
    ],
)
def test_is_complete(code: str, status: str) -> None:
    reply: dict[str, Any] = is_complete(code)
    assert reply["status"] == status


@pytest.mark.parametrize(
    ("code", "indent"),
    [
        ("for i = 1, 2 do", 1),
        ("while true do\n  if x then", 2),
        ("if x then\n  f()\nelseif y then", 1),
        ("if x then\n  f()\nelse", 1),
        ("function f(a,", 1),
        ("f({\n  a = 1,", 1),
        ("t = {\n  a = {\n    b = function()", 3),
        ("repeat", 1),
        ("do end do", 1),
        ("x = 1 +", 0),
        ("x = [[ do do", 0),
        ("-- do\nif true then -- end", 1),
        ("--[[ do ]] do", 1),
        ("x = 'do' do", 1),
        ('x = "\\" do" do', 1),
        ("x = [==[ ]] ]==] do", 1),
        ("%%module m\nlocal M = {}\nfunction M.f()", 1),
        ("%%test t\nassert(1)", 0),
    ],
)
def test_the_next_line_is_set_in_by_the_open_blocks(code: str, indent: int) -> None:
    assert is_complete(code) == {"status": "incomplete", "indent": "  " * indent}


@pytest.mark.parametrize("code", ["kv.set?", "??greet.hello", "%publish?"])
def test_a_question_is_complete(code: str) -> None:
    assert is_complete(code) == {"status": "complete"}


@pytest.mark.parametrize("code", ["%%module m\nx = = 1", "%%test t\nend"])
def test_a_broken_cell_is_invalid_at_once(code: str) -> None:
    assert is_complete(code) == {"status": "invalid"}
