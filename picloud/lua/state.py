"""One Lua state: the sandbox of an app, used by one run at a time.

Only strings, numbers and booleans cross between Lua and Python; tables are encoded and decoded inside Lua, where the
memory limit and the deadline of the run apply. Text crosses as UTF-8 bytes.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import lupa.lua54

from picloud.errors import PicloudError
from picloud.lua.limits import Limits, RunLimits
from picloud.lua.strong import MODE_BYTES, NAMES, make_tables_strong
from picloud.lua.watchdog import C_FUNCTIONS, COUNT_UNUSED, COUNT_WITHOUT_C, Handle, Trip, Watch, watchdog
from picloud.model.run import RunReport

Scalar = str | bytes | int | float | bool
HostCall = Callable[..., tuple[Scalar | None, ...]]
"""Gets the scalars Lua passed (strings as bytes); returns scalars or raises a `PicloudError`, which Lua may catch."""
HostCalls = Mapping[bytes, HostCall]
"""Host calls by the name Lua has for them."""
SdkCall = Callable[[bytes, tuple[Any, ...]], tuple[Scalar | None, ...]]
"""Gets the name and the scalars of a call of the SDK; otherwise like `HostCall`."""

_CROSSING: Final = (bytes, int, float, bool, type(None))
_MARGIN_BYTES: Final = 64 * 1024
"""Memory kept free when a value is handed to Lua, for what Lua itself allocates around it."""

_LAST_S: Final = 0.05
"""A host call that fails with no more time left than this has taken all there was."""

_NO_OPERATIONS: Final[HostCalls] = {}
_NO_LIBRARY: Final = b"return {}"
_OUT_OF_MEMORY: Final = (b"error", b"memory", b"", b"", 0, b"")
_STOPPED: Final = (b"error", b"limit", b"", b"", 0, b"")

_SETUP: Final = b"""
local init, host, sources, library, depth, response_bytes, names, mode, count, is_tripped = ...
local run, trip = assert(load(init, "=picloud", "b"))(host, sources, library, depth, response_bytes, is_tripped, count)
local gc = collectgarbage
local address = string.format("%p", (coroutine.running()))
debug.sethook(trip, "", count)
local addresses = {}
for name in names:gmatch("%S+") do addresses[#addresses + 1] = string.format("%p", name) end
debug.getregistry()._HOOKKEY[mode] = "k" -- the table that holds the hooks of coroutines stays weak, and keeps the name
return run, function() gc() gc() end, address, string.format("%p", mode), table.unpack(addresses)
"""


@cache
def _prelude(name: bytes) -> bytes:
    """Return a file of the prelude as bytecode: compiling it anew would be most of what a state costs."""
    return _bytecode(resources.files("picloud.lua").joinpath("prelude", f"{name.decode()}.lua").read_bytes())


@cache
def _bytecode(source: bytes) -> bytes:
    compile_ = lupa.lua54.LuaRuntime(encoding=None).eval(
        b'function(source) return string.dump(assert(load(source, "=picloud", "t"))) end'
    )
    return bytes(compile_(source))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    values: tuple[Any, ...]
    """The scalars of the prelude's answer."""
    trip: Trip | None
    """Why the run was stopped from outside, if it was."""
    failure: PicloudError | None
    """The error of its last host call that failed with one."""
    was_last: bool
    """Whether that call took what time the run had left: little or nothing of the script ran after it."""
    report: RunReport


class LuaState:
    """A sandboxed Lua 5.4 state; not thread-safe, except for `interrupt`."""

    def __init__(self, limits: Limits, library: bytes = _NO_LIBRARY) -> None:
        """Take the limits and the Lua text that makes the namespaces of the SDK."""
        self.limits = limits
        self.runs = 0
        """Runs since the state was made."""
        self.spoilt = False
        """True once a limit ended a run: the state is thrown away then."""
        self._chunks: OrderedDict[bytes, None] = OrderedDict()
        self._operations = _NO_OPERATIONS
        self._sdk: SdkCall | None = None
        self._watch: Watch | None = None
        self._lua = lupa.lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_no_attributes,
            max_memory=limits.state.memory_bytes,
        )
        self._run, self._collect, *addresses = self._lua.compile(_SETUP)(
            _prelude(b"init"), self._host, _prelude, _bytecode(library),
            limits.run.import_depth, limits.run.response_bytes,
            b" ".join(NAMES), secrets.token_hex(MODE_BYTES).encode(),
            *((COUNT_UNUSED,) if C_FUNCTIONS else (COUNT_WITHOUT_C, self._is_tripped)),
        )  # fmt: skip
        address, mode, *names = (int(text, 16) for text in addresses)
        make_tables_strong(address, tuple(names), mode)
        self._extend()
        globals_ = self._lua.globals()
        for name in list(globals_):
            del globals_[name]
        self._collect()
        self._max_bytes = int(self._lua.get_memory_used()) + limits.state.memory_bytes
        self._handle = Handle(self._lua, address, memory_limit_bytes=self._max_bytes)

    def _extend(self) -> None:
        """Add what a subclass needs, while Lua's own globals are still there."""

    @property
    def memory_bytes(self) -> int:
        """Lua memory in use now, the idle state's own included."""
        return self._handle.memory_bytes

    def call(
        self, operation: bytes, *arguments: Scalar,
        label: str, version: bytes, limits: RunLimits, operations: HostCalls, sdk: SdkCall, seed: int | None = None,
    ) -> Outcome:  # fmt: skip
        """Run one operation of the prelude, which begins with the compiled script `version`, if it has one.

        `label` is what the log calls the run.
        `operations` are the host calls of the engine itself; all others are calls of the SDK, which the report counts.
        With a `seed` (62 bits) Lua's own random numbers are the same each time, and Lua's clocks are the SDK's.
        """
        self.runs += 1
        encoded = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
        fits = self._fits(encoded)
        repeats = seed is not None
        seed = random.getrandbits(62) if seed is None else seed
        watch = watchdog.arm(
            self._handle, label, timeout_s=limits.timeout_s, cpu_s=limits.cpu_s, grace_s=limits.grace_s
        )
        self._reset(operations, sdk, limits.calls)
        self._watch = watch
        self.use_chunk(version)
        try:
            if fits:
                watch.crossing = False
                values = self._run(operation, seed, repeats, *encoded)
            else:
                values = _OUT_OF_MEMORY
        except lupa.lua54.LuaMemoryError:
            values = _OUT_OF_MEMORY
        except lupa.lua54.LuaError:
            if watch.tripped is None:
                raise
            values = _STOPPED
        finally:
            watch.disarm()
            self._watch = None
            self._operations, self._sdk = _NO_OPERATIONS, None
        if not isinstance(values, tuple):
            values = (values,)
        if self._crash is not None:
            self.spoilt = True
            raise self._crash
        if values[:2] == _OUT_OF_MEMORY[:2]:
            self.spoilt = True
            if watch.tripped is not None:  # a run that was stopped and went on got no more memory
                values = _STOPPED
        if values is _STOPPED:
            values = self._place_of_stop()
        if watch.tripped not in (None, Trip.INTERRUPT):
            self.spoilt = True
        return Outcome(values, watch.tripped, self._failure, self._was_last, self._report(watch))

    def _reset(self, operations: HostCalls, sdk: SdkCall, calls_max: int) -> None:
        self._operations = operations
        self._sdk = sdk
        self._calls_left = calls_max
        self._failure: PicloudError | None = None
        self._was_last = False
        self._crash: BaseException | None = None
        self._call_count = self._cached = self._compiled = self._compiled_bytes = self._dropped = 0
        self._calls_s = self._compile_s = self._compiling_since = 0.0

    def _report(self, watch: Watch) -> RunReport:
        return RunReport(
            wall_ms=watch.wall_s * 1000,
            cpu_ms=watch.cpu_s * 1000,
            peak_bytes=watch.grown_bytes,
            calls=self._call_count,
            calls_ms=self._calls_s * 1000,
            cached=self._cached,
            compiled=self._compiled,
            compiled_bytes=self._compiled_bytes,
            compile_ms=self._compile_s * 1000,
            dropped=self._dropped,
        )

    def _place_of_stop(self) -> tuple[Any, ...]:
        try:
            return tuple(self._run(b"stopped"))
        except lupa.lua54.LuaMemoryError:  # stopped with its memory full
            return _STOPPED

    @property
    def remaining_s(self) -> float:
        """Seconds the current run has left; 0 when none runs."""
        watch = self._watch
        return watch.remaining_s if watch else 0.0

    def interrupt(self) -> None:
        """End the current run, from any thread."""
        watch = self._watch
        if watch is not None:
            watch.trip(Trip.INTERRUPT)

    def _is_tripped(self) -> bool:
        return self._watch is not None and self._watch.tripped is not None

    def use_chunk(self, version: bytes) -> None:
        """Note that the run uses a script, compiled already or not."""
        if version in self._chunks:
            self._chunks.move_to_end(version)
            self._cached += 1

    def add_chunk(self, version: bytes, size: int) -> bytes | None:
        """Note a chunk of `size` bytes that Lua compiles now; return the least recently used one, when it must go."""
        self._chunks[version] = None
        self._chunks.move_to_end(version)
        self._compiled += 1
        self._compiled_bytes += size
        self._compiling_since = time.perf_counter()
        if len(self._chunks) <= self.limits.state.chunks:
            return None
        self._dropped += 1
        return self._chunks.popitem(last=False)[0]

    def chunk_compiled(self) -> None:
        """Note that Lua has compiled the chunk added last."""
        self._compile_s += time.perf_counter() - self._compiling_since

    def collect(self) -> None:
        """Give memory of the last run back."""
        self._collect()

    def _host(self, operation: bytes, *arguments: Any) -> tuple[Any, ...]:
        watch = self._watch
        if watch is None:  # Lua runs during `call` only
            return False, b"stop"
        watch.pause()
        try:
            answer = self._answer(watch, operation, *arguments)
        except lupa.lua54.LuaMemoryError:  # not even the collector had room to be called
            answer = False, b"memory"
        except BaseException as error:  # lupa would give it to Lua as an object a script can catch
            if not (watch.tripped and isinstance(error, lupa.lua54.LuaError)):  # a limit that ends a collection
                self._crash = error
            answer = False, b"stop"
        watch.resume()
        watch.crossing = False
        return answer

    def _answer(self, watch: Watch, operation: bytes, *arguments: Any) -> tuple[Any, ...]:
        self._calls_left -= 1
        if self._calls_left < 0:
            watch.trip(Trip.CALLS)
        if watch.tripped:
            return False, b"stop"
        if not all(isinstance(argument, _CROSSING) for argument in arguments):
            raise TypeError(f"{operation!r} got something else than scalars")
        try:
            call = self._operations.get(operation)
            values = call(*arguments) if call else self._sdk_call(operation, arguments)
        except PicloudError as error:
            self._failure, self._was_last = error, watch.remaining_s <= _LAST_S
            code, message = error.code.encode(), error.message.encode("utf-8", "replace")
            return (False, code, message) if self._fits((message,)) else (False, b"memory")
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return (True, *encoded) if self._fits(encoded) else (False, b"memory")

    def _sdk_call(self, operation: bytes, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
        assert self._sdk is not None  # noqa: S101  (a run is going on)
        self._call_count += 1
        started = time.perf_counter()
        try:
            return self._sdk(operation, arguments)
        finally:
            self._calls_s += time.perf_counter() - started

    def _fits(self, values: list[Any] | tuple[Any, ...]) -> bool:
        """Tell whether Lua can take these values; it must never run out of memory while Python hands them over."""
        size = _MARGIN_BYTES + sum(len(value) + 64 for value in values if isinstance(value, bytes))
        cap = self._max_bytes
        if self._lua.get_memory_used() + size <= cap:
            return True
        if size > cap:
            return False
        self._collect()
        return bool(self._lua.get_memory_used() + size <= cap)


def _no_attributes(_object: object, _name: object, _setting: bool) -> str:
    raise AttributeError("not available")
