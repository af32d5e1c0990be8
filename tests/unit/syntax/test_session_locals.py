"""What a cell declares at its top level becomes the session's; the text is otherwise what its author wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.lua.compiler import syntax_error
from picloud.syntax.session_locals import with_session_locals

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("local x = 1", "x = 1"),
        ("local x", "x = nil"),
        ("local x -- why\nlocal y;", "x = nil -- why\n y = nil;"),
        ("local x, y = f()", "x, y = f()"),
        ("local x <const>, y < const > = 1, 2", "x , y = 1, 2"),
        ("local x <const>", "x = nil"),
        ("local function f() return f end", "function f() return f end"),
        ("local x = x", "x = x"),
        ("local\nx\n=\n1", "\nx\n=\n1"),
        ("local _, _, x = f()", "local __ __, _, x = f()"),
        ("do local x = 1 end for i = 1, 2 do local y = i end", None),
        ("local c <close> = f()", None),
        ("local c <close>, d = f()\nlocal d = 1", None),
        ("local _ENV = {}\nlocal x = 1", None),
        ("local function f(_ENV) return x end local x", None),
        ("return function() local x end", None),
        ("print('local x = 1') --[[ local y ]] print [[\nlocal z]]", None),
    ],
)
def test_only_locals_of_the_top_level_are_declared(source: str, expected: str | None) -> None:
    cell = with_session_locals(source)
    assert cell.source.split() == (source if expected is None else expected).split()
    assert cell.source.count("\n") == source.count("\n")


def test_the_names_declared_are_told_and_which_are_constants() -> None:
    cell = with_session_locals(
        "local a, b <const> = 1, 2 local function f() end local c <const> = 1 local c do local d end"
    )
    assert cell.declared == {"a": False, "b": True, "f": False, "c": False}


def test_a_close_variable_keeps_every_local_it_would_hide() -> None:
    """`a = 1` would be refused where the cell's own, constant `a` is in scope; what goes with it stays, too."""
    source = "local a <close>, b = nil local b, c = 1 local c = 2 local free = 3"
    assert with_session_locals(source).declared == {"free": False}


def test_a_spare_name_is_none_the_cell_has() -> None:
    source = "local x, x = 1, __ local ___ = 2"
    assert "local ____" in with_session_locals(source).source


def test_what_does_not_parse_is_left_alone() -> None:
    assert with_session_locals("local x = = 1").source == "local x = = 1"


LUA_FILES = sorted(path for folder in ("picloud", "tests") for path in (ROOT / folder).rglob("*.lua"))


@pytest.mark.parametrize("path", LUA_FILES, ids=[path.name for path in LUA_FILES])
def test_every_lua_file_of_the_project_stays_lua_with_its_lines(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if syntax_error(source) is not None:
        return
    cell = with_session_locals(source)
    assert syntax_error(cell.source) is None
    assert cell.source.count("\n") == source.count("\n")


WORDS = "local x y _ENV <const> <close> = 1 , function () end do ; é --[[ ]] ' -- goto ::x:: return { } ( if x then"
PIECES = st.sampled_from([*(word + " " for word in WORDS.split()), "for i = 1, 2 ", '"', "\n", "\x00"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_text_breaks_the_rewrite_and_lua_stays_lua(source: str) -> None:
    cell = with_session_locals(source)
    assert cell.source.count("\n") == source.count("\n")
    if syntax_error(source) is None:
        assert syntax_error(cell.source) is None
