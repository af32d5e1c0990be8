"""The routes of the app: a table, and a form for one of them."""

from __future__ import annotations

from ipywidgets import HTML, Checkbox, Dropdown, HBox, Text, VBox

from picloud.errors import InvalidInput
from picloud.model.route import METHODS, Route, RouteAuth, check_route
from picloud.model.script import ScriptKind
from picloud_kernel.commands import url_path
from picloud_kernel.dashboard import edits, markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Confirm, Notice, button

NEW = ""
"""What the chooser holds when the form is for a new route."""


class Routes:
    """Which endpoint answers what."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._base: Route | None = None
        """The route the form was filled from; None for a new one."""
        self.notice = Notice(desk)
        self._table = HTML()
        self.choice = Dropdown(description="Change", options=[("a new route", NEW)], value=NEW)
        self.method = Dropdown(description="Method", options=METHODS, layout={"width": "180px"})
        self.pattern = Text(description="Path", placeholder="/hello/:name", continuous_update=False)
        self.script = Dropdown(description="Endpoint", options=())
        self.auth = Dropdown(description="Auth", options=list(RouteAuth), layout={"width": "180px"})
        self.timing = Checkbox(description="Tell callers the timing", indent=False, layout={"width": "auto"})
        self.save = button("Save route", self.notice.guard(self._save), style="primary")
        self.delete = Confirm("Delete route", self.notice, lambda: f"Delete {self._key()}?", self._delete)
        self.choice.observe(self.notice.guard(self._choose), "value")
        self._form = VBox(
            [
                self.choice,
                HBox([self.method, self.pattern]),
                HBox([self.auth, self.script, self.timing]),
                HBox([self.save, self.delete.widget]),
                self.notice.widget,
            ]
        )
        self._form.add_class("picloud-form")
        self.widget = VBox([self._table, self._form])

    @property
    def title(self) -> str:
        """The tab's title."""
        return f"Routes ({len(self._desk.live.routes)})"

    @property
    def table(self) -> str:
        """The table, as HTML."""
        return str(self._table.value)

    def refresh(self) -> None:
        """Show what is loaded; what is in the form stays."""
        self._table.value = self._rows()
        endpoints = [s.name for s in self._desk.live.scripts if s.kind is ScriptKind.ENDPOINT]
        chosen = self.script.value
        self.script.value = None
        self.script.options = endpoints
        self.script.value = chosen if chosen in endpoints else next(iter(endpoints), None)
        self._form.layout.display = None if endpoints else "none"
        self._choices()

    def _choices(self) -> None:
        keys = {f"{route.method} {route.pattern}": route for route in self._desk.live.routes}
        overtaken = self._key() if self._base is not None and self._base not in keys.values() else None
        if overtaken is not None:
            self._base = keys.get(overtaken)
        chosen = self._key() or NEW
        self.choice.value = None
        self.choice.options = [("a new route", NEW), *((key, key) for key in keys)]
        self.choice.value = chosen
        self.delete.widget.layout.display = "none" if self._base is None else None
        if overtaken is not None:
            self.notice.say(f"Somebody changed or deleted {overtaken}: the form keeps what you chose.")

    def _rows(self) -> Html:
        live = self._desk.live
        if not live.routes:
            endpoints = any(script.kind is ScriptKind.ENDPOINT for script in live.scripts)
            advice = "Add one below." if endpoints else "Make an endpoint first: press “New script” under Scripts."
            return markup.hint(f"No routes yet: nothing of this app answers requests. {advice}")
        first, *others = self._desk.addresses()
        rows = [
            (tag("b", r.method), tag("code", r.pattern), r.script, str(r.auth), _link(r, first)) for r in live.routes
        ]
        through = [markup.hint("Through Jupyter, for who is logged in: ", tag("code", other)) for other in others]
        head = ("Method", "Path", "Endpoint", "Auth", "URL")
        return markup.join([markup.table("Routes of the app", head, rows), *through])

    def _choose(self) -> None:
        """Fill the form from the route that was chosen."""
        if self.choice.value is None or self.choice.value == self._key():
            return
        self.delete.reset()
        wanted = self.choice.value
        self._base = next((r for r in self._desk.live.routes if f"{r.method} {r.pattern}" == wanted), None)
        self.delete.widget.layout.display = "none" if self._base is None else None
        shown = self._base or Route("GET", "", self.script.value or "")
        self.method.value, self.pattern.value = shown.method, shown.pattern
        self.auth.value, self.timing.value = shown.auth, shown.timing
        self.script.value = shown.script or None

    def _save(self) -> str:
        if self.script.value is None:
            raise InvalidInput("Choose the endpoint that answers.")
        route = check_route(
            self.method.value, self.pattern.value, self.script.value, str(self.auth.value), self.timing.value
        )
        said = self._desk.publish(edits.save_route(self._base, route), f"Put route {route.method} {route.pattern}")
        self._base = route
        self._desk.reload()
        return said

    def _delete(self) -> str:
        if self._base is None:
            raise InvalidInput("Choose a route first.")
        said = self._desk.publish(edits.delete_route(self._base), f"Delete route {self._key()}")
        self._base = None
        self._desk.reload()
        return said

    def _key(self) -> str:
        return f"{self._base.method} {self._base.pattern}" if self._base else NEW


def _link(route: Route, address: str) -> Html:
    """Return the route's URL; one that can be opened as it is, as a link."""
    url = f"{address}{url_path(route)}"
    if route.method != "GET" or route.parameters:
        return tag("code", url)
    return tag("a", url, href=url, target="_blank", rel="noopener noreferrer")
