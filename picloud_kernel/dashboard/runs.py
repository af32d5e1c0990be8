"""What ran in the app: the newest runs, and the one that is chosen with all that is kept of it."""

from __future__ import annotations

from typing import Final

from ipywidgets import HTML, Dropdown, HBox, Text, VBox

from picloud.engine.log import one_line
from picloud.engine.run_input import RunInput
from picloud.model.identity import short_id
from picloud.model.run import RunRecord, RunStatus
from picloud.storage.runs import RunFilter, RunPage
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Notice
from picloud_kernel.runs import FAILED, TITLES, by, cells, input_text, log_lines, run_text, started, used_text

SHOWN: Final = 50
_RESULTS: Final = (
    ("any", None),
    ("failed", FAILED),
    ("refused", (RunStatus.REFUSED,)),
    ("succeeded", (RunStatus.SUCCEEDED,)),
)


class Runs:
    """The history of the app's endpoints and triggers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._page = RunPage()
        self.notice = Notice(desk)
        self._table, self._detail = HTML(), HTML()
        self.name = Text(description="Of", placeholder="script or trigger", continuous_update=False)
        self.result = Dropdown(description="Result", options=_RESULTS, layout={"width": "220px"})
        self.choice = Dropdown(description="Run", options=(), layout={"width": "420px"})
        for control in (self.name, self.result):
            control.observe(self.notice.guard(self.refresh), "value")
        self.choice.observe(self.notice.guard(self._choose), "value")
        self._form = VBox([self.choice, self._detail])
        self._form.add_class("picloud-form")
        self.widget = VBox([HBox([self.name, self.result]), self._table, self._form, self.notice.widget])

    @property
    def title(self) -> str:
        """The tab's title; counting all runs would take too long."""
        return "Runs"

    @property
    def table(self) -> str:
        """The table, as HTML."""
        return str(self._table.value)

    @property
    def detail(self) -> str:
        """What is shown of the run that is chosen, as HTML."""
        return str(self._detail.value)

    def refresh(self) -> None:
        """Show the newest runs there are; the one that was chosen stays chosen while it is among them."""
        wanted = RunFilter(name=self.name.value.strip() or None, statuses=self.result.value)
        self._page = self._desk.runs(wanted, limit=SHOWN)
        self._table.value = self._rows()
        chosen, ids = self.choice.value, [run.id for run in self._page.runs]
        self.choice.value = None
        self.choice.options = [(_title(run), run.id) for run in self._page.runs]
        self.choice.value = chosen if chosen in ids else None
        self._form.layout.display = None if ids else "none"

    def _rows(self) -> Html:
        if not self._page.runs:
            wanted = self.name.value.strip() or self.result.value is not None
            none = "No such run is kept." if wanted else "Nothing has run yet."
            return markup.hint(f"{none} A run is listed within a second or two of its end.")
        head = [title.capitalize() for title in TITLES]
        shown = markup.table("Runs of the app", head, map(_row, self._page.runs))
        older = [] if self._page.next is None else [markup.hint("There are older runs.")]
        return markup.join([shown, *older])

    def _choose(self) -> None:
        self._detail.value = "" if self.choice.value is None else _detail(self._desk.run(self.choice.value))


def _title(run: RunRecord) -> str:
    return one_line(f"{started(run)}: {by(run)}, {run.status}, {short_id(run.id)}")


def _row(run: RunRecord) -> list[str]:
    row: list[str] = list(cells(run))
    if run.status in FAILED:
        row[TITLES.index("result")] = tag("b", row[TITLES.index("result")], class_="picloud-removes")
    return row


def _detail(run: RunRecord) -> Html:
    given = None if run.input is None else RunInput.model_validate_json(run.input)
    parts = [
        tag("pre", run_text(run, given)),
        _text("Traceback", "\n".join(map(one_line, run.details["traceback"]))),
        _text("Log", "\n".join(log_lines(run))),
        _text("Input", _input(run, given)),
        markup.hint(f"It used {used}.") if (used := used_text(run.details)) else Html(""),
        markup.hint("Do it again with the draft of a notebook: ", tag("code", f"%replay {short_id(run.id)}"))
        if given
        else Html(""),
    ]
    return markup.join(parts)


def _text(title: str, content: str) -> Html:
    return markup.join([tag("h3", title), tag("pre", content)]) if content else Html("")


def _input(run: RunRecord, given: RunInput | None) -> str:
    if given is not None:
        return input_text(given)
    if run.alike > 1:
        return f"This row stands for {run.alike} runs that were alike; the first of them have rows of their own."
    return f"Not kept: it had {run.input_bytes} bytes."
