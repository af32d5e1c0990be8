"""Which changed scripts each test reaches: by `require`, and by the endpoints it names in `call("METHOD", "PATH")`.

What a computed path calls cannot be known, so this informs; the gate runs all tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from picloud.engine.router import Router
from picloud.errors import MethodNotAllowed, NotFound
from picloud.model.release import Manifest, TestSource
from picloud.modules.graph import ImportGraph
from picloud.syntax.calls import literal_calls


@dataclass(frozen=True, slots=True)
class PlannedTest:
    """A test that a publish will run."""

    name: str
    reaches: tuple[str, ...]
    """Names of the changed scripts it is known to reach, at any distance; by name."""


def planned_tests(graph: ImportGraph, manifest: Manifest, touched: set[str]) -> tuple[PlannedTest, ...]:
    """Return the manifest's tests, with the touched scripts each reaches."""
    router = Router(manifest.routes)

    def reaches(test: TestSource) -> tuple[str, ...]:
        start = {*graph.tests[test.name], *_called(router, test)}
        return tuple(sorted(touched & graph.required_by(start)))

    return tuple(PlannedTest(test.name, reaches(test) if touched else ()) for test in manifest.tests)


def _called(router: Router, test: TestSource) -> Iterator[str]:
    """Yield the endpoints a test calls by literal method and path."""
    for method, target in literal_calls(test.source):
        path = unquote(target.partition("?")[0])
        if path.startswith("/"):
            try:
                yield router.match(method.upper(), path)[0].script
            except (NotFound, MethodNotAllowed):  # tests of just that
                continue
