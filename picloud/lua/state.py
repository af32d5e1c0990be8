"""One Lua state: the sandbox of an app, used by one run at a time.

Only strings, numbers and booleans cross between Lua and Python; tables are encoded and decoded inside Lua, where the
memory limit and the deadline of the run apply. Text crosses as UTF-8 bytes.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import lupa.lua54

from picloud.errors import PicloudError
from picloud.lua.deadline import Deadline, Hook, Trip, watchdog
from picloud.lua.limits import Limits

Scalar = str | bytes | int | float | bool
HostCall = Callable[..., tuple[Scalar, ...]]
"""Gets the scalars Lua passed (strings as bytes); returns scalars or raises a `PicloudError`, which Lua may catch."""

_MARGIN_BYTES: Final = 64 * 1024
"""Memory kept free when a value is handed to Lua, for what Lua itself allocates around it."""

_OUT_OF_MEMORY: Final = (b"error", b"memory", b"", b"", 0, b"")

_SETUP: Final = b"""
local init, host, sources, depth = ...
local run, trip = assert(load(init, "=picloud", "b"))(host, sources, depth)
local gc = collectgarbage
local address = string.format("%p", (coroutine.running()))
-- A count never reached here: it registers the function; the caller reads the C hook back and unsets it.
debug.sethook(trip, "", 1073741824)
return run, function() gc() gc() end, address
"""


@cache
def _prelude(name: bytes) -> bytes:
    """Return a file of the prelude as bytecode: compiling it anew would be most of what a state costs."""
    source = resources.files("picloud.lua").joinpath("prelude", f"{name.decode()}.lua").read_bytes()
    compile_ = lupa.lua54.LuaRuntime(encoding=None).eval(
        b'function(source) return string.dump(assert(load(source, "=picloud", "t"))) end'
    )
    return bytes(compile_(source))


class LuaState:
    """A sandboxed Lua 5.4 state; not thread-safe, except for `interrupt`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.runs = 0
        """Runs since the state was made."""
        self.spoilt = False
        """True once a limit ended a run: the state is thrown away then."""
        self._operations: Mapping[bytes, HostCall] = {}
        self._deadline: Deadline | None = None
        self._failure: PicloudError | None = None
        self._crash: BaseException | None = None
        self._chunks: OrderedDict[bytes, None] = OrderedDict()
        self._lua = lupa.lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_no_attributes,
            max_memory=limits.memory_bytes,
        )
        setup = self._lua.compile(_SETUP)
        self._run, self._collect, address = setup(_prelude(b"init"), self._host, _prelude, limits.import_depth)
        self._hook = Hook(int(address, 16))
        globals_ = self._lua.globals()
        for name in list(globals_):
            del globals_[name]
        self._collect()
        self._max_bytes = int(self._lua.get_memory_used()) + limits.memory_bytes
        self._lua.set_max_memory(self._max_bytes)

    @property
    def memory_bytes(self) -> int:
        """Lua memory in use now, the idle state's own included."""
        return int(self._lua.get_memory_used())

    @property
    def failure(self) -> PicloudError | None:
        """The error the last host call of the current run raised, when that was a fault Lua code was told of."""
        return self._failure

    def call(
        self, operation: bytes, *arguments: Scalar, operations: Mapping[bytes, HostCall], timeout_s: float
    ) -> tuple[tuple[Any, ...], Trip | None]:
        """Run one operation of the prelude; return its scalars and why it was stopped, if it was.

        `operations` are the host calls this run may make, by name.
        """
        self._operations = operations
        self._failure = self._crash = None
        self.runs += 1
        encoded = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
        if not self._fits(encoded):
            self.spoilt = True
            return _OUT_OF_MEMORY, None
        self._deadline = deadline = watchdog.arm(self._hook, timeout_s)
        try:
            values = self._run(operation, random.getrandbits(62), *encoded)
        except lupa.lua54.LuaMemoryError:
            values = _OUT_OF_MEMORY
        except lupa.lua54.LuaError:
            deadline.disarm()
            if deadline.tripped is None:
                raise
            values = self._place_of_stop()
        finally:
            deadline.disarm()
            self._deadline = None
            self._operations = {}
        if not isinstance(values, tuple):
            values = (values,)
        if self._crash is not None:
            self.spoilt = True
            raise self._crash
        if deadline.tripped is Trip.DEADLINE or values[:2] == (b"error", b"memory"):
            self.spoilt = True
        return values, deadline.tripped

    def _place_of_stop(self) -> tuple[Any, ...]:
        try:
            return tuple(self._run(b"stopped"))
        except lupa.lua54.LuaMemoryError:  # stopped with its memory full
            return b"error", b"limit", b"", b"", 0, b""

    @property
    def remaining_s(self) -> float:
        """Seconds the current run has left; 0 when none runs."""
        deadline = self._deadline
        return deadline.remaining_s if deadline else 0.0

    def interrupt(self) -> None:
        """End the current run, from any thread."""
        deadline = self._deadline
        if deadline is not None:
            deadline.trip(Trip.INTERRUPT)

    def touch_chunk(self, version: bytes) -> None:
        """Note that a compiled chunk was used."""
        if version in self._chunks:
            self._chunks.move_to_end(version)

    def add_chunk(self, version: bytes) -> bytes | None:
        """Note a chunk that Lua compiles now; return the least recently used one when it is to be dropped for it."""
        self._chunks[version] = None
        self._chunks.move_to_end(version)
        return self._chunks.popitem(last=False)[0] if len(self._chunks) > self.limits.chunks else None

    def collect(self) -> None:
        """Give memory of the last run back."""
        self._collect()

    def _host(self, operation: bytes, *arguments: Any) -> tuple[Any, ...]:
        try:
            return self._answer(operation, *arguments)
        except lupa.lua54.LuaMemoryError:  # not even the collector had room to be called
            return False, b"memory"
        except BaseException as error:  # lupa would give it to Lua as an object a script can catch
            tripped = self._deadline is not None and self._deadline.tripped
            if not (tripped and isinstance(error, lupa.lua54.LuaError)):  # a limit that ends a collection is no crash
                self._crash = error
            return False, b"stop"

    def _answer(self, operation: bytes, *arguments: Any) -> tuple[Any, ...]:
        try:
            values = self._operations[operation](*arguments)
        except PicloudError as error:
            self._failure = error
            code, message = error.code.encode(), error.message.encode("utf-8", "replace")
            return (False, code, message) if self._fits((message,)) else (False, b"memory")
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return (True, *encoded) if self._fits(encoded) else (False, b"memory")

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
