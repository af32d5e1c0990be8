"""The triggers of the app."""

from __future__ import annotations

from datetime import UTC, datetime

from ipywidgets import HTML

from picloud.model.trigger import Trigger
from picloud_kernel.dashboard import markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import tag

HEAD = ("Trigger", "Takes", "Runs", "When it fails", "Next tick")


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


def _trigger_row(trigger: Trigger) -> tuple[str, ...]:
    ticks = trigger.next_ticks(datetime.now(UTC), 1)
    next_tick = ticks[0].strftime("%Y-%m-%d %H:%M:%S %Z") if ticks else ""
    return trigger.name, trigger.describe(), trigger.script, trigger.retry.schedule(), next_tick
