"""How coverage looks: a table that reads the same each time, and the text with its lines marked."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.engine.coverage import ScriptCoverage
from picloud.model.script import Script, ScriptKind
from picloud_kernel.coverage import ANNOTATED_LINES_MAX, coverage_bundle, percent


def covered(name: str, kind: ScriptKind, source: str, lines: tuple[int, ...], *reached: int) -> ScriptCoverage:
    return ScriptCoverage(Script(name, kind, source), lines, frozenset(reached), loaded=bool(reached))


GREET = covered("greet", ScriptKind.MODULE, "a\nb\n\n-- c\nd\ne\nf\ng\nh", (1, 2, 5, 6, 7, 9), 1, 6)
HELLO = covered("say hello", ScriptKind.ENDPOINT, "return 1", (1,))
EMPTY = covered("empty", ScriptKind.MODULE, "-- nothing", ())


def test_the_table_has_a_row_for_each_script_and_one_for_all() -> None:
    assert coverage_bundle([EMPTY, GREET, HELLO]).data["text/plain"].splitlines() == [
        "script     kind      lines  covered  missing",
        "empty      module    0/0    -",
        "greet      module    2/6    33 %     2-5, 7-9",
        "say hello  endpoint  0/1    0 %      1",
        "total                2/7    28 %",
    ]


def test_one_script_needs_no_total() -> None:
    assert coverage_bundle([HELLO]).data["text/plain"].splitlines()[1:] == ["say hello  endpoint  0/1    0 %      1"]


def test_no_script_is_said() -> None:
    assert coverage_bundle([]).data == {"text/plain": "No script of the app was loaded."}


@given(whole=st.integers(1, 10**6), data=st.data())
def test_only_all_is_100_percent_and_only_none_is_0(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    assert (percent(part, whole) == "100 %") == (part == whole)
    assert (percent(part, whole) == "0 %") == (part == 0)


class Page(HTMLParser):
    """What a browser makes of it: the text of each line of the sources by its mark, and the tags there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.lines: list[tuple[str, str]] = []
        self._style: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._style = dict(attrs)["style"] if tag == "span" else None

    def handle_endtag(self, tag: str) -> None:
        self._style = None

    def handle_data(self, data: str) -> None:
        if self._style is not None:
            marks = {"green": "success-color", "red": "error-color"}
            mark = next((color for color, name in marks.items() if name in self._style), "")
            self.lines.append((mark, data))


def test_each_line_is_marked_as_reached_missing_or_neither() -> None:
    page = Page(coverage_bundle([GREET, HELLO], annotated=True).data["text/html"])
    assert [mark for mark, _ in page.lines] == ["green", "red", "", "", "red", "green", "red", "", "red", "red"]
    assert [line for _, line in page.lines][:4] == ["1  a", "2  b", "3  ", "4  -- c"]


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "</pre></details><img src=x onerror=alert(1)>", "&lt;"]
)
def test_neither_names_nor_text_become_html(hostile: str) -> None:
    script = covered(hostile.replace("/", ""), ScriptKind.ENDPOINT, hostile, (1,))
    page = Page(coverage_bundle([script], annotated=True).data["text/html"])
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "span", "div"}
    assert page.lines == [("red", f"1  {hostile}")]


def test_a_very_long_text_is_left_out() -> None:
    long = covered("m", ScriptKind.MODULE, "x = 1\n" * ANNOTATED_LINES_MAX, (1,))
    assert Page(coverage_bundle([long], annotated=True).data["text/html"]).lines == []
