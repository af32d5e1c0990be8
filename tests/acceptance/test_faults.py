"""Kill -9 of everything there is, under load: every event is accounted for, and no attempt charged.

`benchmarks/faults.py` is the long form.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.app import CANCELLING, SCHEDULES
from tests.faults.books import audit
from tests.faults.drill import WEIGHTS, drill
from tests.faults.load import Fate


@pytest.mark.timeout(420)
def test_every_event_is_accounted_for_whatever_is_killed(tmp_path: Path) -> None:
    report = drill(seconds=20, seed=7, pause_s=2, rate=6, logs=tmp_path)
    assert report.findings == [], "\n".join(report.lines())
    assert report.faults.keys() == WEIGHTS.keys()
    books, fates = report.books, report.load.fates
    assert sum(fate is Fate.ACKNOWLEDGED for fate in fates.values()) > 20
    assert any(tick.is_cancelled for tick in books.ticks[CANCELLING])
    # What the books are checked for is found: each of these leaves out, doubles or bends one entry.
    [letter, *letters] = books.letters
    note = next(note for note in books.done if note.trigger not in SCHEDULES)
    others = [other for other in books.done if other is not note]
    for bent in (
        replace(books, ledger=dict(list(books.ledger.items())[1:])),
        replace(books, done=others),
        replace(books, done=[*books.done, note]),
        replace(books, done=[replace(note, attempt=note.attempt + 1), *others]),
        replace(books, letters=letters),
        replace(books, letters=[replace(letter, codes=("platform_error", *letter.codes[1:])), *letters]),
        replace(books, starts=[*books.starts, replace(books.starts[-1], attempt=7)]),
        replace(books, starts=[replace(s, seq=-s.seq) for s in books.starts]),
        replace(books, ticks={name: [*ticks[:1], *ticks[2:]] for name, ticks in books.ticks.items()}),
        replace(books, left={"deliveries": 1}),
    ):
        assert audit(bent, fates)
