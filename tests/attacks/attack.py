"""A hostile script and what must become of it, read from the script's head.

The head is its first line, `-- expect: CODE[|CODE...] ["BODY"] [NAME VALUE]...`: CODE is an error, or `ok` with the
answer's text after it. The names are those of `OPTIONS`, and `as test` runs it as a test instead of an endpoint.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MEMORY_MB: Final = 8
TIMEOUT_S: Final = 0.3
PATIENT_TIMEOUT_S: Final = 10.0
"""The time limit where another end is expected: on a loaded machine the wall clock would come first."""
CPU_S: Final = 5.0
LIMITS: Final = {"run_memory_mb": MEMORY_MB, "run_timeout_s": TIMEOUT_S, "run_cpu_s": CPU_S}
LATE_S: Final = 0.05
"""CPU seconds past its time limit a run may take to end, when a tenth of the limit is less."""

MODULES: Final = {
    "greet": 'return { hello = function() return "hello" end }',
    "memo": "local known = {} return { put = function(k, v) known[k] = v end, get = function(k) return known[k] end }",
}
"""What attacks and the probe require."""

SETTINGS: Final = {
    "memory": "run_memory_mb",
    "timeout": "run_timeout_s",
    "cpu": "run_cpu_s",
    "calls": "run_calls_max",
    "log": "run_log_lines_max",
    "response": "response_max_mb",
}
"""The settings a head may name."""
OPTIONS: Final = {*SETTINGS, "within", "as"}
"""`within`: the CPU seconds the run may take in all, where a single step in C is longer than the limit allows."""

_HEAD = re.compile(r"-- expect: (?P<codes>[\w|]+)(?: (?P<body>\"[^\"]*\"))?(?P<options>(?: [a-z]+ [\w.]+)*)\n")


@dataclass(frozen=True)
class Attack:
    """One script with what must become of it."""

    source: str
    codes: tuple[str, ...]
    body: str | None
    within_s: float
    """CPU seconds of its thread."""
    kind: str
    settings: dict[str, float] = field(default_factory=dict)
    is_usual: bool = True
    """Whether it names no setting: `LIMITS` are meant for it, too."""


def read_attack(path: Path) -> Attack:
    source = path.read_text()
    head = _HEAD.match(source)
    assert head is not None, f"{path.name} does not say what to expect"
    words = head["options"].split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options.keys() <= OPTIONS, f"{path.name} names unknown options: {options.keys() - OPTIONS}"
    codes = tuple(head["codes"].split("|"))
    own = {SETTINGS[name]: float(value) for name, value in options.items() if name in SETTINGS}
    settings: dict[str, float] = LIMITS | own
    limit_s = min(settings["run_timeout_s"], settings["run_cpu_s"])
    if "time_limit_exceeded" not in codes and "timeout" not in options:
        settings["run_timeout_s"] = PATIENT_TIMEOUT_S  # the CPU seconds stay bounded by `within_s`
    return Attack(
        source=source,
        codes=codes,
        body=json.loads(head["body"]) if head["body"] else None,
        within_s=float(options.get("within", limit_s + max(limit_s / 10, LATE_S))),
        kind=options.get("as", "endpoint"),
        settings=settings,
        is_usual=not own,
    )
