"""Ends the runs of deliveries that a later tick has cancelled, in whichever process they go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from picloud.engine.interruption import Interruption
from picloud.errors import DatabaseUnavailable
from picloud.model.trigger import TriggerKind
from picloud.storage.deliveries import Delivery, DeliveryRepository, Key

LOOK_S: Final = 0.2
"""How often it looks while runs of ticks go on here; one that ends before costs no look."""

_log = logging.getLogger(__name__)


class Cancellations:
    """Looks after the runs of this process."""

    def __init__(self, deliveries: DeliveryRepository) -> None:
        self._deliveries = deliveries
        self._lock = threading.Lock()
        self._runs: dict[Interruption, Key] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def reaching(self, delivery: Delivery) -> Iterator[Interruption | None]:
        """Yield what the delivery's run is to be given, so that it ends when the delivery is cancelled.

        None where nothing cancels it.
        """
        if delivery.event.kind is not TriggerKind.CRON:
            yield None
            return
        interruption = Interruption()
        with self._lock:
            self._runs[interruption] = delivery.key
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="picloud cancellations", daemon=True)
                self._thread.start()
        try:
            yield interruption
        finally:
            with self._lock:
                del self._runs[interruption]

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_S):
            with self._lock:
                runs = list(self._runs.items())
                if not runs:
                    self._thread = None
                    return
            self._look(runs)

    def _look(self, runs: list[tuple[Interruption, Key]]) -> None:
        try:
            cancelled = self._deliveries.cancelled()
            for interruption, key in runs:
                if key in cancelled:
                    interruption.interrupt()
        except DatabaseUnavailable:  # which has said so in the log
            pass
        except Exception:  # nobody else would look
            _log.exception("Looking for cancelled runs failed", extra={"action": "cancellations_failed"})
