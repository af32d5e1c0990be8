"""How values and answers look."""

from __future__ import annotations

import json

import pytest

from picloud.engine.interactive import Echo
from picloud.model.http import Response
from picloud_kernel.display import columns, echo_bundle, response_bundle


def table(value: object, text: str = "tree") -> Echo:
    return Echo("table", text, json.dumps(value))


def test_no_value_shows_nothing() -> None:
    assert echo_bundle(()) is None


def test_a_plain_value_is_text() -> None:
    bundle = echo_bundle([Echo("number", "42", "42")])
    assert bundle is not None
    assert bundle.data == {"text/plain": "42"}


def test_several_values_are_one_a_line() -> None:
    bundle = echo_bundle([Echo("nil", "nil", "null"), table({"a": 1})])
    assert bundle is not None
    assert bundle.data == {"text/plain": "nil\ntree"}


def test_a_table_is_a_json_tree_opened() -> None:
    bundle = echo_bundle([table({"a": [1]})])
    assert bundle is not None
    assert bundle.data == {"text/plain": "tree", "application/json": {"a": [1]}}
    assert bundle.metadata == {"application/json": {"expanded": True}}


def test_a_table_without_json_is_text() -> None:
    bundle = echo_bundle([Echo("table", "{ f = function }", None)])
    assert bundle is not None
    assert bundle.data == {"text/plain": "{ f = function }"}


def test_integers_a_browser_would_round_are_left_to_the_text() -> None:
    bundle = echo_bundle([table({"id": 2**53 + 1})])
    assert bundle is not None
    assert set(bundle.data) == {"text/plain"}


def test_flat_records_are_a_table_with_the_columns_of_all() -> None:
    bundle = echo_bundle([table([{"a": 1, "b": "<i>"}, {"c": None, "a": 2**60}])])
    assert bundle is not None
    assert bundle.data["text/html"] == (
        "<table><thead><tr><th>a</th><th>b</th><th>c</th></tr></thead><tbody>"
        "<tr><td>1</td><td>&lt;i&gt;</td><td></td></tr>"
        f"<tr><td>{2**60}</td><td></td><td>null</td></tr></tbody></table>"
    )


@pytest.mark.parametrize(
    "value", [[], [1], [{}], [{"a": [1]}], [{"a": 1}] * 1001, [dict.fromkeys(map(str, range(51)), 1)]]
)
def test_other_lists_are_not_a_table(value: object) -> None:
    bundle = echo_bundle([table(value)])
    assert bundle is not None
    assert "text/html" not in bundle.data


def test_an_answer_shows_status_headers_and_indented_json() -> None:
    bundle = response_bundle(Response(200, (("content-type", "application/json"),), b'{"name":"\xc3\xbc","n":1}'))
    assert bundle.data["text/plain"] == ('200 OK\ncontent-type: application/json\n\n{\n  "name": "ü",\n  "n": 1\n}')


def test_an_answer_cannot_inject_html() -> None:
    bundle = response_bundle(Response(200, (("x-a", "<script>"),), b"<script>"))
    assert "<script>" not in bundle.data["text/html"]


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (Response(204, (), b""), "204 No Content"),
        (Response(299, (), b""), "299"),
        (Response(200, (("content-type", "image/png"),), b"\x89PNG"), "(4 bytes of binary data)"),
        (Response(200, (), b"x" * 70_000), "(70000 bytes, too many to show here)"),
        (Response(200, (("content-type", "application/json"),), b"{broken"), "{broken"),
    ],
)
def test_other_answers(response: Response, text: str) -> None:
    assert text in response_bundle(response).data["text/plain"]


def test_columns_are_aligned() -> None:
    assert columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
    assert columns([]) == ""
