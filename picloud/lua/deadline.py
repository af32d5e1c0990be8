"""Stop a running Lua state from another thread, at no cost while nothing goes wrong (DESIGN D2).

A state registers a hook that raises; this module reads the C hook function back and leaves it unset. When a deadline
passes, the one watchdog thread sets it with `lua_sethook`, which Lua's source allows to be called asynchronously; from
then on every instruction raises again, so no `pcall` can go on. lupa's own shared object exports the C functions.
"""

from __future__ import annotations

import ctypes
import threading
import time
from enum import Enum

import lupa.lua54

_MASK_COUNT = 8  # LUA_MASKCOUNT of lua.h
_REPEAT_S = 0.01
"""A hook set in the instant a function is called can be missed, so a tripped run is tripped again until it ends."""

_library = ctypes.PyDLL(lupa.lua54.__file__)
_set_hook = _library.lua_sethook
_set_hook.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
_set_hook.restype = None
_get_hook = _library.lua_gethook
_get_hook.argtypes = [ctypes.c_void_p]
_get_hook.restype = ctypes.c_void_p


class Trip(Enum):
    """Why a run was stopped."""

    DEADLINE = "deadline"
    INTERRUPT = "interrupt"


class Hook:
    """The raising hook of one state; `address` is its main `lua_State`. Made while the hook is set, leaves it unset."""

    __slots__ = ("_address", "_function")

    def __init__(self, address: int) -> None:
        self._address = address
        self._function = _get_hook(address)
        self.clear()

    def set(self) -> None:
        """Make every following instruction raise."""
        _set_hook(self._address, self._function, _MASK_COUNT, 1)

    def clear(self) -> None:
        """Let instructions run freely again."""
        _set_hook(self._address, None, 0, 0)


class Deadline:
    """One armed run; made by `Watchdog.arm`."""

    __slots__ = ("_hook", "_watchdog", "at", "tripped")

    def __init__(self, watchdog: Watchdog, hook: Hook, at: float) -> None:
        self._watchdog = watchdog
        self._hook = hook
        self.at = at
        """`time.monotonic()` at which to trip, or to trip again."""
        self.tripped: Trip | None = None

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 once tripped."""
        return 0.0 if self.tripped else max(0.0, self.at - time.monotonic())

    def trip(self, reason: Trip) -> None:
        """Stop the run now, from any thread. Does nothing once the run has ended."""
        self._watchdog.trip(self, reason)

    def disarm(self) -> None:
        """End the watch; afterwards the state's hook is never touched again."""
        self._watchdog.disarm(self)

    def fire(self, reason: Trip, now: float) -> None:
        """Set the hook and ask to be called again; the watchdog's lock is held."""
        self.tripped = self.tripped or reason
        self.at = now + _REPEAT_S
        self._hook.set()

    def release(self) -> None:
        """Clear the hook when it was set; the watchdog's lock is held."""
        if self.tripped:
            self._hook.clear()


class Watchdog:
    """One daemon thread that watches every run of the process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._active: set[Deadline] = set()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def arm(self, hook: Hook, timeout_s: float) -> Deadline:
        """Watch a run that starts now."""
        deadline = Deadline(self, hook, time.monotonic() + timeout_s)
        with self._changed:
            self._active.add(deadline)
            if deadline.at < self._wakes_at:
                self._wake()
        return deadline

    def trip(self, deadline: Deadline, reason: Trip) -> None:
        """Stop a run now."""
        with self._changed:
            if deadline in self._active:
                deadline.fire(reason, time.monotonic())
                self._wake()

    def disarm(self, deadline: Deadline) -> None:
        """Stop watching a run."""
        with self._changed:
            self._active.discard(deadline)
            deadline.release()

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # a forked child has no thread yet
            self._thread = threading.Thread(target=self._watch, name="picloud-watchdog", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for deadline in self._active:
                    if deadline.at <= now:
                        deadline.fire(Trip.DEADLINE, now)
                # With nothing to watch it sleeps until armed; otherwise runs that end early cost no wake-up.
                self._wakes_at = min((deadline.at for deadline in self._active), default=float("inf"))
                self._changed.wait(None if self._wakes_at == float("inf") else max(0.0, self._wakes_at - now))


watchdog = Watchdog()
