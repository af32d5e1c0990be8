"""Cells in the manner of Jupyter Kernel Gateway: what they answer, and that comments stay comments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from picloud.errors import InvalidNotebook, InvalidRoute, InvalidScript, ScriptRuntimeError
from picloud.model.http import Response
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import AnnotatedCell, CommandCell, ModuleCell, ScratchCell, parse_cell
from picloud.publishing.notebook import manifest_of
from picloud.settings import Settings
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session

Ask = Callable[..., Response]


def notebook(*sources: str) -> dict[str, Any]:
    return {"nbformat": 4, "cells": [{"cell_type": "code", "source": source} for source in sources]}


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


@pytest.fixture
def ask(platform: Platform) -> Ask:
    """Publish cells and make one request."""

    def send(cells: list[str], method: str, target: str, body: bytes = b"", kind: str = "") -> Response:
        platform.publisher.publish("app", manifest_of(notebook(*cells)), author="t", create=True, force="x")
        session = platform.interactive("app", lambda _text: None)
        return session.call(method, target, body=body, headers={"content-type": kind} if kind else {})

    return send


def test_what_is_printed_is_the_answer(ask: Ask) -> None:
    response = ask(
        ["-- GET /hello/:name\nlocal r = json.decode(REQUEST)\nprint('hello', r.path.name)"], "GET", "/hello/ada"
    )
    assert (response.status, response.body) == (200, b"hello\tada\n")
    assert dict(response.headers)["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("body", "kind", "read"),
    [
        (b'{"a": [1]}', "application/json", {"a": [1]}),
        (b"a=1&b=x%20y", "application/x-www-form-urlencoded", {"a": ["1"], "b": ["x y"]}),
        (b"plain", "text/plain", "plain"),
        (b"", "", ""),
    ],
)
def test_the_request_is_json_text(ask: Ask, body: bytes, kind: str, read: object) -> None:
    request = json.loads(ask(["-- POST /x/:id\nprint(REQUEST)"], "POST", "/x/7?q=1&r=a%20b", body, kind).body)
    assert request["body"] == read
    assert request["args"] == {"q": ["1"], "r": ["a b"]}
    assert request["path"] == {"id": "7"}
    assert request["headers"] == ({"content-type": kind} if kind else {})


def test_response_info_gives_status_and_headers(ask: Ask) -> None:
    info = '-- ResponseInfo GET /x\nprint(json.encode({ headers = { ["Content-Type"] = "text/csv" }, status = 201 }))'
    response = ask([info, "-- GET /x\nprint('a,b')"], "GET", "/x")
    assert (response.status, response.body) == (201, b"a,b\n")
    assert dict(response.headers)["content-type"] == "text/csv"


@pytest.mark.parametrize(
    ("cell", "status", "body"),
    [
        ("-- GET /x\nreturn { a = 1 }, 202", 202, b'{"a":1}'),
        ("-- GET /x\nprint('printed') return 'returned', 202", 200, b"printed\n"),
        ("-- GET /x", 200, b""),
        ("-- GET /x\nlocal a = 1", 200, b""),
        ("\n\n-- GET /x\nprint(nil, 1.0)", 200, b"nil\t1.0\n"),
    ],
)
def test_without_output_the_cell_answers_as_an_endpoint_does(ask: Ask, cell: str, status: int, body: bytes) -> None:
    response = ask([cell], "GET", "/x")
    assert (response.status, response.body) == (status, body)


def test_cells_of_one_annotation_are_one_endpoint_and_errors_have_their_lines(ask: Ask, platform: Platform) -> None:
    cells = ["-- GET /x\nlocal a = 1", "%%module m\nreturn {}", "-- GET /x\nprint(a + 1)\nlocal m = require('m')"]
    assert ask(cells, "GET", "/x").body == b"2\n"
    [script] = [s for s in platform.publisher.live("app").scripts if s.name != "m"]
    assert script.name == "GET x"
    assert script.source.split("\n")[3] == "print(a + 1)"
    with pytest.raises(ScriptRuntimeError) as caught:
        ask(["-- GET /x\n\nerror('no')"], "GET", "/x")
    assert (caught.value.script, caught.value.line) == ("GET x", 3)


def test_runs_share_nothing(ask: Ask) -> None:
    cell = "-- GET /x\nseen = (seen or 0) + 1\nprint(seen)"
    assert ask([cell], "GET", "/x").body == ask([cell], "GET", "/x").body == b"1\n"


@pytest.mark.parametrize(
    "source",
    [
        "-- GET the list",
        "-- GET /users returns all of them\nreturn 1",
        "-- get /users",
        "--GET /users",
        "-- FETCH /users",
        "-- ResponseInfo",
        "-- ResponseInfo /x",
        "x = 1\n-- GET /users",
        "--[[\n-- GET /x\n]]",
        "-- GET",
        "-- a comment\n-- GET /x",
    ],
)
def test_comments_stay_comments(source: str) -> None:
    assert isinstance(parse_cell(source), ScratchCell)


def test_a_magic_below_an_annotation_wins() -> None:
    assert isinstance(parse_cell("-- GET /x\n%%module m\nreturn {}"), ModuleCell)
    assert isinstance(parse_cell("-- GET /x\n%plan"), CommandCell)
    assert parse_cell("-- GET /x\r\nreturn 1") == AnnotatedCell("GET", "/x", False, "-- GET /x\nreturn 1")
    with pytest.raises(InvalidRoute):
        parse_cell("-- GET /a//b")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["-- ResponseInfo GET /x\nprint('{}')"], "cell 1: '-- ResponseInfo GET /x' says how to answer, but no cell"),
        (
            ["-- GET /x/:a", "%%endpoint e GET /x/:b\nreturn 1"],
            "cell 1: the route GET /x/:a is already taken by cell",
        ),
        (["-- GET /x", '%%endpoint "GET x" GET /y\nreturn 1'], "cell 1: the name 'GET x' is already taken by cell 2"),
        ([f"-- GET /{'x' * 200}"], "too long to name an endpoint"),
    ],
)
def test_what_does_not_fit_is_told_with_its_cell(cells: list[str], sentence: str) -> None:
    with pytest.raises(InvalidNotebook) as caught:
        manifest_of(notebook(*cells))
    assert sentence in caught.value.message


def test_names_of_different_paths_differ() -> None:
    paths = ["/", "/a", "/a/b", "/a.b", "/a/:b", "/a/*b", "/a-b"]
    manifest = manifest_of(notebook(*(f"-- {method} {path}" for path in paths for method in ("GET", "PUT"))))
    assert len({script.name for script in manifest.scripts}) == 2 * len(paths)


def test_text_that_is_not_lua_is_refused(platform: Platform) -> None:
    for text in ("end print(1)", "if x then", "local = 1"):
        with pytest.raises(InvalidScript):
            platform.publisher.publish("app", manifest_of(notebook(f"-- GET /x\n{text}")), author="t", create=True)


@pytest.fixture
def run(platform: Platform) -> Callable[..., str]:
    """Run a cell in a session; returns what it shows last."""
    shown: list[Bundle] = []
    session = Session(lambda: nullcontext(platform), lambda _: None)
    session.use_app("app")
    runner = Runner(session, Commands(session, server_url=None), shown.append)

    def run(source: str, cell_id: str | None = None) -> str:
        runner.run(parse_cell(source), "cell 1", cell_id)
        return str(shown[-1].data["text/plain"])

    return run


def test_in_a_session_cells_are_drafts_that_are_listed_as_annotated(run: Callable[..., str]) -> None:
    assert "waits for the cell '-- GET /x'" in run("-- ResponseInfo GET /x\nprint('{\"status\": 201}')", "a")
    assert run("-- GET /x\nlocal n = 1", "b") == "endpoint GET x: draft, answers GET /x"
    run("-- GET /x\nprint(n)", "c")
    assert "1\n" in run("%call GET /x")
    assert run("%call GET /x").startswith("201 Created")
    run("-- GET /x\nlocal n = 2", "b")
    assert run("%call GET /x").rstrip().endswith("2")
    assert "endpoint, annotated  GET x" in run("%scripts")
    assert "+ endpoint GET x (annotated)" in run("%plan")
    run("-- GET /other\nprint(n)", "c")
    run("-- GET /x\nprint('again')", "b")
    assert run("%call GET /x").rstrip().endswith("again")
    assert "Release 1" in run("%publish")
    assert "Nothing changes" in run("%plan")
