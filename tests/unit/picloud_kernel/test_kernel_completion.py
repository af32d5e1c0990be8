"""Completion, inspection and is-complete."""

from __future__ import annotations

from typing import Any

import pytest

from picloud.sdk import Function, functions
from picloud.sdk.reference import hover
from picloud_kernel.completion import complete, inspect, is_complete


@pytest.mark.parametrize(
    ("code", "matches", "start"),
    [
        ("%pl", ["%plan"], 0),
        ("%%", ["%%module", "%%endpoint", "%%test", "%%python"], 0),
        ("%app blog\n%rou", ["%routes"], 10),
        ("local greeting = 1\nreturn gree", ["greeting"], 26),
        ("x = string.for", ["string.format"[7:]], 11),
        ("x = kv.ge", ["get", "get_many"], 7),
        ("return transac", ["transaction"], 7),
        ("x = nothing.en", [], 12),
        ("a.b.c", [], 5),
        ("return un", ["until"], 7),
        ("x = 1 ", [], 6),
        ("", [], 0),
    ],
)
def test_complete(code: str, matches: list[str], start: int) -> None:
    reply = complete(code, len(code))
    assert reply["matches"] == matches
    assert (reply["cursor_start"], reply["cursor_end"]) == (start, len(code))


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
