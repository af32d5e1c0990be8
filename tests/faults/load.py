"""Clients that cause events, and know of each request what became of it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import httpx

from tests.faults.app import APP, FAILS_MAX, KEYS, PATH

CLIENTS: Final = 4
DOOMED: Final = 0.1
"""The part of requests that cause an event whose script always fails."""
ANSWER_TIMEOUT_S: Final = 20.0


class Fate(StrEnum):
    """What the client knows of a request."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Nobody took the connection: nothing may have happened."""
    UNKNOWN = "unknown"
    """It may have happened, or not."""


class Load:
    """What all clients know. `rate` is how many requests they make per second, as long as they are answered at once."""

    def __init__(self, url: str, seed: int, rate: float) -> None:
        self.fates: dict[str, Fate] = {}
        self.answers: Counter[str] = Counter()
        """Requests by status, or by what was raised."""
        self._url = f"{url}/run/{APP}{PATH}"
        self._seed, self._pause_s = seed, 2 * CLIENTS / rate
        self._over = threading.Event()
        self._adding = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make requests until the end of the block."""
        threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _ask(self, client: int) -> None:
        chance = random.Random(f"{self._seed} {client}")
        number = 0
        with httpx.Client(timeout=ANSWER_TIMEOUT_S, trust_env=False) as http:
            while not self._over.wait(chance.uniform(0, self._pause_s)):
                number += 1
                request = f"{client}-{number}"
                fate, answer = self._one(http, request, chance)
                with self._adding:
                    self.fates[request] = fate
                    self.answers[answer] += 1

    def _one(self, http: httpx.Client, request: str, chance: random.Random) -> tuple[Fate, str]:
        content = {
            "id": request,
            "key": f"k{chance.randrange(KEYS)}",
            "fails": chance.randrange(FAILS_MAX + 1),
            "doomed": chance.random() < DOOMED,
        }
        try:
            status = http.post(self._url, json=content).status_code
        except httpx.ConnectError:
            return Fate.REFUSED, "not connected"
        except httpx.TransportError as error:
            return Fate.UNKNOWN, type(error).__name__
        return Fate.ACKNOWLEDGED if status == 200 else Fate.UNKNOWN, str(status)
