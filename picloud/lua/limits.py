"""The limits of a Lua state and of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use."""

    memory_bytes: int
    """Lua memory of the state, beyond what an idle state holds."""
    timeout_s: float
    """Wall-clock seconds from the start of a run to its end, host calls included."""
    import_depth: int
    """Levels of modules below the endpoint, test or cell."""
    chunks: int
    """Compiled scripts a state keeps."""
