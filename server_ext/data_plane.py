"""Where the data plane listens, and the commands that start it and the trigger worker."""

from __future__ import annotations

import errno
import logging
import socket
import sys

from picloud.settings import Settings

UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  nothing is bound here
"""Addresses one can listen on but not connect to, with the one to connect to instead."""


def free_port(host: str, wanted: int) -> int:
    """Return `wanted` when it can be listened on, else a free port; `wanted` 0 means any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES) or wanted == 0:
                raise
            return free_port(host, 0)
        return int(probe.getsockname()[1])


def worker_command() -> list[str]:
    """Return the command of the trigger worker."""
    return [sys.executable, "-m", "picloud", "worker"]


class DataPlane:
    """The data plane's address, chosen anew before each start, and its command."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._host = settings.host
        self._wanted = settings.port
        self._log = log
        self.port = 0
        """0 until the first start."""

    @property
    def connect_host(self) -> str:
        """The address clients on this machine connect to."""
        return UNSPECIFIED.get(self._host, self._host)

    @property
    def url(self) -> str:
        """The data plane's own URL, without a path."""
        host = self.connect_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def command(self) -> list[str]:
        """Choose the port, say so when it is not the one in the settings, and return the command."""
        port = free_port(self._host, self.port or self._wanted)
        if port not in (self.port, self._wanted):
            reason = f"port {self.port or self._wanted} is taken" if self._wanted else "no port is set"
            self._log.warning("PiCloud's data plane listens on port %d, because %s", port, reason)
        self.port = port
        return [sys.executable, "-m", "picloud", "serve", "--host", self._host, "--port", str(port)]
