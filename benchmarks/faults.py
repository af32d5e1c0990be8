"""Ten minutes of kill -9 under load: of workers, of the data plane, of PostgreSQL; then every event is accounted for.

Not part of `make bench`, since it takes its time: `python -m benchmarks.faults [--seconds 600] [--seed 1] [--rate 6]`.
Exits 1 when anything is wrong. `tests/acceptance/test_faults.py` is a short form of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.drill import drill


def main() -> None:
    """Run the drill and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="how long faults happen")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and the requests")
    parser.add_argument("--pause", type=float, default=2.5, help="mean seconds between two faults")
    parser.add_argument("--rate", type=float, default=6, help="requests per second; each causes 12 events or more")
    given = parser.parse_args()
    logs = Path(tempfile.mkdtemp(prefix="picloud-faults-logs-"))
    report = drill(seconds=given.seconds, seed=given.seed, pause_s=given.pause, rate=given.rate, logs=logs)
    print("\n".join(report.lines()))
    if report.findings:
        sys.exit(f"logs: {logs}")


if __name__ == "__main__":
    main()
