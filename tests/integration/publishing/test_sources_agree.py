"""A notebook file, the same cells in several notebooks, and a session that ran them make the same manifest."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound
from picloud.model.release import Manifest
from picloud.platform import Platform, limits_of
from picloud.publishing.cells import parse_cell
from picloud.publishing.notebook import author, manifest_of
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session

NAMES = st.text("abcxyz_", min_size=1, max_size=6).filter(lambda name: name not in ("and", "or", "do"))
LINES = st.sampled_from(["-- ü", "", "local a = 1", "local t = { '%%module x' }", "  local b = [[\n  \n]]"])
COMMENT = st.sampled_from(["", "-- x"])
NOISE = st.sampled_from(
    ["-- GET the list", "%app blog", "return 1", "%%python\nx = 1", "", "-- %%module no\nlocal z = 1"]
)
BODY = st.lists(LINES, max_size=4).map("\n".join)


@st.composite
def definitions(draw: st.DrawFn) -> list[str]:
    """Cells that define something, in any order; no two define the same."""
    modules = draw(st.lists(NAMES.map("m_".__add__), max_size=3, unique=True))
    endpoints = draw(st.lists(NAMES.map("e ".__add__), max_size=3, unique=True))
    annotated = draw(st.lists(NAMES, max_size=2, unique=True))
    tests = draw(st.lists(NAMES.map("t ".__add__), max_size=2, unique=True))
    cells = [
        f"%%module {name}\nlocal a = 1\n{draw(st.sampled_from(['', '-- x']))}\nreturn {{ a = a }}" for name in modules
    ]
    cells += [
        f'%%endpoint "{name}" {draw(st.sampled_from(["GET", "PUT"]))} /e{number}/:id auth=token\n{draw(BODY)}'
        for number, name in enumerate(endpoints)
    ]
    for name in annotated:
        parts = draw(st.integers(1, 3))
        cells += [f"-- POST /{name}\n-- part {part}\n{draw(BODY)}" for part in range(parts)]
        cells += [f"-- ResponseInfo POST /{name}\nprint('{{}}')"] * draw(st.integers(0, 1))
    cells += [f'%%test "{name}"\n{draw(BODY)}' for name in tests]
    return draw(st.permutations(cells))


@st.composite
def notebooks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Cells as nbformat may have them, with cells in between that publish nothing."""
    cells: list[dict[str, Any]] = [_code(draw, "%%module always\nreturn {}")]
    for source in draw(definitions()):
        if draw(st.booleans()):
            cells.append({"cell_type": draw(st.sampled_from(["markdown", "raw"])), "source": source})
        if draw(st.booleans()):
            cells.append(_code(draw, draw(NOISE)))
        cells.append(_code(draw, source))
    return cells


def _code(draw: st.DrawFn, source: str) -> dict[str, Any]:
    text = draw(st.sampled_from(["", "\n", "\n-- a comment\n"] if source.startswith("%%") else [""])) + source
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return {"cell_type": "code", "source": text.splitlines(keepends=True) if draw(st.booleans()) else text}


def document(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


class NoPlatform:
    """What a session needs to keep drafts: nothing is live, and nothing runs."""

    def interactive(self, name: str, *_: object) -> Interactive:
        def nothing_live(_name: str) -> Any:
            raise NotFound

        return Interactive(nothing_live, Executor(limits_of(Settings())), name, lambda _text: None)


def in_a_session(cells: list[dict[str, Any]]) -> Manifest:
    """Run all code cells from top to bottom, as Jupyter does."""
    session = Session(lambda: nullcontext(cast("Platform", NoPlatform())), lambda _: None)
    session.use_app("blog")
    runner = Runner(session, Commands(session, server_url=None), lambda _: None)
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            parsed = parse_cell("".join(cell["source"]))
            runner.run(parsed, "cell", str(number))
    return session.app.manifest()


@settings(max_examples=60, deadline=None)
@given(notebooks(), st.data())
def test_file_files_and_session_agree(cells: list[dict[str, Any]], data: st.DataObject) -> None:
    one = manifest_of(document(cells))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(cells)), max_size=3)))
    parts = [cells[a:b] for a, b in zip([0, *cuts], [*cuts, len(cells)], strict=True)]
    assert author((f"{number}.ipynb", document(part)) for number, part in enumerate(parts)).manifest == one
    assert in_a_session(cells) == one
    assert list(one.scripts) == sorted(one.scripts, key=lambda script: script.name)
