"""The dead letters of the app: a table, and the one that is chosen with its input, which can be edited and redriven."""

from __future__ import annotations

from ipywidgets import HTML, Dropdown, HBox, Text, Textarea, VBox

from picloud.admin.letter_text import (
    TEXT_SHOWN_MAX,
    TITLES,
    attempt_lines,
    attempt_title,
    facts,
    input_text,
    inputs,
    moment,
    row,
)
from picloud.errors import InvalidInput
from picloud.model.dead_letter import DeadLetter, LetterFilter, LetterState
from picloud.sdk.letter_input import INPUT_MAX_BYTES
from picloud.storage.kv import Content
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Confirm, Notice, button

ALL = "all"
INPUT_ROWS = 8


class DeadLetters:
    """Events that triggers could not take, until somebody decides, and what was decided."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: DeadLetter | None = None
        self._given = ""
        """The input as it was put into the form; what differs from it was typed."""
        self.notice = Notice(desk)
        self.trigger = Text(description="Trigger", placeholder="all triggers", continuous_update=False)
        self.state = Dropdown(description="State", options=[*map(str, LetterState), ALL], layout={"width": "220px"})
        self._table = HTML()
        self.choice = Dropdown(description="Letter", options=(), layout={"width": "520px"})
        self._letter = HTML()
        self.input = Textarea(description="Input", rows=INPUT_ROWS, layout={"width": "auto"})
        self.redrive = button("Deliver again", self.notice.guard(self._redrive), style="primary")
        self.discard = Confirm("Discard", self.notice, lambda: "Leave this letter as it is, for good?", self._discard)
        self.redrive_all = Confirm("Deliver all shown again", self.notice, self._question, self._redrive_all)
        self.trigger.observe(self.notice.guard(self._filter), "value")
        self.state.observe(self.notice.guard(self._filter), "value")
        self.choice.observe(self.notice.guard(self._choose), "value")
        self._decide = VBox([self.input, HBox([self.redrive, self.discard.widget])])
        self._form = VBox([self.choice, self._letter, self._decide])
        self._form.add_class("picloud-form")
        filters = HBox([self.trigger, self.state, self.redrive_all.widget])
        self.widget = VBox([filters, self._table, self.notice.widget, self._form])

    @property
    def title(self) -> str:
        """The tab's title."""
        more = "+" if self._desk.more_letters else ""
        return f"Dead letters ({len(self._desk.dead_letters)}{more})"

    @property
    def table(self) -> str:
        """The table, as HTML."""
        return str(self._table.value)

    @property
    def letter(self) -> str:
        """The chosen letter, as HTML."""
        return str(self._letter.value)

    def refresh(self) -> None:
        """Show what is loaded; the letter that was chosen stays chosen while it is there, and what was typed stays.

        Unless somebody has decided over it since.
        """
        letters = self._desk.dead_letters
        self._table.value = self._rows(letters)
        chosen, ids = self.choice.value, [letter.id for letter in letters]
        if self._shown is not None and (self._shown.id, self._shown.state) not in [(x.id, x.state) for x in letters]:
            self._shown = None
        self.choice.value = None
        self.choice.options = [(_title(letter), letter.id) for letter in letters]
        self.choice.value = chosen if chosen in ids else next(iter(ids), None)
        self._form.layout.display = None if letters else "none"
        is_open = any(letter.state is LetterState.OPEN for letter in letters)
        self.redrive_all.widget.layout.display = None if is_open else "none"

    def _filter(self) -> None:
        state = None if self.state.value == ALL else LetterState(self.state.value)
        self._desk.letters_wanted = LetterFilter(state=state, trigger=self.trigger.value.strip() or None)
        self.redrive_all.reset()
        self._desk.reload()

    def _choose(self) -> None:
        """Show the letter that was chosen."""
        if self.choice.value is None or (self._shown is not None and self._shown.id == self.choice.value):
            return
        self.discard.reset()
        letter = self._desk.letter(self.choice.value)
        self._shown, self._letter.value = letter, _whole(letter)
        self._given = _editable(letter) or ""
        self.input.value = self._given
        self.input.layout.display = None if _editable(letter) is not None else "none"
        self._decide.layout.display = None if letter.state is LetterState.OPEN else "none"

    def _rows(self, letters: list[DeadLetter]) -> Html:
        if not letters:
            wanted = self._desk.letters_wanted
            if wanted != LetterFilter():
                return markup.hint("No dead letters are like that.")
            return markup.hint("No dead letters: whatever happened, a trigger has taken it.")
        older = [markup.hint("There are older ones: name a trigger to see its own.")] if self._desk.more_letters else []
        head = [title.capitalize() for title in TITLES]
        return markup.join([markup.table("Dead letters of the app", head, map(row, letters)), *older])

    def _redrive(self) -> str:
        letter = self._chosen()
        self._desk.redrive(letter.id, self._edited(letter))
        self._forget()
        return "It is on its way to its trigger again, as that is now."

    def _discard(self) -> str:
        self._desk.discard(self._chosen().id)
        self._forget()
        return "It is off the list."

    def _redrive_all(self) -> str:
        count = self._desk.redrive_shown()
        self._forget()
        return f"{count} on the way to their triggers again."

    def _question(self) -> str:
        count = sum(letter.state is LetterState.OPEN for letter in self._desk.dead_letters)
        return f"Deliver {count} again, each as it is?"

    def _forget(self) -> None:
        self._shown = None
        self._desk.reload()

    def _edited(self, letter: DeadLetter) -> Content | None:
        if self.input.value == self._given:
            return None
        return Content(letter.is_json, self.input.value.encode("utf-8", "surrogatepass"))

    def _chosen(self) -> DeadLetter:
        if self._shown is None or self.choice.value != self._shown.id:
            raise InvalidInput("Choose a letter first.")
        return self._shown


def _editable(letter: DeadLetter) -> str | None:
    """Return the input for the form; None when it cannot be edited there."""
    if letter.kind not in INPUT_MAX_BYTES or letter.operation == "delete" or letter.payload is None:
        return None
    try:
        text = letter.payload.decode()
    except UnicodeDecodeError:
        return None
    if len(text) > TEXT_SHOWN_MAX or "\r" in text:  # a browser makes other line ends of those
        return None
    if not letter.is_json:
        return text
    pretty = input_text(letter.payload, is_json=True)
    return pretty if pretty is not None and len(pretty) <= TEXT_SHOWN_MAX else text


def _whole(letter: DeadLetter) -> Html:
    known = [tag("tr", tag("th", name, scope="row"), tag("td", fact)) for name, fact in facts(letter)]
    parts = [tag("table", *known, class_="picloud-table")]
    parts += [markup.details(name, tag("pre", text)) for name, text in inputs(letter)]
    for number, attempt in enumerate(letter.failures, 1):
        parts.append(markup.details(attempt_title(number, attempt), tag("pre", "\n".join(attempt_lines(attempt)))))
    return markup.join(parts)


def _title(letter: DeadLetter) -> str:
    return f"{moment(letter.failed_at)}: {letter.trigger}, {letter.source} ({str(letter.id)[:8]})"
