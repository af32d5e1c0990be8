"""Become a command that ends when its parent ends: `python tether.py PARENT_PID COMMAND...`.

The kernel sends SIGTERM when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG); the setting survives exec.
Run as a file and without site packages, so it costs a few milliseconds and leaves no process of its own behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the tie was made, so nothing will ever tell us
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  the command is ours, there is no shell


if __name__ == "__main__":
    main(sys.argv[1:])
