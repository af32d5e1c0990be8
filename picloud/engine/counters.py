"""What the caches of a process did since it began."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace


@dataclass(slots=True)
class CacheCounts:
    """What one cache did up to a moment."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Entries that made room for others."""
    load_s: float = 0.0
    """Wall-clock seconds spent on what was missing."""
    loaded_bytes: int = 0
    """Bytes of script source read or compiled for it."""


class CacheCounters:
    """Counts of one cache. Thread-safe."""

    def __init__(self) -> None:
        self._counts = CacheCounts()
        self._lock = threading.Lock()

    def add(
        self, *, hits: int = 0, misses: int = 0, evictions: int = 0, load_s: float = 0.0, loaded_bytes: int = 0
    ) -> None:
        """Count what happened."""
        with self._lock:
            self._counts.hits += hits
            self._counts.misses += misses
            self._counts.evictions += evictions
            self._counts.load_s += load_s
            self._counts.loaded_bytes += loaded_bytes

    def read(self) -> CacheCounts:
        """Return the counts of now; later ones do not change them."""
        with self._lock:
            return replace(self._counts)
