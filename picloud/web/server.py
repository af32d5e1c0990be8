"""The data plane's processes: granian in the foreground, its workers forked, each with a platform of its own.

A worker that dies is replaced, and so is one with a run that cannot be stopped: the new worker listens before the old
one drains. SIGTERM and SIGINT drain: no new connections, requests in flight are answered, then the
workers close their platforms and the process ends.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeAlias

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from picloud.errors import InvalidInput
from picloud.settings import Settings
from picloud.web.pulse import Pulse, Sign, Ward
from picloud.web.wsgi import Application

Loader: TypeAlias = Callable[[Settings], Application]
"""Opens what an application needs, in the worker that will serve it, and arranges for its end. Picklable."""

BACKLOG = 1024
HEADER_TIMEOUT_MS = 15_000
DRAIN_EXTRA_S = 5
"""Beyond the longest run, for the answer to leave."""
PROBE_INTERVAL_S = 0.02
PARENT_GONE_REPEAT_S = 0.5
UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (nothing is bound here)

LOGGING: dict[str, Any] = {
    "formatters": {"generic": {"()": "picloud.engine.log.EntryFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"},
    },
    "loggers": {"_granian": {"handlers": ["console"], "propagate": False}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

log = logging.getLogger(__name__)


def serve(settings: Settings, load: Loader, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; call `announce` with the URL once it answers. Call in the main thread.

    Host, port, workers and threads are those of the settings; port 0 picks a free one. Raises `InvalidInput` when the
    address cannot be listened on, `SystemExit` when the workers die as fast as they start.
    """
    port = _free_port(settings.host, settings.port)
    ward = Ward(silence_max_s=settings.run_timeout_s + settings.run_grace_s)
    server = _Server(
        "picloud",
        ward=ward,
        address=settings.host,
        port=port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        http=HTTPModes.http1,  # HTTP/2 is the reverse proxy's; here it would add bodies of undeclared length
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        websockets=False,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=math.ceil(settings.run_timeout_s + settings.run_grace_s) + DRAIN_EXTRA_S,
        log_level=LogLevels.error,  # its warnings are advice on the number of threads
        log_dictconfig=LOGGING,
    )
    server.announcement = threading.Thread(
        target=_announce_when_ready, args=(settings.host, port, announce), daemon=True
    )
    server.serve(target_loader=partial(_load, load, settings, ward.pulse), wrap_loader=False)


class _Server(Server):  # type: ignore[misc, valid-type]  # granian picks the class at run time
    """Granian's server, which announces itself and replaces workers that are stuck.

    Threads start only after the workers are forked. Granian's main loop has one hook for replacing single workers, its
    watch over their memory, which is not used otherwise here.
    """

    announcement: threading.Thread

    def __init__(self, *arguments: Any, ward: Ward, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ward = ward
        self._lost: dict[int, Sign] = {}

    def startup(self, *arguments: Any) -> None:
        super().startup(*arguments)
        self.announcement.start()
        threading.Thread(target=self._ward.watch, args=(self._replace,), daemon=True).start()

    def _replace(self, pid: int, sign: Sign) -> None:
        self._ward.forget(pid)
        self._lost[pid] = sign
        self.rss_signal = True
        self.main_loop_interrupt.set()

    def _handle_rss_signal(self, spawn_target: Any, target_loader: Any) -> None:
        """Start a new worker for each that is lost; the old one ends in a thread, so that signals are still heard."""
        for place, worker in enumerate(self.wrks):
            sign = self._lost.pop(worker.inner.pid, None)
            if sign is None or not worker.is_alive():
                continue
            log.error("worker %d is stuck and is replaced", worker.inner.pid, extra={"action": "replace_worker"})
            new = self._spawn_worker(idx=worker.idx, target=spawn_target, callback_loader=target_loader)
            new.start()
            self.wrks[place] = new
            threading.Thread(target=self._end, args=(worker, new, sign), daemon=True).start()

    def _watch_workers_rss(self) -> None:
        """Leave memory alone: it is limited run by run."""

    def _end(self, old: Any, new: Any, sign: Sign) -> None:
        if sign is Sign.STUCK:
            self._ward.wait_until_steady(new.inner.pid, self.workers_kill_timeout)
            old.terminate()
            old.join(self.workers_kill_timeout)
        if old.is_alive():  # silent: nothing in it can answer
            old.kill()
            old.join()
        self._ward.forget(old.inner.pid)


def _load(load: Loader, settings: Settings, pulse: Pulse) -> Application:
    """Make the application, in a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _hide_environment()
    application = load(settings)
    pulse.start()
    return application


def _end_with_parent() -> None:
    """Drain this worker when its parent is gone, killed without a chance to say so."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    while True:  # until granian sets the worker's own handlers, the parent's inherited ones swallow the signal
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PARENT_GONE_REPEAT_S)


def _hide_environment() -> None:
    """Take variables that look like a request's headers out of the environment.

    Granian makes the environment part of every WSGI environ, as CGI did: a script would see `HTTP_PROXY` as a header.
    Who needs the proxy finds it under its lower-case name (https://httpoxy.org).
    """
    for name in [name for name in os.environ if name.startswith(("HTTP_", "CONTENT_"))]:
        value = os.environ.pop(name)
        if name == "HTTP_PROXY":
            os.environ.setdefault("http_proxy", value)


def _free_port(host: str, port: int) -> int:
    """Return the port to listen on; raise `InvalidInput` when it cannot be had.

    Granian binds with SO_REUSEPORT: without this look, a second server on the port would get half of the requests.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise InvalidInput(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --host and --port."
        ) from error


def _announce_when_ready(host: str, port: int, announce: Callable[[str], None]) -> None:
    target = UNSPECIFIED.get(host, host)
    pause = threading.Event()
    while not _answers(target, port):
        pause.wait(PROBE_INTERVAL_S)
    announce(f"http://{f'[{target}]' if ':' in target else target}:{port}")


def _answers(host: str, port: int) -> bool:
    """Tell whether a worker answers, with whatever status."""
    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
