"""How dead letters look in a notebook. Pure: letters in, MIME bundles out; scripts and events control every text."""

from __future__ import annotations

from collections.abc import Sequence

from picloud.admin.letter_text import TITLES, attempt_lines, attempt_title, facts, inputs, letter_lines, row
from picloud.model.dead_letter import DeadLetter, LetterState
from picloud_kernel.display import Bundle, columns
from picloud_kernel.markup import escaped, tag
from picloud_kernel.values import rows_markup

_RIGHT = tuple(title == "attempts" for title in TITLES)
_STYLES = {LetterState.OPEN: "bad", LetterState.REDRIVEN: "good", LetterState.DISCARDED: "quiet"}


def letters_bundle(letters: Sequence[DeadLetter], *, more: bool) -> Bundle:
    """Return a table of letters; `more` says that there are older ones."""
    rows = [row(letter) for letter in letters]
    note = [f"Older ones are not shown, beyond these {len(rows)}: narrow the list down."] if more else []
    cells = [[escaped(cell) for cell in cells] for cells in rows]
    for shown, letter in zip(cells, letters, strict=True):
        shown[0] = tag("span", shown[0], "code")
        shown[5] = tag("span", shown[5], _STYLES[letter.state])
    table = rows_markup(TITLES, cells, right=_RIGHT)
    html = table + "".join(tag("div", escaped(line), "note") for line in note)
    return Bundle({"text/plain": "\n".join([columns([TITLES, *rows]), *note]), "text/html": tag("div", html, "block")})


def letter_bundle(letter: DeadLetter) -> Bundle:
    """Return one letter with its input and attempts, the last one unfolded."""
    known = rows_markup(
        ("dead letter", str(letter.id)),
        [[escaped(name), tag("span", escaped(fact), "code pre")] for name, fact in facts(letter)],
        right=(False, False),
    )
    parts = [known]
    for name, text in inputs(letter):
        parts += [tag("div", escaped(name), "note"), tag("pre", escaped(text), "pre")]
    for number, attempt in enumerate(letter.failures, 1):
        unfolded = {"open": ""} if number == len(letter.failures) else {}
        title = tag("summary", tag("span", escaped(attempt_title(number, attempt)), "bad"))
        parts.append(tag("details", title + tag("pre", escaped("\n".join(attempt_lines(attempt))), "pre"), **unfolded))
    return Bundle({"text/plain": "\n".join(letter_lines(letter)), "text/html": tag("div", "".join(parts), "block")})
