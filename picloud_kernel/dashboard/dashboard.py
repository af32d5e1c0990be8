"""The panel in a Python notebook, with a platform of its own."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Any, Self

from picloud.model.app import check_app_name
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.panel import Panel


class Dashboard:
    """The panel of one app; as the last expression of a cell it shows itself.

    Opens the platform that the environment's `PICLOUD_*` describe, and gives it back on `close`, at the end of a `with`
    block, or when the process ends. Raises `InvalidInput` for what cannot name an app.
    """

    def __init__(self, app_name: str) -> None:
        settings = Settings()
        self._resources = ExitStack()
        self._at_end = weakref.finalize(self, self._resources.close)
        self._platform: Platform | None = None

        def platform() -> Platform:
            """Open it at first need, so that a failure is shown in the panel and the next try may succeed."""
            if self._platform is None:
                self._platform = self._resources.enter_context(open_platform(settings))
            return self._platform

        server_url = os.environ.get("JUPYTER_SERVER_URL")
        self.panel = Panel(Desk(check_app_name(app_name), platform, server_url=server_url))

    def close(self) -> None:
        """Take the panel away and give the platform back; once is enough."""
        self.panel.close()
        self._at_end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return self.panel.mimebundle()
