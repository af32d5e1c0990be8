"""The triggers of the app, and the dead letters of those that failed."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from ipywidgets import HTML, Dropdown, HBox, VBox

from picloud.errors import InvalidInput, NotFound
from picloud.model.trigger import Trigger
from picloud.storage.events import DeadLetter
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Confirm, Notice, button

HEAD = ("Trigger", "Takes", "Runs", "When it fails", "Next tick")
LETTERS_HEAD = ("Failed", "Of", "Script", "Attempts", "Error")


class Triggers:
    """What runs which script when something happens."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.widget = HTML()

    @property
    def title(self) -> str:
        """The tab's title."""
        return f"Triggers ({len(self._desk.live.triggers)})"

    def refresh(self) -> None:
        """Show what is loaded."""
        triggers = self._desk.live.triggers
        self.widget.value = (
            markup.table("Triggers of the app", HEAD, map(_trigger_row, triggers))
            if triggers
            else markup.hint("No triggers yet: a cell that begins with ", tag("code", "%%trigger"), " makes one.")
        )


class DeadLetters:
    """Events that triggers could not take, until somebody decides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.notice = Notice(desk)
        self._table = HTML()
        self.choice = Dropdown(description="Letter", options=(), layout={"width": "420px"})
        self.redrive = button("Deliver again", self.notice.guard(self._redrive), style="primary")
        self.discard = Confirm("Discard", self.notice, lambda: "Leave this letter as it is, for good?", self._discard)
        self._form = VBox([self.choice, HBox([self.redrive, self.discard.widget])])
        self._form.add_class("picloud-form")
        self.widget = VBox([self._table, self._form, self.notice.widget])

    @property
    def title(self) -> str:
        """The tab's title."""
        return f"Dead letters ({len(self._desk.dead_letters)})"

    @property
    def table(self) -> str:
        """The table, as HTML."""
        return str(self._table.value)

    def refresh(self) -> None:
        """Show what is loaded; the letter that was chosen stays chosen while it is there."""
        letters = self._desk.dead_letters
        self._table.value = self._rows(letters)
        chosen, ids = self.choice.value, [letter.id for letter in letters]
        self.choice.value = None
        self.choice.options = [(_letter_title(letter), letter.id) for letter in letters]
        self.choice.value = chosen if chosen in ids else next(iter(ids), None)
        self._form.layout.display = None if letters else "none"

    def _rows(self, letters: list[DeadLetter]) -> Html:
        if not letters:
            return markup.hint("No dead letters: whatever happened, a trigger has taken it.")
        return markup.table("Dead letters of the app", LETTERS_HEAD, map(_letter_row, letters))

    def _redrive(self) -> str:
        self._require(self._desk.redrive(self._chosen()))
        self._desk.reload()
        return "It is on its way to its trigger again, as that is now."

    def _discard(self) -> str:
        self._require(self._desk.discard(self._chosen()))
        self._desk.reload()
        return "It is off the list."

    def _chosen(self) -> UUID:
        if not isinstance(self.choice.value, UUID):
            raise InvalidInput("Choose a letter first.")
        return self.choice.value

    @staticmethod
    def _require(was_there: bool) -> None:
        if not was_there:
            raise NotFound("Somebody has decided over this letter already: press Refresh.")


def _trigger_row(trigger: Trigger) -> tuple[str, ...]:
    ticks = trigger.next_ticks(datetime.now(UTC), 1)
    next_tick = ticks[0].strftime("%Y-%m-%d %H:%M:%S %Z") if ticks else ""
    return trigger.name, trigger.describe(), trigger.script, trigger.retry.schedule(), next_tick


def _letter_row(letter: DeadLetter) -> tuple[str, ...]:
    return _failed(letter), f"{letter.kind} {letter.name}", letter.script, str(letter.attempts), letter.message


def _letter_title(letter: DeadLetter) -> str:
    return f"{_failed(letter)}: {letter.kind} {letter.name}, {letter.script}"


def _failed(letter: DeadLetter) -> str:
    return datetime.fromtimestamp(letter.failed_us / 1_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
