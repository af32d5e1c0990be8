"""What a notebook's cells share: the platform, opened at first need, and the app they work on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from picloud.engine.interactive import Interactive, Screen
from picloud.errors import InvalidInput
from picloud.model.run import RunReport
from picloud.model.script import Script
from picloud.platform import Platform

SCRATCH_APP = "scratch"
"""Where scratch cells run before the first `%app`."""


class Session:
    """One kernel's platform and interactive apps.

    Used by who holds `lock`, since cells of subshells and widgets run in threads of their own, but for `interrupt`.
    The platform is opened by the first cell that needs it; when that fails, the error is that cell's, and the next
    cell tries again.
    """

    def __init__(
        self,
        open_platform: Callable[[], AbstractContextManager[Platform]],
        write: Callable[[str], None],
        screen: Screen | None = None,
    ) -> None:
        """Take what cells write and display to; `screen` None: both are written."""
        self._open_platform = open_platform
        self._write = write
        self._screen = screen
        self.lock = threading.Lock()
        """Held while Lua runs: one state takes one run at a time."""
        self._resources = ExitStack()
        self._platform: Platform | None = None
        self._apps: dict[str, Interactive] = {}
        self._current: Interactive | None = None
        self._app_name: str | None = None
        self._bases: dict[str, int] = {}
        self.show_reports = False
        """Whether each run's report is written after what the run wrote."""

    @property
    def platform(self) -> Platform:
        """The open platform; raises `PlatformError` when it cannot be opened now."""
        if self._platform is None:
            self._platform = self._resources.enter_context(self._open_platform())
        return self._platform

    @property
    def app_name(self) -> str:
        """The app the notebook works on; raises `InvalidInput` before the first `%app`."""
        if self._app_name is None:
            raise InvalidInput(
                "Which app is this notebook for? Run '%app NAME' first; nothing is created until '%publish'."
            )
        return self._app_name

    def use_app(self, name: str) -> None:
        """Work on this app from now on; its variables and drafts of earlier cells are kept."""
        self._app_name = name

    @property
    def app(self) -> Interactive:
        """The app chosen by `%app`."""
        return self._interactive(self.app_name)

    @property
    def base(self) -> int | None:
        """The release the author last saw as live, 0 for none; None when this session has not looked yet."""
        return self._bases.get(self.app_name)

    def saw_live(self, release: int) -> None:
        """Remember which release the author has seen as live, 0 for none."""
        self._bases[self.app_name] = release

    def released(self, number: int) -> Interactive:
        """Return the app as it was released under this number, without drafts; raises `NotFound`."""
        self._current = self.platform.interactive(self.app_name, self._write, self._observe, release=number)
        return self._current

    @property
    def opened(self) -> Interactive | None:
        """What `scratch` would give, if a cell has needed it already."""
        return self._apps.get(self._app_name or SCRATCH_APP)

    @property
    def scratch(self) -> Interactive:
        """Where scratch code runs: the chosen app, or a place of its own before one is chosen."""
        return self._interactive(self._app_name or SCRATCH_APP)

    @property
    def live(self) -> Interactive | None:
        """Where scratch code runs; None while no cell has needed the platform, which is not opened for this."""
        return None if self._platform is None else self.scratch

    def draft(self, app_name: str, script: str) -> Script | None:
        """Return this session's draft of an app's script, None without one; from any thread."""
        app = self._apps.get(app_name)
        return None if app is None else app.draft(script)

    def interrupt(self) -> None:
        """End what runs now, from any thread; nothing happens when nothing runs."""
        if self._current is not None:
            self._current.interrupt()
        if self._platform is not None:  # the tests of a publish
            self._platform.local.interrupt()

    def close(self) -> None:
        """Give back the platform; the next cell would open it again."""
        self._apps.clear()
        self._current = None
        self._platform = None
        self._resources.close()

    def _observe(self, report: RunReport) -> None:
        if self.show_reports:
            self._write(f"[{report}]\n")

    def _interactive(self, name: str) -> Interactive:
        if name not in self._apps:
            self._apps[name] = self.platform.interactive(name, self._write, self._observe, self._screen)
        self._current = self._apps[name]
        return self._current
