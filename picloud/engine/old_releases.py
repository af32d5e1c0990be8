"""Answers requests from a release that need not be live: its scripts, modules and routes, on the data of today."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from picloud.engine.client import LocalExecutor
from picloud.engine.dispatcher import Dispatcher, Published
from picloud.engine.router import Router
from picloud.model.app import App, AppId
from picloud.model.script import LinkedScript
from picloud.modules.source import Snapshot
from picloud.storage.releases import ReleaseRepository
from picloud.syntax.imports import imports_of

KEPT_MAX: Final = 16
"""Releases kept per process. They have a place of their own, so that they never drive out what is live."""


class OldReleases:
    """Reads releases and runs them here, also when another node runs what is live. Thread-safe."""

    def __init__(self, releases: ReleaseRepository, client: LocalExecutor) -> None:
        """Take where releases are and what runs them, whose states should be no others' either."""
        self._releases = releases
        self._client = client
        self._kept: OrderedDict[tuple[AppId, int], Published] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, app: App, number: int) -> Published:
        """Return the app as it was released under this number; raise `NotFound` when there is none.

        A release never changes, so nothing is read when it is kept.
        """
        key = app.id, number
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        manifest = self._releases.get(app.id, number).manifest
        scripts = {script.name: LinkedScript(script, imports_of(script.source)) for script in manifest.scripts}
        published = Published(Snapshot(app, scripts, manifest.routes), Router(manifest.routes))
        with self._lock:
            self._kept[key] = published
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return published

    def dispatcher(self, app: App, number: int) -> Dispatcher:
        """Return what answers requests to the app from a release; raise `NotFound` when there is none."""
        published = self.at(app, number)
        return Dispatcher(lambda _app_name: published, self._client)
