"""`/metrics`: what a worker counts, in the text format of Prometheus, for holders of a token of the whole instance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from picloud.auth.policy import require_instance
from picloud.engine.counters import CacheCounters
from picloud.errors import MethodNotAllowed, Unauthenticated
from picloud.web.caller import caller
from picloud.web.services import Services
from picloud.web.wsgi import Application, Environ, StartResponse, send

CACHE_METRICS: Final = {
    "picloud_cache_hits": ("hits", "Entries found."),
    "picloud_cache_misses": ("misses", "Entries that had to be made."),
    "picloud_cache_evictions": ("evictions", "Entries that made room for others."),
    "picloud_cache_load_seconds": ("load_s", "Time spent on making entries: reading snapshots, compiling chunks."),
    "picloud_cache_loaded_bytes": ("loaded_bytes", "Source text in the entries made."),
}
"""Names without `_total`, with the field of `CacheCounts` and what it means."""


class _Caches(Collector):
    """The counters of the caches, labelled with the worker's process id: each answers for itself."""

    def __init__(self, caches: Mapping[str, CacheCounters]) -> None:
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        """Yield one family per field."""
        counts = {name: counters.read() for name, counters in self._caches.items()}
        for metric, (field, meaning) in CACHE_METRICS.items():
            family = CounterMetricFamily(metric, meaning, labels=("cache", "worker"))
            for name, count in counts.items():
                family.add_metric((name, str(os.getpid())), getattr(count, field))
            yield family


def create_metrics(services: Services) -> Application:
    """Return the WSGI application; raises `Unauthenticated`, `PermissionDenied` and `MethodNotAllowed`."""
    registry = CollectorRegistry()
    registry.register(_Caches(services.caches))

    def metrics(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        principal = caller(environ, services.tokens)
        if principal is None:
            raise Unauthenticated
        require_instance(principal)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(("GET", "HEAD"))
        return send(environ, start_response, 200, [("content-type", CONTENT_TYPE_LATEST)], generate_latest(registry))

    return metrics
