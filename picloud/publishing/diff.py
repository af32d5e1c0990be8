"""What changed between two manifests, entry by entry, as unified diffs of bounded size. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

CONTEXT_LINES: Final = 3
COMPARED_MAX: Final = 1000
"""Lines compared one by one; between longer texts, but for what begins and ends alike, all counts as replaced.
The comparison takes time that grows with the square."""
LINES_MAX: Final = 400
"""Lines of one entry's diff."""
TOTAL_LINES_MAX: Final = 4000
"""Lines of all entries' diffs together."""
LINE_MAX: Final = 500
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one entry differs."""

    entry: str
    """As a plan names it: `module greet`."""
    lines: tuple[str, ...]
    """Of a unified diff: `@@` lines, and lines that begin with a blank, `+` or `-`."""
    left_out: int = 0
    """Lines the diff has beyond those."""


def changes(before: dict[str, str], after: dict[str, str], entries: Iterable[str]) -> tuple[Change, ...]:
    """Return how these entries differ; a side that lacks one counts as empty. Entries map to their texts."""
    found, left = [], TOTAL_LINES_MAX
    for entry in entries:
        lines = _unified(_lines(before.get(entry)), _lines(after.get(entry)), COMPARED_MAX if left else 0)
        shown = min(len(lines), LINES_MAX, left)
        left -= shown
        found.append(Change(entry, tuple(_cut(line) for line in lines[:shown]), len(lines) - shown))
    return tuple(found)


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def _cut(line: str) -> str:
    return line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}... ({len(line) - LINE_MAX} more characters)"


def _unified(old: Sequence[str], new: Sequence[str], compared_max: int) -> list[str]:
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    if max(len(old_middle), len(new_middle)) <= compared_max:
        first, more = max(0, start - CONTEXT_LINES), CONTEXT_LINES - end
        return _compared(old[first : len(old) + more], new[first : len(new) + more], first)
    replaced = [*(f"-{line}" for line in old_middle), *(f"+{line}" for line in new_middle)]
    return [f"@@ -{start + 1},{len(old_middle)} +{start + 1},{len(new_middle)} @@", *replaced]


def _compared(old: Sequence[str], new: Sequence[str], first: int) -> list[str]:
    """Return the diff of parts that begin after `first` lines of their texts."""
    lines: list[str] = []
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT_LINES):
        old_range = _range(group[0][1] + first, group[-1][2] + first)
        lines.append(f"@@ -{old_range} +{_range(group[0][3] + first, group[-1][4] + first)} @@")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [f" {line}" for line in old[i1:i2]]
                continue
            lines += [f"-{line}" for line in old[i1:i2]]
            lines += [f"+{line}" for line in new[j1:j2]]
    return lines


def _range(start: int, stop: int) -> str:
    """Return lines of a text as a unified diff names them: the first and how many; none are after the line before."""
    return f"{start + (stop > start)},{stop - start}"


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many lines both begin with."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
