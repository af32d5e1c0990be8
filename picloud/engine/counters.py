"""What the caches of a process did since it began."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """One moment of a cache."""

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
            counts = self._counts
            self._counts = replace(
                counts,
                hits=counts.hits + hits,
                misses=counts.misses + misses,
                evictions=counts.evictions + evictions,
                load_s=counts.load_s + load_s,
                loaded_bytes=counts.loaded_bytes + loaded_bytes,
            )

    def read(self) -> CacheCounts:
        """Return the counts of now."""
        return self._counts
