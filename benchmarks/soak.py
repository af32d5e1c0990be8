"""A minute of random scripts: 8 threads, 4 apps, random deadlines, every answer checked."""

from __future__ import annotations

import resource

from tests.integration.engine.soak import soak

SECONDS = 60


def main() -> None:
    """Print how many runs there were and the most memory the process had."""
    runs = soak(SECONDS)
    print(f"{runs} runs in {SECONDS} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
