"""The limits of a Lua state and of the runs in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateLimits:
    """What one Lua state may hold, over all its runs."""

    memory_bytes: int
    """Lua memory beyond what an idle state holds; a run that needs more ends with `MemoryLimitExceeded`."""
    chunks: int
    """Compiled scripts the state keeps."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use."""

    timeout_s: float
    """Wall-clock seconds from the start of a run to its end, host calls included."""
    cpu_s: float
    """Seconds of CPU time of Lua code; host calls do not count."""
    grace_s: float
    """Seconds past one of these two after which a run that still goes on counts as stuck."""
    calls: int
    """Calls out of Lua: the SDK's, and what `require`, `print` and `log` make."""
    log_lines: int
    """Lines of `print` and `log` kept; more are dropped, which a last line says."""
    log_bytes: int
    """Bytes of those lines, fields included."""
    response_bytes: int
    """Body and headers of an answer together."""
    import_depth: int
    """Levels of modules below the endpoint, test or cell."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Both scopes."""

    state: StateLimits
    run: RunLimits
