"""Runs: what one execution of a script used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunReport:
    """The limit report of one run."""

    wall_ms: float
    """From the start to the end of the run, host calls included."""
    cpu_ms: float
    """CPU time of Lua code, host calls left out."""
    peak_bytes: int
    """The most Lua memory seen beyond what the state held before: looked at when host calls begin, when the run ends
    and every 20 ms, so a short peak in between can be missed."""
    calls: int
    """SDK calls."""
    calls_ms: float
    """Wall-clock time spent in them."""
    cached: int
    """Scripts of the run whose compiled code was there already."""
    compiled: int
    """Scripts that had to be compiled."""
    compiled_bytes: int
    """Bytes of their sources."""
    compile_ms: float
    """Wall-clock time that took."""
    dropped: int
    """Compiled scripts that made room for them."""

    def __str__(self) -> str:
        """Say it in one line, for people."""
        parts = [f"{self.wall_ms:.1f} ms", f"CPU {self.cpu_ms:.1f} ms", f"memory {_size(self.peak_bytes)}"]
        if self.calls:
            parts.append(f"{self.calls} SDK call{'s' * (self.calls != 1)} {self.calls_ms:.1f} ms")
        if scripts := self.cached + self.compiled:
            parts.append(f"{self.cached} of {scripts} scripts cached")
        return ", ".join(parts)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"
