"""A public suite of cases, run through Lua, and the page that says how each went.

A module `tests/conformance/test_*.py` takes part by having `SUITE`, a `Suite`, and `run() -> dict[str, str]`, which
returns what happened instead for each case that failed, by its name, and is cached; its own test says
`assert_as_expected(SUITE, run())`. Nothing else is needed to be on the page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import limits_of
from picloud.settings import Settings

DATA: Final = Path(__file__).parent / "data"
PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that come from elsewhere."""

    name: str
    source: str
    """Who made it, and how much of it there is here; one line of Markdown."""
    cases: tuple[str, ...]
    """Names of the cases."""
    expected_failures: Mapping[str, str]
    """Cases that PiCloud does not pass on purpose, with the reason."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """What PiCloud does where the suite leaves it open; Markdown."""


def read_data(name: str) -> Any:
    """Return a file of `data/`."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def run_in_lua(source: str, cases: Sequence[Any]) -> list[Any]:
    """Return `request.json`, a list of cases, as an endpoint of this source answers it: a list as long."""
    settings = Settings(run_calls_max=1_000_000, run_timeout_s=60, run_cpu_s=60)
    session = Interactive(_nothing_published, Executor(limits_of(settings)), "shop", print)
    session.define(Script("it", ScriptKind.ENDPOINT, source), (Route("POST", "/it", "it"),))
    answers: list[Any] = []
    for at in range(0, len(cases), _BATCH):
        body = json.dumps(cases[at : at + _BATCH]).encode()
        answers += json.loads(session.call("POST", "/it", body=body).body)
    assert len(answers) == len(cases)
    return answers


def assert_as_expected(suite: Suite, failures: Mapping[str, str]) -> None:
    """Check that all cases pass but those expected to fail, and that those do fail."""
    assert len(set(suite.cases)) == len(suite.cases) > 0
    unexpected = {name: what for name, what in failures.items() if name not in suite.expected_failures}
    assert not unexpected, dict(list(unexpected.items())[:10])
    assert set(failures) == set(suite.expected_failures)
    assert set(failures) <= set(suite.cases)


def render(results: Iterable[tuple[Suite, Mapping[str, str]]]) -> str:
    """Return the page about suites and what failed in each."""
    ordered = sorted(results, key=lambda result: result[0].name)
    parts = [_HEAD, *(_row(suite, failures) for suite, failures in ordered)]
    for suite, failures in ordered:
        parts += ["", f"## {suite.name}", "", suite.source]
        if failures:
            parts += ["", "Not passed, on purpose:", ""]
            reasons = Counter(suite.expected_failures[name] for name in failures)
            for reason, count in sorted(reasons.items()):
                names = sorted(name for name in failures if suite.expected_failures[name] == reason)
                parts.append(f"- {reason} ({count}: {', '.join(f'`{_shown(name)}`' for name in names)})")
        if suite.choices:
            parts += ["", "Where the suite leaves it open:", ""]
            parts += [f"- {what}: {choice}" for what, choice in suite.choices.items()]
    return "\n".join([*parts, ""])


_HEAD: Final = """\
# Conformance

Public test suites, run through Lua as scripts call the SDK, at each test run. `tests/conformance/data/README.md` says
where the cases come from. This page is written by the tests: a test fails when it does not say what they found, and
`PICLOUD_WRITE_DOCS=1 python -m pytest tests/conformance` writes it anew.

| suite | cases | passed | not passed, on purpose |
|---|---|---|---|"""


def _row(suite: Suite, failures: Mapping[str, str]) -> str:
    cases, failed = len(suite.cases), len(failures)
    return f"| {suite.name} | {cases} | {cases - failed} | {failed} |"


def _shown(name: str) -> str:
    return name.replace("`", "'").encode("unicode_escape").decode()


def _nothing_published(_name: str) -> Published:
    raise NotFound
