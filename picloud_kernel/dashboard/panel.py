"""The panel: a header, and one tab for each section."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Protocol

from ipywidgets import HTML, HBox, Tab, VBox

from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.dead_letters import DeadLetters
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Notice, button
from picloud_kernel.dashboard.releases import Releases
from picloud_kernel.dashboard.routes import Routes
from picloud_kernel.dashboard.runs import Runs
from picloud_kernel.dashboard.scripts import Scripts
from picloud_kernel.dashboard.triggers import Triggers

_STYLE = files("picloud_kernel.dashboard").joinpath("style.css").read_text(encoding="utf-8")


class Section(Protocol):
    """One tab of the panel."""

    widget: Any

    @property
    def title(self) -> str:
        """The tab's title, with the count of what is in it."""

    def refresh(self) -> None:
        """Show what the desk has loaded."""


class Panel:
    """The widgets for one app; every change they make is a release."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.notice = Notice(desk)
        self.scripts, self.routes, self.releases = Scripts(desk), Routes(desk), Releases(desk)
        self.triggers, self.dead_letters, self.runs = Triggers(desk), DeadLetters(desk), Runs(desk)
        self._sections: tuple[Section, ...] = (
            self.scripts, self.routes, self.triggers, self.releases, self.dead_letters, self.runs
        )  # fmt: skip
        self._head = HTML()
        self.refresh_button = button("Refresh", self.notice.guard(self._load), icon="refresh")
        head = HBox([self._head, self.refresh_button])
        head.add_class("picloud-head")
        self._tabs = Tab([section.widget for section in self._sections])
        self.widget = VBox([HTML(tag("style", Html(_STYLE))), head, self.notice.widget, self._tabs])
        self.widget.add_class("picloud-dashboard")
        self._guarded_refresh = self.notice.guard(self._load)
        desk.show = self.refresh
        self.refresh()

    @property
    def head(self) -> str:
        """What the header says, as HTML."""
        return str(self._head.value)

    def refresh(self) -> None:
        """Show what is live now; what was typed stays. A failure is said in the panel."""
        self._guarded_refresh(None)

    def close(self) -> None:
        """Take the widgets away from every page that shows them."""
        with self._desk.lock:
            for widget in _below(self.widget):
                widget.close()

    def mimebundle(self) -> dict[str, Any]:
        """Return what shows the panel, in the forms a front end may pick from."""
        plain = {"text/plain": f"Dashboard of the app {self._desk.app_name}: JupyterLab shows it, this page cannot."}
        return {**self.widget._repr_mimebundle_(), **plain}

    def _load(self) -> None:
        self._desk.load()
        self._head.value = self._told()
        self._tabs.layout.display = "none" if self._desk.app is None else None
        for number, section in enumerate(self._sections):
            section.refresh()
            self._tabs.set_title(number, section.title)

    def _told(self) -> Html:
        name = tag("h2", self._desk.app_name)
        if self._desk.app is None:
            return markup.join([name, markup.hint(
                "There is no such app yet. ", tag("code", f"%app {self._desk.app_name}"), " and ",
                tag("code", "%publish"), " in a Lua notebook make it, or ",
                tag("code", f"picloud app create {self._desk.app_name}"), ". Then press Refresh.",
            )])  # fmt: skip
        if not self._desk.releases:
            return name
        latest = self._desk.releases[0]
        return markup.join([name, tag("p", f"Release {latest.number} by {latest.author} is live.")])


def _below(widget: Any) -> list[Any]:
    """Return a widget and all that is in it."""
    return [*(found for child in getattr(widget, "children", ()) for found in _below(child)), widget]
