"""From an app's name, a method and a path to the response of its endpoint."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from picloud.engine.client import Call, ExecutorClient, ScriptIdentity
from picloud.engine.counters import CacheCounters
from picloud.engine.executor import Observe
from picloud.engine.router import Router, no_route
from picloud.errors import NotFound, StaleRevision
from picloud.model.app import App, AppId
from picloud.model.http import Request, Response
from picloud.model.route import Route
from picloud.modules.source import Snapshot, routed_script
from picloud.storage.apps import AppRepository
from picloud.storage.live import LiveRepository

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """One revision of an app, ready to answer."""

    snapshot: Snapshot
    router: Router


@dataclass(frozen=True, slots=True)
class Match:
    """The route that answers a request; the snapshot it was found in is the one the run uses."""

    app: App
    route: Route
    params: dict[str, str]
    snapshot: Snapshot


class Snapshots:
    """Reads apps at their current revision; keeps the least recently used revisions out. Thread-safe."""

    def __init__(self, apps: AppRepository, live: LiveRepository, *, capacity: int) -> None:
        self._apps = apps
        self._live = live
        self._capacity = capacity
        self._kept: OrderedDict[tuple[AppId, int], Published] = OrderedDict()
        self._lock = threading.Lock()
        self.counters = CacheCounters()

    def current(self, app_name: str) -> Published:
        """Return the app as published now: one read of its row, everything else only when the revision is new.

        Raises `NotFound` when there is no such app.
        """
        app = self._apps.get(app_name)
        return self._find((app.id, app.revision)) or self._load(app)

    def at(self, app_name: str, app_id: AppId, revision: int) -> Snapshot:
        """Return the snapshot of the app at this revision, without reading anything when it is kept.

        Raises `StaleRevision` when it is not kept and the app has changed since, `NotFound` when the app is gone.
        """
        kept = self._find((app_id, revision))
        if kept is not None:
            return kept.snapshot
        now = self.current(app_name).snapshot
        if (now.app.id, now.app.revision) != (app_id, revision):
            raise StaleRevision
        return now

    def _find(self, key: tuple[AppId, int]) -> Published | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
        self.counters.add(hits=1)
        return kept

    def _load(self, app: App) -> Published:
        started = time.perf_counter()
        live = self._live.read(app.id)
        app = App(app.id, app.name, live.revision, app.created_at)
        scripts = {linked.script.name: linked for linked in live.scripts}
        published = Published(Snapshot(app, scripts, live.routes), Router(live.routes))
        _log.debug("Loaded %s at revision %d", app.name, app.revision, extra={"action": "snapshot_load"})
        evictions = 0
        with self._lock:
            self._kept[app.id, app.revision] = published
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
                evictions += 1
        self.counters.add(
            misses=1,
            evictions=evictions,
            load_s=time.perf_counter() - started,
            loaded_bytes=sum(len(linked.script.source.encode()) for linked in live.scripts),
        )
        return published


class Dispatcher:
    """Finds the endpoint of a request and runs it."""

    def __init__(self, current: Callable[[str], Published], client: ExecutorClient) -> None:
        self._current = current
        self._client = client

    def match(
        self, app_name: str, method: str, path: str, may_know: Callable[[App, Route], bool] = lambda _app, _route: True
    ) -> Match:
        """Return the route for a decoded path below the app; raise `NotFound` or `MethodNotAllowed`.

        An app that is not there is told like a path without a route. `may_know` tells which routes a caller who uses
        the wrong method may hear of.
        """
        try:
            published = self._current(app_name)
        except NotFound:
            raise no_route(path) from None
        app = published.snapshot.app
        route, params = published.router.match(method, path, lambda route: may_know(app, route))
        return Match(app, route, params, published.snapshot)

    def run(self, match: Match, request: Request, *, observe: Observe | None = None) -> Response:
        """Run the endpoint; raises what `ExecutorClient` does."""
        app, name = match.app, match.route.script
        identity = ScriptIdentity(routed_script(match.snapshot, name), match.snapshot)
        call = Call(app.id, app.name, app.revision, name, match.params, request)
        return self._client.execute_with_identity(identity, call, observe=observe)
