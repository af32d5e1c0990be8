"""How values and answers look: text that is the same at every run, and markup that no value can break out of."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.interactive import Echo
from picloud.model.http import Response
from picloud.model.value import Scalar, Table, Text, Value
from picloud_kernel.display import TEXT_SHOWN_MAX, Bundle, columns, echo_bundle, response_bundle
from picloud_kernel.values import ROWS_MAX


def text(content: str) -> Text:
    return Text(content, len(content.encode()))


def number(content: str) -> Scalar:
    return Scalar("number", content)


def record(**fields: Value) -> Table:
    return Table((), tuple((text(name), value) for name, value in fields.items()))


def shown(*values: Value) -> Bundle:
    bundle = echo_bundle([Echo("table" if isinstance(value, Table) else "other", value) for value in values])
    assert bundle is not None
    return bundle


class Elements(HTMLParser):
    """What a browser would make of markup: elements with their attributes, and text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_value_shows_nothing() -> None:
    assert echo_bundle(()) is None


def test_plain_values_are_text_one_a_line() -> None:
    assert shown(number("42")).data == {"text/plain": "42"}
    assert shown(text("a\nb"), number("1")).data == {"text/plain": "a\nb\n1"}
    assert shown(Table((), ())).data == {"text/plain": "{}"}


def test_a_long_string_is_cut_and_its_length_told() -> None:
    plain = shown(text("x" * 50_000)).data["text/plain"]
    assert plain == "x" * TEXT_SHOWN_MAX + "... (50000 bytes)"


def test_a_table_is_an_expandable_tree_and_the_same_as_text() -> None:
    bundle = shown(record(name=text("ada"), list=Table((number("1"), number("9007199254740993")), (), more=7)))
    assert bundle.data["text/plain"] == (
        '{\n  name = "ada",\n  list = {\n    1,\n    9007199254740993,\n    ... 7 more\n  },\n}'
    )
    found = Elements(bundle.data["text/html"])
    assert {"details", "summary"} <= found.names
    assert '"ada"' in found.text
    assert "9007199254740993" in found.text
    assert "... 7 more" in found.text


def test_flat_records_are_a_table_with_numbers_to_the_right() -> None:
    rows = Table((record(a=number("1"), b=text("<i>")), record(c=Scalar("boolean", "true"), a=number("2"))), ())
    markup = shown(rows).data["text/html"]
    assert "<table>" in markup
    assert "&lt;i&gt;" in markup
    assert "<i>" not in markup
    assert markup.count("text-align: right") == 3  # the title and two cells of `a`


def test_rows_that_are_not_shown_are_counted() -> None:
    rows = Table(tuple(record(a=number(str(n))) for n in range(ROWS_MAX + 30)), (), more=5)
    found = Elements(shown(rows).data["text/html"])
    assert "35 more rows are not shown" in found.text


def test_a_record_that_was_cut_does_not_make_the_table_a_tree() -> None:
    cut = Table((), ((text("a"), number("1")),), more=3)
    assert "1 more row is not shown" in shown(Table((record(a=number("1")), cut), ())).data["text/html"]


@pytest.mark.parametrize(
    "value",
    [
        Table((number("1"),), ()),
        Table((record(a=Table((), ())),), ()),
        Table((record(**{f"c{n}": number("1") for n in range(51)}),), ()),
        Table((record(a=number("1")),), ((text("n"), number("1")),)),
    ],
)
def test_other_tables_are_no_rows(value: Table) -> None:
    assert "<table>" not in shown(value).data["text/html"]


HOSTILE = st.text() | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</pre>",
        "]]>",
        "&lt;",
        "\0",
    ]
)
SCALARS = st.builds(text, HOSTILE) | st.builds(Scalar, st.sampled_from(["number", "null", "cycle"]), HOSTILE)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: st.builds(
        Table,
        st.lists(inner, max_size=3).map(tuple),
        st.lists(st.tuples(SCALARS, inner), max_size=3).map(tuple),
        st.integers(0, 3),
        HOSTILE,
    ),
    max_leaves=8,
)


@given(VALUES)
def test_no_value_becomes_markup(value: Value) -> None:
    found = Elements(shown(value).data.get("text/html", ""))
    assert found.names <= {"div", "span", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"}
    assert found.attributes <= {"style", "open"}


KINDS = st.sampled_from(["text/html", "application/json", "text/plain", "image/png", "image/svg+xml", 'image/png";x="'])


@given(st.binary(max_size=200) | HOSTILE.map(lambda t: t.encode("utf-8", "replace")), KINDS | HOSTILE, HOSTILE)
def test_no_answer_becomes_markup(body: bytes, kind: str, header: str) -> None:
    markup = response_bundle(Response(200, (("content-type", kind), ("x-a", header)), body)).data["text/html"]
    found = Elements(markup)
    assert found.names <= {"div", "pre", "iframe", "details", "summary", "img"}
    assert found.attributes <= {"style", "open", "sandbox", "srcdoc", "title", "loading", "src", "alt"}


def test_a_page_is_shown_where_it_can_do_nothing() -> None:
    page = b'"><script>parent.alert(1)</script><p>hello'
    markup = response_bundle(Response(200, (("content-type", "text/html; charset=utf-8"),), page)).data["text/html"]
    assert ' sandbox=""' in markup
    assert "default-src &#x27;none&#x27;" in markup
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_a_picture_is_shown(kind: str) -> None:
    bundle = response_bundle(Response(200, (("content-type", kind),), b"\x89PNG\xff"))
    assert f'src="data:{kind};base64,' in bundle.data["text/html"]
    assert "(5 bytes of binary data)" in bundle.data["text/plain"]


@pytest.mark.parametrize("kind", ["image/svg+xml", "application/pdf"])
def test_what_could_hold_scripts_is_no_picture(kind: str) -> None:
    assert "<img" not in response_bundle(Response(200, (("content-type", kind),), b"<svg/>")).data["text/html"]


def test_a_large_picture_is_not_kept_in_the_notebook() -> None:
    bundle = response_bundle(Response(200, (("content-type", "image/png"),), b"\xff" * 300_000))
    assert len(bundle.data["text/html"]) < 2000


def test_an_answer_shows_status_headers_and_indented_json() -> None:
    bundle = response_bundle(Response(200, (("content-type", "application/json"),), b'{"name":"\xc3\xbc","n":1}'))
    assert bundle.data["text/plain"] == ('200 OK\ncontent-type: application/json\n\n{\n  "name": "ü",\n  "n": 1\n}')


@pytest.mark.parametrize(
    ("response", "part"),
    [
        (Response(204, (), b""), "204 No Content"),
        (Response(299, (), b""), "299"),
        (Response(200, (), b"\x89PNG"), "(4 bytes of binary data)"),
        (Response(200, (), b"x" * 70_000), "(70000 bytes, too many to show here)"),
        (Response(200, (("content-type", "application/json"),), b"{broken"), "{broken"),
    ],
)
def test_other_answers(response: Response, part: str) -> None:
    assert part in response_bundle(response).data["text/plain"]


def test_columns_are_aligned() -> None:
    assert columns([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
    assert columns([]) == ""
