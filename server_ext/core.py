"""PiCloud's core inside the Jupyter process: the admin API as a WSGI application. It runs no scripts of requests."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from picloud.platform import open_platform
from picloud.settings import Settings
from picloud.web import create_app
from picloud.web.wsgi import Application

THREADS = 4
"""Admin requests answered at once; people click slower than that."""


class Core:
    """Opens the platform on first use, in a thread; a failed attempt is repeated by the next request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._resources = ExitStack()
        self._application: Application | None = None
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="picloud-api")

    async def application(self) -> Application:
        """Return the WSGI application; raises `PlatformError` while the database is away."""
        if self._application is not None:
            return self._application
        return await asyncio.get_running_loop().run_in_executor(self.executor, self._open)

    async def close(self) -> None:
        """Close the platform and wait for the requests under way."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _open(self) -> Application:
        with self._lock:
            if self._application is None:
                with ExitStack() as opening:
                    platform = opening.enter_context(open_platform(self._settings))
                    self._application = create_app(platform)
                    self._resources = opening.pop_all()
            return self._application

    def _close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._application = None
            self._resources.close()
