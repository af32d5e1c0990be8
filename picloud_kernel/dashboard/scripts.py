"""The scripts of the app: a list with badges, and the one that is chosen."""

from __future__ import annotations

from collections import Counter

from ipywidgets import HTML, HBox, Text, ToggleButtons, VBox

from picloud.model.script import ScriptKind
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.editor import ScriptEditor
from picloud_kernel.dashboard.notice import Notice, button


class Scripts:
    """Endpoints and modules."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._notice = Notice(desk)
        self.editor = ScriptEditor(desk, self._published)
        self._summary = HTML()
        self.filter = Text(placeholder="Filter", layout={"width": "auto"})
        self.list = ToggleButtons(options=())
        self.list.add_class("picloud-list")
        self.new = button("New script", self._notice.guard(self._new), icon="plus")
        self.filter.observe(self._notice.guard(self._fill), "value")
        self.list.observe(self._notice.guard(self._choose), "value")
        side = VBox([self._summary, self.filter, self.list, self.new, self._notice.widget])
        side.add_class("picloud-side")
        self.widget = HBox([side, self.editor.widget])
        self.widget.add_class("picloud-scripts")

    @property
    def title(self) -> str:
        """The tab's title."""
        return f"Scripts ({len(self._desk.live.scripts)})"

    @property
    def summary(self) -> str:
        """What is said above the list, as HTML."""
        return str(self._summary.value)

    def refresh(self) -> None:
        """Show what is loaded."""
        self.editor.refresh()
        self._summary.value = self._count()
        self._fill()

    def _count(self) -> str:
        scripts = self._desk.live.scripts
        if not scripts:
            return markup.hint("No scripts yet. Press “New script”, or publish a notebook with %publish.")
        counts = Counter(script.kind for script in scripts)
        return markup.hint(", ".join(f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in ScriptKind))

    def _fill(self) -> None:
        """Show the scripts whose names have the filter in them, the chosen one still chosen."""
        wanted = self.filter.value.strip().lower()
        typed = self.editor.typed
        kinds = {**typed, **{script.name: script.kind for script in self._desk.live.scripts}}
        names = sorted(name for name in kinds if wanted in name.lower())
        self.list.value = None
        self.list.icons = ()
        self.list.options = [(f"{name} *" if name in typed else name, name) for name in names]
        self.list.icons = [f"picloud-{kinds[name]}" for name in names]
        self.list.tooltips = [f"{kinds[name]} {name}" for name in names]
        self.list.value = self.editor.shown if self.editor.shown in names else None

    def _choose(self) -> None:
        if self.list.value is not None and self.list.value != self.editor.shown:
            self.editor.open(self.list.value)
            self._fill()

    def _new(self) -> None:
        self.editor.open_new()
        self._fill()

    def _published(self, name: str | None) -> None:
        if name is not None:
            self.filter.value = ""
        self._desk.reload()
        if name is not None:
            self.editor.open(name)
        self._fill()
