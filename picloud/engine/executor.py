"""Run scripts: borrow a state of the app, bind the host calls, arm the deadline, read the answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from picloud.engine.outcome import error_of, response_of
from picloud.engine.validator import check_source
from picloud.errors import InvalidModule, InvalidScript
from picloud.lua.limits import Limits
from picloud.lua.state import HostCall, LuaState, Scalar
from picloud.model.app import App, AppId
from picloud.model.http import Request, Response
from picloud.model.script import LinkedScript, ScriptKind
from picloud.modules.resolver import Resolver
from picloud.modules.source import ScriptSource

RUNS_PER_STATE: Final = 1000
"""A state is replaced after so many runs, so that what Lua or lupa might leak stays small."""
IDLE_STATES_MAX: Final = 64
"""Idle states kept per process, over all apps."""
COLLECT_ABOVE_BYTES: Final = 4 * 2**20
"""A state that holds more than this after a run gives it back before the next."""

_log = logging.getLogger(__name__)
_script_log = logging.getLogger("picloud.script")
_LEVELS = {b"debug": logging.DEBUG, b"info": logging.INFO, b"warn": logging.WARNING, b"error": logging.ERROR}

Write = Callable[[str], None]


class Executor:
    """Runs scripts within limits, in any number of threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._idle: dict[AppId, list[LuaState]] = {}
        self._idle_count = 0
        self._running: set[LuaState] = set()
        self._lock = threading.Lock()

    def endpoint(
        self, app: App, script: LinkedScript, source: ScriptSource, request: Request, params: Mapping[str, str],
        *, timeout_s: float | None = None, write: Write | None = None,
    ) -> Response:  # fmt: skip
        """Answer one request; raises `ScriptError`, `PlatformError`, or `InvalidInput` for a body that is not JSON.

        `timeout_s` shortens the limit. `write` gets what the script prints; None: the log.
        """
        query, headers = request.query, request.headers
        flat: list[Scalar] = []
        for pairs in (params.items(), query, headers.items()):
            for pair in pairs:
                flat.extend(pair)
        with self._borrow(app.id) as state:
            values = self._run(
                state, b"endpoint", script, source, _log_calls(app, script, request.id, write),
                request.method, request.path, request.id, app.name, request.principal or False, request.body,
                len(params), len(query), len(headers), *flat, timeout_s=timeout_s,
            )  # fmt: skip
        return response_of(values)

    def test(
        self, app: App, script: LinkedScript, source: ScriptSource, call: HostCall, write: Write | None = None
    ) -> int:
        """Run one test; return how many assertions it made, raise `ScriptError` when one failed.

        `call` also gets the seconds the test has left, as its first argument.
        """
        with self._borrow(app.id) as state:
            calls = _log_calls(app, script, script.script.name, write)
            calls[b"call"] = lambda *arguments: call(state.remaining_s, *arguments)
            values = self._run(state, b"test", script, source, calls)
        return int(values[1])

    def cell(self, state: LuaState, name: str, text: str, source: ScriptSource, echo: HostCall, write: Write) -> None:
        """Run a scratch cell in a session's own state; `echo` gets type, text and JSON of each value it returns."""
        calls: dict[bytes, HostCall] = {b"echo": echo, **_print_calls(write), **_module_calls(state, Resolver(source))}
        with self._tracked(state):
            values, trip = state.call(b"cell", name, text, operations=calls, timeout_s=self.limits.timeout_s)
        if values[0] != b"ok":
            raise error_of(values, script=name, limits=self.limits, trip=trip, failure=state.failure)

    def new_state(self) -> LuaState:
        """Make a state of its own for a session."""
        return LuaState(self.limits)

    def interrupt(self) -> None:
        """End everything this executor runs now, from any thread."""
        with self._lock:
            running = list(self._running)
        for state in running:
            state.interrupt()

    def _run(
        self, state: LuaState, operation: bytes, script: LinkedScript, source: ScriptSource,
        calls: Mapping[bytes, HostCall], *arguments: Scalar, timeout_s: float | None = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        resolver = Resolver(source)
        resolver.enter(script)
        state.touch_chunk(script.key)
        values, trip = state.call(
            operation,
            script.key,
            script.script.name,
            *arguments,
            operations={**calls, **_module_calls(state, resolver)},
            timeout_s=self.limits.timeout_s if timeout_s is None else min(timeout_s, self.limits.timeout_s),
        )
        if values[0] != b"ok":
            raise error_of(values, script=script.script.name, limits=self.limits, trip=trip, failure=state.failure)
        return values

    @contextmanager
    def _borrow(self, app_id: AppId) -> Iterator[LuaState]:
        """Lend a state of the app. A state never serves two apps, nor two runs at once."""
        with self._lock:
            idle = self._idle.get(app_id)
            state = idle.pop() if idle else None
            self._idle_count -= state is not None
        state = state or LuaState(self.limits)
        try:
            with self._tracked(state):
                yield state
        finally:
            self._give_back(app_id, state)

    @contextmanager
    def _tracked(self, state: LuaState) -> Iterator[None]:
        with self._lock:
            self._running.add(state)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(state)

    def _give_back(self, app_id: AppId, state: LuaState) -> None:
        if state.spoilt or state.runs >= RUNS_PER_STATE:
            return
        if state.memory_bytes > COLLECT_ABOVE_BYTES:
            state.collect()
        with self._lock:
            if self._idle_count < IDLE_STATES_MAX:
                self._idle.setdefault(app_id, []).append(state)
                self._idle_count += 1
            elif not self._idle.get(app_id):  # make room: the app that waits longest loses its states
                for other in list(self._idle):
                    if states := self._idle.pop(other):
                        self._idle[app_id] = [state]
                        self._idle_count += 1 - len(states)
                        break


def _module_calls(state: LuaState, resolver: Resolver) -> dict[bytes, HostCall]:
    def resolve(name: bytes, importer: bytes) -> tuple[Scalar, ...]:
        found = resolver.resolve(name.decode("utf-8", "replace"), importer)
        state.touch_chunk(found.key)
        return (found.key,)

    def source(version: bytes, _name: bytes) -> tuple[Scalar, ...]:
        linked = resolver.used[version]
        _check_again(linked)
        _log.debug("Compiling %s", linked.script.name, extra={"action": "compile"})
        dropped = state.add_chunk(version)
        return (linked.script.source,) if dropped is None else (linked.script.source, dropped)

    return {b"resolve": resolve, b"source": source}


def _check_again(linked: LinkedScript) -> None:
    """Refuse a module that was written to the database behind PiCloud's back; once per compilation."""
    script = linked.script
    if script.kind is ScriptKind.MODULE:
        try:
            check_source(script.name, script.kind, script.source)
        except InvalidScript as error:
            raise InvalidModule(error.message) from error


def _log_calls(app: App, script: LinkedScript, run_id: str, write: Write | None) -> dict[bytes, HostCall]:
    if write is not None:
        return _print_calls(write)
    extra = {"action": "script_log", "app": app.name, "script": script.script.name, "request_id": run_id}

    def emit(level: bytes, message: bytes, fields: bytes) -> tuple[Scalar, ...]:
        text = message.decode("utf-8", "replace")
        _script_log.log(_LEVELS[level], "%s %s", text, fields.decode("utf-8", "replace"), extra=extra)
        return ()

    return {b"log": emit, b"print": lambda text: emit(b"info", text, b"")}


def _print_calls(write: Write) -> dict[bytes, HostCall]:
    def print_(text: bytes) -> tuple[Scalar, ...]:
        write(text.decode("utf-8", "replace") + "\n")
        return ()

    def emit(level: bytes, message: bytes, fields: bytes) -> tuple[Scalar, ...]:
        return print_(b" ".join(part for part in (level.upper(), message, fields) if part))

    return {b"print": print_, b"log": emit}
