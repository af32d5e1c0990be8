"""Run scripts: borrow a state of the app, bind the host calls, put the run under watch, read the answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from picloud.engine.binding import calls
from picloud.engine.counters import CacheCounters
from picloud.engine.interruption import Interruption
from picloud.engine.library import library
from picloud.engine.log import Emit, KeptLines, RunLog, Write, to_logging, to_text
from picloud.engine.outcome import error_of, response_of
from picloud.engine.validator import check_source
from picloud.errors import InvalidInput, InvalidModule, InvalidScript
from picloud.lua.limits import Limits, RunLimits
from picloud.lua.state import HostCalls, LuaState, Scalar, SdkCall
from picloud.model.app import App, AppId
from picloud.model.event import Message, Verdicts
from picloud.model.http import Request, Response
from picloud.model.run import RunReport
from picloud.model.script import LinkedScript, ScriptKind
from picloud.model.trigger import BACKOFF_MAX_S
from picloud.modules.resolver import Resolver
from picloud.modules.source import ScriptSource
from picloud.sdk.random import seeded
from picloud.sdk.run import Run
from picloud.sdk.spec import Phase
from picloud.storage.data import DataSession, OpenSession

RUNS_PER_STATE: Final = 1000
"""A state is replaced after so many runs, so that what Lua or lupa might leak stays small."""
IDLE_STATES_MAX: Final = 64
"""Idle states kept per process, over all apps."""
COLLECT_ABOVE_BYTES: Final = 2**20
"""A state that holds more than this after a run gives it back before the next."""
RETAINED_MAX: Final = 0.25
"""A state that still holds this part of its memory limit then is replaced: its next run would have less than it may."""
LOOK_TIMEOUT_S: Final = 0.5

_log = logging.getLogger(__name__)
T = TypeVar("T")

Observe = Callable[[RunReport], None]
"""Gets the report of a run that has ended, also when it failed, before its error is raised."""


class Executor:
    """Runs scripts within limits, in any number of threads."""

    def __init__(self, limits: Limits, data: OpenSession | None = None) -> None:
        """Take the limits, and what opens the data of an app; None where there is no database."""
        self.limits = limits
        self._data = data
        self._idle: dict[AppId, list[LuaState]] = {}
        self._idle_count = 0
        self._states: set[LuaState] = set()
        """Those that run something."""
        self._runs: set[Run] = set()
        self._lock = threading.Lock()
        self.chunks = CacheCounters()
        """Of compiled scripts, over all states."""

    def endpoint(
        self, app: App, script: LinkedScript, source: ScriptSource, request: Request, params: Mapping[str, str],
        *, timeout_s: float | None = None, write: Write | None = None, observe: Observe | None = None,
        run: Run | None = None, lines: KeptLines | None = None, discard: bool = False,
    ) -> Response:  # fmt: skip
        """Answer one request; raises `ScriptError`, `PlatformError`, or `InvalidInput` for a body that is not JSON.

        `timeout_s` shortens the limit. `write` gets what the script prints; None: the log. `run` is that of a test
        which makes the request, so that both have one clock, one randomness and one transaction; None: one of its own.
        `lines` keeps what the script logs. With `discard` nothing it stores stays.
        """
        limits = self._within(timeout_s)
        emit = _emit(app, script, request.id, write)
        query, headers = request.query, request.headers
        flat: list[Scalar] = []
        for pairs in (params.items(), query, headers.items()):
            for pair in pairs:
                flat.extend(pair)
        seed = None if run is None else _lua_seed(run)
        with self._borrow(app.id) as state, self._part_of(run, app, state, Phase.ENDPOINT, discard) as run:
            values = self._script(
                state, app, b"endpoint", script, source,
                request.method, request.path, request.id, app.name, request.principal or False, request.body,
                len(params), len(query), len(headers), *flat,
                limits=limits, sdk=partial(_call, run), emit=lines.before(emit) if lines else emit, observe=observe,
                seed=seed,
            )  # fmt: skip
        return response_of(values)

    def trigger(
        self, app: App, script: LinkedScript, source: ScriptSource, messages: Sequence[Message], verdicts: Verdicts,
        *, emit: Emit, timeout_s: float | None = None, observe: Observe | None = None, discard: bool = False,
        interruption: Interruption | None = None,
    ) -> None:  # fmt: skip
        """Let a script take an event, or several messages of a queue; raises `ScriptError` or `PlatformError`.

        What the script says of messages is in `verdicts` also when it fails. `timeout_s` stands in place of the limit.
        With `discard` nothing it stores stays. `interruption` gets to reach the run.
        """
        limits = self.limits.run
        if timeout_s is not None:
            limits = replace(limits, timeout_s=timeout_s)
        flat: list[Scalar] = []
        for message in messages:
            flat.extend(_scalars(message))
        first = messages[0].event
        causes = 1 + max(message.event.depth for message in messages)

        def sdk(operation: bytes, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
            if operation in _VERDICTS:
                return _VERDICTS[operation](verdicts, *arguments)
            return _call(run, operation, arguments)

        with (
            self._borrow(app.id) as state,
            self._run_of(app, state, Phase.TRIGGER, causes, discard) as run,
            interruption.reaching(state, run) if interruption else nullcontext(),
        ):
            self._script(
                state, app, b"trigger", script, source, str(first.kind), *flat,
                limits=limits, sdk=sdk, emit=emit, observe=observe, seed=None,
            )  # fmt: skip

    def test(
        self, app: App, script: LinkedScript, source: ScriptSource, call: Callable[..., tuple[Scalar, ...]],
        *, timeout_s: float | None = None, write: Write | None = None, observe: Observe | None = None,
    ) -> int:  # fmt: skip
        """Run one test; return how many assertions it made, raise `ScriptError` when one failed.

        Its clock stands still at the start, and its randomness is that of its name, so that it does the
        same each time, but for the order of `pairs` and the versions of what it stores.
        `call` makes a request; its first arguments are the test's `Run` and the seconds it has left. `timeout_s`
        shortens the limit.
        """
        with self._borrow(app.id) as state, self._run_of(app, state, Phase.TEST, discard=True) as run:
            run.freeze(run.now_s())
            run.seed(seeded(script.script.name.encode()))

            def sdk(operation: bytes, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
                if operation == b"call":
                    return call(run, state.remaining_s, *arguments)
                return _call(run, operation, arguments)

            values = self._script(
                state, app, b"test", script, source,
                limits=self._within(timeout_s),
                sdk=sdk,
                emit=_emit(app, script, script.script.name, write),
                observe=observe,
                seed=_lua_seed(run),
            )  # fmt: skip
        return int(values[1])

    def cell(
        self, state: LuaState, app: App, operation: bytes, name: str, text: str, source: ScriptSource,
        calls: HostCalls, *arguments: Scalar, write: Write, observe: Observe | None = None,
    ) -> None:  # fmt: skip
        """Run a scratch cell in a session's own state; `calls` get its values and what it displays."""
        log = RunLog(self.limits.run, to_text(write))
        operations = {**calls, **log.operations, **self._module_calls(state, Resolver(source))}
        self._slim(state)  # what earlier cells let go of does not count
        with self._tracked(self._states, state), self._run_of(app, state, Phase.CELL) as run:
            self._run(state, name, operation, name, text, *arguments, limits=self.limits.run, operations=operations,
                      sdk=partial(_call, run), observe=observe, label=name)  # fmt: skip

    def look(self, state: LuaState, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return what a session has at a path: type, parameters, short text, script and line of a function, fields.

        Empty when there is nothing.
        The path begins with a global; without one it is the globals themselves. The fields are lines of name, type,
        parameters and short text, with tabs between. Nothing of the session is run. Not while a cell runs.
        """
        limits = replace(self.limits.run, timeout_s=LOOK_TIMEOUT_S, cpu_s=LOOK_TIMEOUT_S)
        outcome = state.call(
            b"look", *path, label="look", version=b"", limits=limits, operations={}, sdk=partial(_call, Run(Phase.CELL))
        )
        found = outcome.values[1:] if outcome.values[0] == b"ok" else ()
        return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in found)

    def new_state(self) -> LuaState:
        """Make a state of its own for a session."""
        return LuaState(self.limits, library())

    def interrupt(self) -> None:
        """End everything this executor runs now, from any thread."""
        with self._lock:
            states, runs = list(self._states), list(self._runs)
        for state in states:  # first, so that no run goes on to another statement
            state.interrupt()
        for run in runs:
            run.interrupt()

    def _within(self, timeout_s: float | None) -> RunLimits:
        limits = self.limits.run
        return limits if timeout_s is None else replace(limits, timeout_s=min(timeout_s, limits.timeout_s))

    def _script(
        self, state: LuaState, app: App, operation: bytes, script: LinkedScript, source: ScriptSource,
        *arguments: Scalar,
        limits: RunLimits, sdk: SdkCall, emit: Emit, observe: Observe | None, seed: int | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        resolver = Resolver(source)
        resolver.enter(script)
        operations = {**RunLog(limits, emit).operations, **self._module_calls(state, resolver)}
        return self._run(
            state, script.script.name, operation, script.key, script.script.name, *arguments,
            limits=limits, operations=operations, sdk=sdk, observe=observe,
            label=f"{app.name}/{script.script.name}", version=script.key, seed=seed,
        )  # fmt: skip

    def _run(
        self, state: LuaState, name: str, operation: bytes, *arguments: Scalar,
        label: str, version: bytes = b"", limits: RunLimits, operations: HostCalls, sdk: SdkCall,
        observe: Observe | None, seed: int | None = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        own: HostCalls = {b"remaining": lambda: (int(state.remaining_s * 1000),)}
        outcome = state.call(
            operation,
            *arguments,
            label=label,
            version=version,
            limits=limits,
            operations={**own, **operations},
            sdk=sdk,
            seed=seed,
        )
        report = outcome.report
        self.chunks.add(
            hits=report.cached,
            misses=report.compiled,
            evictions=report.dropped,
            load_s=report.compile_ms / 1000,
            loaded_bytes=report.compiled_bytes,
        )
        _log.debug("Ran %s: %s", label, report, extra={"action": "run", "report": report})
        if observe is not None:
            observe(report)
        if outcome.values[0] != b"ok":
            raise error_of(outcome, script=name, limits=replace(self.limits, run=limits))
        return outcome.values

    def _module_calls(self, state: LuaState, resolver: Resolver) -> HostCalls:
        def resolve(name: bytes, importer: bytes) -> tuple[Scalar, ...]:
            found = resolver.resolve(name.decode("utf-8", "replace"), importer)
            state.use_chunk(found.key)
            return (found.key,)

        def source(version: bytes, _name: bytes) -> tuple[Scalar, ...]:
            linked = resolver.used[version]
            constant = _check_again(linked)
            _log.debug("Compiling %s", linked.script.name, extra={"action": "compile"})
            text = self._text(linked).encode()
            dropped = state.add_chunk(version, len(text))
            return (text, constant) if dropped is None else (text, constant, dropped)

        def compiled() -> tuple[Scalar, ...]:
            state.chunk_compiled()
            return ()

        return {b"resolve": resolve, b"source": source, b"compiled": compiled}

    def _text(self, linked: LinkedScript) -> str:
        """Return what Lua compiles for a script."""
        return linked.script.source

    @contextmanager
    def _borrow(self, app_id: AppId) -> Iterator[LuaState]:
        """Lend a state of the app. A state never serves two apps, nor two runs at once."""
        with self._lock:
            idle = self._idle.get(app_id)
            state = idle.pop() if idle else None
            self._idle_count -= state is not None
        state = state or self.new_state()
        try:
            with self._tracked(self._states, state):
                yield state
        finally:
            self._give_back(app_id, state)

    @contextmanager
    def _run_of(self, app: App, state: LuaState, phase: Phase, causes: int = 0, discard: bool = False) -> Iterator[Run]:
        """Yield a run on an app's data, which gives back at the end what it has taken, and with `discard` stored."""
        data = self._data

        def open_data(opened: OpenSession) -> DataSession:
            return opened(app, lambda: state.remaining_s, discard, causes)

        run = Run(phase, data and partial(open_data, data))
        with closing(run), self._tracked(self._runs, run):
            yield run

    @contextmanager
    def _part_of(self, run: Run | None, app: App, state: LuaState, phase: Phase, discard: bool) -> Iterator[Run]:
        """Yield a run of its own, or the one given, which is in this phase meanwhile: it may not do more than alone."""
        if run is None:
            with self._run_of(app, state, phase, discard=discard) as run:
                yield run
            return
        before, run.phase, depth = run.phase, phase, run.depth
        try:
            yield run
        finally:
            run.phase = before
            run.undo_to(depth)  # a limit may have ended it within a transaction

    @contextmanager
    def _tracked(self, running: set[T], this: T) -> Iterator[None]:
        with self._lock:
            running.add(this)
        try:
            yield
        finally:
            with self._lock:
                running.discard(this)

    def _give_back(self, app_id: AppId, state: LuaState) -> None:
        if state.spoilt or state.runs >= RUNS_PER_STATE or not self._slim(state):
            return
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

    def _slim(self, state: LuaState) -> bool:
        """Give memory back; return whether the state holds little enough to be used again."""
        if state.memory_bytes > COLLECT_ABOVE_BYTES:
            state.collect()
        return state.memory_bytes < max(COLLECT_ABOVE_BYTES, RETAINED_MAX * self.limits.state.memory_bytes)


def _scalars(message: Message) -> tuple[Scalar, ...]:
    """Return a message as Lua takes it; false stands for what it does not have."""
    event = message.event
    return (
        str(event.id), event.name, event.operation or False, False if event.key is None else event.key, event.is_json,
        False if event.payload is None else event.payload, False if event.before is None else event.before,
        event.version or False, event.sent_s, message.attempt,
    )  # fmt: skip


def _ack(verdicts: Verdicts, place: int) -> tuple[Scalar, ...]:
    verdicts.acked.add(place - 1)
    verdicts.retried.pop(place - 1, None)
    return ()


def _retry(verdicts: Verdicts, place: int, seconds: float) -> tuple[Scalar, ...]:
    if seconds != RETRY_AS_USUAL and not 0 <= seconds <= BACKOFF_MAX_S:
        raise InvalidInput(f"retry: seconds must be from 0 to {BACKOFF_MAX_S:.0f}")
    verdicts.acked.discard(place - 1)
    verdicts.retried[place - 1] = float(seconds)
    return ()


RETRY_AS_USUAL: Final = -1.0
"""In place of seconds: the trigger's own pause."""
_VERDICTS: Final[Mapping[bytes, Callable[..., tuple[Scalar, ...]]]] = {b"ack": _ack, b"retry": _retry}


def _call(run: Run, operation: bytes, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
    return calls()[operation](run, arguments)


def _lua_seed(run: Run) -> int:
    """Return where Lua's own generator starts in a run that is to be the same each time."""
    return int.from_bytes(run.random_bytes(8)) >> 2


def _check_again(linked: LinkedScript) -> bool:
    """Refuse a module that was written to the database behind PiCloud's back; tell whether it is a data module.

    Once per compilation.
    """
    script = linked.script
    if script.kind is not ScriptKind.MODULE:
        return False
    try:
        return check_source(script.name, script.kind, script.source).constant
    except InvalidScript as error:
        raise InvalidModule(error.message) from error


def _emit(app: App, script: LinkedScript, run_id: str, write: Write | None) -> Emit:
    if write is not None:
        return to_text(write)
    return to_logging({"action": "script_log", "app": app.name, "script": script.script.name, "request_id": run_id})
