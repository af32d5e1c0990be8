"""The table of magics is complete, and help and reference page are made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from picloud.errors import InvalidInput
from picloud.publishing.cells import parse_cell
from picloud.publishing.magics import MAGICS, Magic, find_magic, help_text, reference_page

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "notebook.md"


@pytest.mark.parametrize("magic", MAGICS, ids=lambda magic: magic.name)
def test_the_example_of_every_magic_parses(magic: Magic) -> None:
    assert magic.example.startswith(magic.name)
    parse_cell(magic.example)


@pytest.mark.parametrize("magic", MAGICS, ids=lambda magic: magic.name)
def test_help_shows_every_magic(magic: Magic) -> None:
    assert f"{magic.usage}\n    {magic.help}\n" in help_text()


def test_help_fits_into_a_notebook() -> None:
    assert max(map(len, help_text().splitlines())) <= 100


def test_a_name_far_from_all_gets_no_suggestion() -> None:
    with pytest.raises(InvalidInput, match="There is no magic '%q': a cell of Lua code needs none"):
        find_magic("%q")


def test_the_reference_page_is_in_step_with_the_table() -> None:
    """`python -c "from picloud.publishing.magics import reference_page as p; print(p(), end='')"` writes it again."""
    assert REFERENCE.read_text(encoding="utf-8") == reference_page()
