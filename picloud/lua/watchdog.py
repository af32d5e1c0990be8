"""Stop a running Lua state from another thread, at no cost while nothing goes wrong (DESIGN D2).

A state registers a hook that raises; this module reads the C hook function back and leaves it unset. When a limit
passes, the one watchdog thread sets it with `lua_sethook`, which Lua's source allows to be called asynchronously; from
then on every instruction raises again, so no `pcall` can go on. lupa's own shared object exports the C functions; where
it does not, the state's hook asks every `COUNT_WITHOUT_C` instructions whether it is to raise.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import lupa.lua54

_MASK_COUNT: Final = 8  # LUA_MASKCOUNT of lua.h
COUNT_UNUSED: Final = 2**30
"""The count a hook is registered with when it is only registered to be read back."""
COUNT_WITHOUT_C: Final = 10_000
_REPEAT_S: Final = 0.01
"""A hook set in the instant a function is called can be missed, so a tripped run is tripped again until it ends."""
_STARVE_AFTER_S: Final = 0.02
"""A tripped run that goes on for so long gets no more memory: coroutines have hooks of their own, which look at the
main one every few hundred instructions, and each of these can make a string of megabytes."""
_TICK_S: Final = 0.02
"""How often a run's memory is looked at; a run that ends before costs no wake-up."""


def _c_functions() -> tuple[Any, Any] | None:
    library = ctypes.PyDLL(lupa.lua54.__file__)
    try:
        set_hook, get_hook = library.lua_sethook, library.lua_gethook
    except AttributeError:
        return None
    set_hook.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    set_hook.restype = None
    get_hook.argtypes = [ctypes.c_void_p]
    get_hook.restype = ctypes.c_void_p
    return set_hook, get_hook


C_FUNCTIONS: Final = _c_functions()
"""`lua_sethook` and `lua_gethook`; None when lupa was built without exporting them."""


class Trip(Enum):
    """Why a run was stopped."""

    DEADLINE = "deadline"
    CPU = "cpu"
    CALLS = "calls"
    INTERRUPT = "interrupt"


class Handle:
    """What another thread may do to a state while it runs. Made while the state's hook is set, leaves it unset."""

    __slots__ = ("_address", "_function", "_lua", "_memory_limit_bytes")

    def __init__(self, lua: Any, address: int, *, memory_limit_bytes: int) -> None:
        self._lua = lua
        self._address = address
        """Of the main `lua_State`."""
        self._memory_limit_bytes = memory_limit_bytes
        self._function = C_FUNCTIONS[1](address) if C_FUNCTIONS else None
        self.release()

    @property
    def memory_bytes(self) -> int:
        """Lua memory in use now, what lupa itself needs left out."""
        return int(self._lua.get_memory_used())

    def set(self) -> None:
        """Make every following instruction raise."""
        if C_FUNCTIONS:
            C_FUNCTIONS[0](self._address, self._function, _MASK_COUNT, 1)

    def starve(self) -> None:
        """Let every following allocation fail, until `feed` or `release`."""
        self._lua.set_max_memory(1, total=True)

    def feed(self) -> None:
        """Allow the state its memory again."""
        self._lua.set_max_memory(self._memory_limit_bytes)

    def release(self) -> None:
        """Let instructions and allocations go freely again."""
        if C_FUNCTIONS:
            C_FUNCTIONS[0](self._address, None, 0, 0)
        self.feed()


class Watch:
    """One run under watch, made by `Watchdog.arm` in the run's thread; only `trip` may be called from another.

    CPU time is the thread's, less what passes between `pause` and `resume`.
    """

    __slots__ = (
        "_clock", "_cpu_limit_s", "_ends_at", "_grace_s", "_handle", "_host", "_label", "_memory_before_bytes",
        "_on_stuck", "_started_at", "_started_cpu_s", "_tripped_at", "_watchdog", "crossing", "due",
        "peak_bytes", "tripped",
    )  # fmt: skip

    def __init__(
        self, watchdog: Watchdog, handle: Handle, *, timeout_s: float, cpu_s: float, grace_s: float,
        label: str, on_stuck: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._watchdog = watchdog
        self._handle = handle
        self._grace_s = grace_s
        self._label = label
        self._on_stuck: Callable[[str], None] | None = on_stuck
        self._cpu_limit_s = cpu_s
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._host: tuple[float, float | None] = (0.0, None)
        """CPU seconds of past pauses, and the thread's CPU time at which the present one began; one value, so that
        another thread never sees half of a change."""
        self.crossing = True
        """Values are on their way into Lua, which must not run out of memory then: lupa would hang with the GIL held.
        Cleared as the very last thing before lupa is called or returned to: from there on no other thread of Python
        runs until Lua has the values."""
        self.tripped: Trip | None = None
        self._tripped_at = 0.0
        self._memory_before_bytes = self.peak_bytes = handle.memory_bytes
        """`peak_bytes` is the most seen so far."""
        self._started_cpu_s = time.thread_time()
        self._started_at = time.monotonic()
        self._ends_at = self._started_at + timeout_s
        self.due = self._started_at + min(timeout_s, cpu_s, _TICK_S)
        """`time.monotonic()` at which to look at this run again."""

    @property
    def remaining_s(self) -> float:
        """Wall-clock seconds left; 0 once tripped."""
        return 0.0 if self.tripped else max(0.0, self._ends_at - time.monotonic())

    @property
    def wall_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_at

    @property
    def cpu_s(self) -> float:
        """CPU seconds used so far, pauses left out."""
        past_s, paused_at_s = self._host
        now_s = time.clock_gettime(self._clock) if paused_at_s is None else paused_at_s
        return now_s - self._started_cpu_s - past_s

    @property
    def grown_bytes(self) -> int:
        """The most memory seen, less what the state held at the start."""
        return max(0, self.peak_bytes - self._memory_before_bytes)

    def pause(self) -> None:
        """Stop the CPU clock: a host call begins. Afterwards the state has its memory and keeps it while `crossing`."""
        self._host = (self._host[0], time.thread_time())
        self._watchdog.begin_crossing(self)
        self._look()

    def resume(self) -> None:
        """Let the CPU clock go on: the host call has ended, but for clearing `crossing`."""
        past_s, paused_at_s = self._host
        self._host = (past_s if paused_at_s is None else past_s + time.thread_time() - paused_at_s, None)

    def trip(self, reason: Trip) -> None:
        """Stop the run now. Does nothing once the run has ended."""
        self._watchdog.trip(self, reason)

    def disarm(self) -> None:
        """End the watch; afterwards the state is never touched again."""
        self._look()
        self._watchdog.disarm(self)

    def check(self, now: float) -> None:
        """Trip the run when a limit has passed, insist when it was tripped; the watchdog's lock is held."""
        self._look()
        if self.tripped:
            self._insist(now)
        elif now >= self._ends_at:
            self.fire(Trip.DEADLINE, now)
        elif (cpu_left_s := self._cpu_limit_s - self.cpu_s) <= 0:
            self.fire(Trip.CPU, now)
        else:
            self.due = min(self._ends_at, now + cpu_left_s, now + _TICK_S)

    def fire(self, reason: Trip, now: float) -> None:
        """Set the hook and ask to be looked at again; the watchdog's lock is held."""
        if self.tripped is None:
            self.tripped, self._tripped_at = reason, now
        self._handle.set()
        self.due = now + _REPEAT_S

    def begin_crossing(self) -> None:
        """Note that values will cross, and give back the memory for them; the watchdog's lock is held."""
        self.crossing = True
        if self.tripped:
            self._handle.feed()

    def release(self) -> None:
        """Undo what was done to a tripped run's state; the watchdog's lock is held."""
        if self.tripped:
            self._handle.release()

    def _insist(self, now: float) -> None:
        self._handle.set()
        if now >= self._tripped_at + _STARVE_AFTER_S and not self.crossing:
            self._handle.starve()
        if self._on_stuck is not None and now >= self._tripped_at + self._grace_s:
            on_stuck, self._on_stuck = self._on_stuck, None
            on_stuck(self._label)
        self.due = now + _REPEAT_S

    def _look(self) -> None:
        self.peak_bytes = max(self.peak_bytes, self._handle.memory_bytes)


def _nobody_to_tell(_label: str) -> None:
    """The default of `Watchdog.on_stuck`."""


class Watchdog:
    """One daemon thread that watches every run of the process."""

    def __init__(self) -> None:
        self.on_stuck: Callable[[str], None] = _nobody_to_tell
        """Gets the label of each run that goes on past limit and grace, once. Must not block."""
        self._changed = threading.Condition()
        self._active: set[Watch] = set()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def arm(self, handle: Handle, label: str, *, timeout_s: float, cpu_s: float, grace_s: float) -> Watch:
        """Watch a run that starts now, in this thread; `label` is what `on_stuck` calls it."""
        watch = Watch(
            self, handle, timeout_s=timeout_s, cpu_s=cpu_s, grace_s=grace_s, label=label, on_stuck=self.on_stuck
        )
        with self._changed:
            self._active.add(watch)
            if watch.due < self._wakes_at:
                self._wake()
        return watch

    def trip(self, watch: Watch, reason: Trip) -> None:
        """Stop a run now."""
        with self._changed:
            if watch in self._active:
                watch.fire(reason, time.monotonic())
                self._wake()

    def begin_crossing(self, watch: Watch) -> None:
        """Leave the state its memory until the run clears `crossing`."""
        with self._changed:
            watch.begin_crossing()

    def disarm(self, watch: Watch) -> None:
        """Stop watching a run."""
        with self._changed:
            self._active.discard(watch)
            watch.release()

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # a forked child has no thread yet
            self._thread = threading.Thread(target=self._watch, name="picloud-watchdog", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for watch in self._active:
                    if watch.due <= now:
                        watch.check(now)
                # With nothing to watch it sleeps until armed; otherwise runs that end early cost no wake-up.
                self._wakes_at = min((watch.due for watch in self._active), default=float("inf"))
                self._changed.wait(None if self._wakes_at == float("inf") else max(0.0, self._wakes_at - now))


watchdog = Watchdog()
