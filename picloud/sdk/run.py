"""What a function of the SDK knows of the run that calls it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from picloud.errors import InvalidInput
from picloud.sdk.spec import Phase

if TYPE_CHECKING:
    from picloud.storage.data import DataSession

OpenData = Callable[[], "DataSession"]
CLOCK_DIGITS: Final = 6
"""Of the seconds of a clock: a float since 1970 holds no more of them in our time."""
_STARTED_S: Final = time.monotonic()
"""What scripts measure from: they need not know since when the machine is up."""


class Run:
    """One run: its phase, its clock, its randomness and the data of its app. For one thread, but for `interrupt`."""

    __slots__ = (
        "_advanced_s", "_data", "_frozen_s", "_generator", "_interrupted", "_open_data", "last_uuid_v7", "phase",
    )  # fmt: skip

    def __init__(self, phase: Phase, open_data: OpenData | None = None) -> None:
        """Take what opens the data of the app, None when there is no database to open it in."""
        self.phase = phase
        self._open_data = open_data
        self._data: DataSession | None = None
        self._interrupted = False
        self._frozen_s: float | None = None
        self._advanced_s = 0.0
        self.last_uuid_v7 = 0
        """Time and random bits of the last one made, so that the next is greater."""
        self._generator: Callable[[int], bytes] = secrets.token_bytes

    @property
    def data(self) -> DataSession:
        """The app's data, opened at first use; raises `InvalidInput` where there is none."""
        if self._data is None:
            if self._open_data is None:
                raise InvalidInput("there is no database here")
            self._data = self._open_data()
            if self._interrupted:
                self._data.interrupt()
        return self._data

    @property
    def depth(self) -> int:
        """How many transactions are open within each other."""
        return 0 if self._data is None else self._data.depth

    def undo_to(self, depth: int) -> None:
        """Roll back the transactions begun since there were so many."""
        if self._data is not None:
            self._data.undo_to(depth)

    def now_s(self) -> float:
        """Seconds since 1970, of the system's clock or where a test has stopped it."""
        return time.time() if self._frozen_s is None else self._frozen_s

    def monotonic_s(self) -> float:
        """Seconds since some moment, never less than before; of a stopped clock, those it was advanced by."""
        return time.monotonic() - _STARTED_S if self._frozen_s is None else self._advanced_s

    def freeze(self, now_s: float) -> None:
        """Stop the clock of this run at a time, which may be before the last one."""
        self._frozen_s = now_s
        self.last_uuid_v7 = 0

    def advance(self, seconds: float) -> None:
        """Put the clock forward by seconds, to the microsecond; it stands still from then on."""
        self._frozen_s = round(self.now_s() + seconds, CLOCK_DIGITS)  # so that many small steps are where one is
        self._advanced_s = round(self._advanced_s + seconds, CLOCK_DIGITS)

    def random_bytes(self, count: int) -> bytes:
        """Return bytes nobody can guess, or those of the seed a test has set."""
        return self._generator(count)

    def seed(self, generator: Callable[[int], bytes]) -> None:
        """Take randomness from something else from now on."""
        self._generator = generator

    def interrupt(self) -> None:
        """End what a run that is being stopped waits for in the database, now and from now on; from any thread."""
        self._interrupted = True
        if (data := self._data) is not None:
            data.interrupt()

    def close(self) -> None:
        """Give back what the run has taken; an open transaction is rolled back."""
        if self._data is not None:
            self._data.close()
            self._data = None
