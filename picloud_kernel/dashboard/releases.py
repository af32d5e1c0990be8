"""The releases of the app, newest first, and the way back to an earlier one."""

from __future__ import annotations

from ipywidgets import HTML, Dropdown, VBox

from picloud.errors import Conflict, InvalidInput
from picloud.model.release import Manifest
from picloud.storage.releases import ReleaseInfo
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html
from picloud_kernel.dashboard.notice import Confirm, Notice

SHOWN_MAX = 200
MESSAGE_IN_CHOICE_MAX = 60
HEAD = ("Release", "Published", "By", "Notebook", "Message")


class Releases:
    """What was published when, and rollback."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._compared_with = Manifest()
        """What was live when the preview was made."""
        self.notice = Notice(desk)
        self._table = HTML()
        self.choice = Dropdown(description="Go back to", options=(), layout={"width": "420px"})
        self._preview = HTML()
        self.rollback = Confirm("Roll back", self.notice, self._question, self._roll_back)
        self.choice.observe(self.notice.guard(self._choose), "value")
        self._form = VBox([self.choice, self._preview, self.rollback.widget])
        self._form.add_class("picloud-form")
        self.widget = VBox([self._table, self._form, self.notice.widget])

    @property
    def title(self) -> str:
        """The tab's title."""
        return f"Releases ({len(self._desk.releases)})"

    @property
    def table(self) -> str:
        """The table, as HTML."""
        return str(self._table.value)

    @property
    def preview(self) -> str:
        """What a rollback to the chosen release would do, as HTML."""
        return str(self._preview.value)

    def refresh(self) -> None:
        """Show what is loaded, no release chosen."""
        self._table.value = self._rows()
        self.choice.value = None
        self.choice.options = [(_title(release), release.number) for release in self._desk.releases[1:SHOWN_MAX]]
        self._form.layout.display = None if self.choice.options else "none"
        self._choose()

    def _rows(self) -> Html:
        releases = self._desk.releases
        if not releases:
            return markup.hint("No release yet: every publish makes one, from a notebook, here, or by the API.")
        shown = releases[:SHOWN_MAX]
        older = len(releases) - len(shown)
        rest = markup.hint(f"{older} older ones are not shown; '%rollback NUMBER' goes back to any.") if older else ""
        return markup.join([markup.table("Releases of the app", HEAD, map(_row, shown)), rest])

    def _choose(self) -> None:
        """Show what going back would change; there is nothing to confirm when that is nothing."""
        self.rollback.reset()
        self.rollback.button.disabled = True
        self._preview.value = ""
        if self.choice.value is None:
            return
        old = self._desk.manifest_of(self.choice.value)
        plan = self._desk.plan(old)
        self._compared_with = self._desk.live
        self.rollback.button.disabled = not plan.changes_anything
        self._preview.value = (
            markup.join([markup.plan(plan), *_differences(self._desk.live, old)])
            if plan.changes_anything
            else markup.hint("Nothing would change: what is live is what this release published.")
        )

    def _question(self) -> str:
        return f"Make the app what it was in release {self._number()}?"

    def _roll_back(self) -> str:
        number = self._number()
        if self._desk.is_stale() or self._desk.live != self._compared_with:
            raise Conflict("Somebody published in the meantime: reload, and look again at what going back changes.")
        said = self._desk.roll_back(number)
        self._desk.reload()
        return f"Went back to release {number}. {said}"

    def _number(self) -> int:
        if self.choice.value is None:
            raise InvalidInput("Choose a release first.")
        return int(self.choice.value)


def _row(release: ReleaseInfo) -> tuple[str, ...]:
    return str(release.number), _when(release), release.author, release.notebook or "", release.message


def _title(release: ReleaseInfo) -> str:
    title = f"release {release.number} of {_when(release)}"
    message = release.message.split("\n", 1)[0][:MESSAGE_IN_CHOICE_MAX]
    return f"{title}: {message}" if message else title


def _when(release: ReleaseInfo) -> str:
    return release.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _differences(live: Manifest, old: Manifest) -> list[Html]:
    """Return the text of each script that would change."""
    now = {script.name: script.source for script in live.scripts}
    return [
        markup.details(f"{script.kind} {script.name}", markup.diff(now[script.name], script.source))
        for script in old.scripts
        if script.name in now and now[script.name] != script.source
    ]
