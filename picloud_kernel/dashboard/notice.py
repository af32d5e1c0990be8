"""Where the panel says what happened; every callback of the panel goes through `Notice.guard`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ipywidgets import HTML, Button, HBox, VBox

from picloud.errors import Conflict, PicloudError, PlatformError, RunInterrupted
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, error, tag

_LOG = logging.getLogger(__name__)
_DEFECT = "PiCloud failed; this is a defect of PiCloud. The log of the Jupyter server has the cause."

Callback = Callable[[object], None]
"""What ipywidgets calls; its argument says what was clicked or changed."""


class Notice:
    """One place for messages, empty at first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._content = HTML()
        self._reload = button("Reload", self.guard(desk.reload), icon="refresh")
        self.widget = VBox([self._content, self._reload])
        self.widget.add_class("picloud-notice")
        self.clear()

    @property
    def content(self) -> str:
        """What it says, as HTML."""
        return str(self._content.value)

    @property
    def offers_reload(self) -> bool:
        """Whether the button that loads the app again is there."""
        return self._reload.layout.display is None

    def clear(self) -> None:
        """Say nothing and take no room."""
        self._show(Html(""))
        self.widget.layout.display = "none"

    def say(self, sentence: str) -> None:
        """Say that something was done."""
        self._show(tag("div", sentence, class_="picloud-done", role="status"))

    def guard(self, action: Callable[[], str | None]) -> Callback:
        """Return a callback that does the action and says what it returned, or what went wrong."""

        def callback(_event: object) -> None:
            with self._desk.lock:
                self._do(action)

        return callback

    def _do(self, action: Callable[[], str | None]) -> None:
        self.clear()
        try:
            done = action()
        except PicloudError as failure:
            self._fail(failure)
        except KeyboardInterrupt:
            self._show(error(RunInterrupted()))
        except Exception:
            _LOG.exception("the dashboard failed")
            self._show(error(PlatformError(_DEFECT)))
        else:
            if done is not None:
                self.say(done)

    def _fail(self, failure: PicloudError) -> None:
        if isinstance(failure, PlatformError):
            _LOG.error("the dashboard got %s", failure.code, exc_info=failure)
        self._show(error(failure))
        if isinstance(failure, Conflict):
            self._offer_reload()

    def _offer_reload(self) -> None:
        """Offer to load the app again, when that would show something else."""
        try:
            stale = self._desk.is_stale()
        except PicloudError as failure:
            self._fail(failure)
            return
        if stale:
            self._reload.layout.display = None

    def _show(self, content: Html) -> None:
        self._content.value = content
        self._reload.layout.display = "none"
        self.widget.layout.display = None


class Confirm:
    """A button that asks before it does something."""

    def __init__(self, label: str, notice: Notice, question: Callable[[], str], action: Callable[[], str]) -> None:
        self._question_of = question
        self._question = HTML()
        self.button = button(label, notice.guard(self._ask))
        self.yes = button(f"Yes, {label[0].lower()}{label[1:]}", notice.guard(self._then(action)), style="danger")
        self.no = button("Cancel", notice.guard(self.reset))
        self.widget = HBox()
        self.reset()

    def reset(self) -> None:
        """Ask nothing any more."""
        self.widget.children = (self.button,)

    def _ask(self) -> None:
        self._question.value = tag("span", self._question_of(), role="alert")
        self.widget.children = (self._question, self.yes, self.no)

    def _then(self, action: Callable[[], str]) -> Callable[[], str]:
        def confirmed() -> str:
            self.reset()
            return action()

        return confirmed


def button(label: str, callback: Callback, *, style: str = "", icon: str = "") -> Any:
    """Return a button."""
    made = Button(description=label, button_style=style, icon=icon)
    made.layout.width = "auto"
    made.on_click(callback)
    return made
