"""Who requires whom in one app, and what a change of one script reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from picloud.errors import NotFound
from picloud.model.release import TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, ScriptKind
from picloud.model.trigger import Trigger
from picloud.syntax.imports import imports_of


@dataclass(frozen=True, slots=True)
class ImportGraph:
    """The scripts of an app with what they require, and what leads to them. Endpoints that tests call are not told."""

    kinds: Mapping[str, ScriptKind]
    """The scripts there are."""
    imports: Mapping[str, tuple[str, ...]]
    """What each script requires, whether there is such a module or not."""
    routes: tuple[Route, ...]
    triggers: tuple[Trigger, ...]
    tests: Mapping[str, tuple[str, ...]]
    """What each test requires."""

    @classmethod
    def of(
        cls,
        scripts: Mapping[str, LinkedScript],
        routes: Iterable[Route],
        triggers: Iterable[Trigger],
        tests: Iterable[TestSource],
    ) -> ImportGraph:
        """Return the graph of an app's parts."""
        return cls(
            {name: scripts[name].script.kind for name in sorted(scripts)},
            {name: scripts[name].imports for name in sorted(scripts)},
            tuple(sorted(routes)),
            tuple(sorted(triggers, key=lambda trigger: trigger.name)),
            {test.name: imports_of(test.source) for test in sorted(tests, key=lambda test: test.name)},
        )

    def has_module(self, name: str) -> bool:
        """Tell whether requiring this name finds something."""
        return self.kinds.get(name) is ScriptKind.MODULE

    def importers(self, names: Iterable[str]) -> frozenset[str]:
        """Return the other scripts that require one of these names at any distance; the names need not exist.

        A path goes through modules only: nothing can require an endpoint.
        """
        by_import: dict[str, list[str]] = {}
        for name, imports in self.imports.items():
            for required in imports:
                by_import.setdefault(required, []).append(name)
        start = frozenset(names)
        reached, pending = set(start), list(start)
        while pending:
            found = [name for name in by_import.get(pending.pop(), ()) if name not in reached]
            reached.update(found)
            pending.extend(name for name in found if self.has_module(name))
        return frozenset(reached - start)

    def required_by(self, names: Iterable[str]) -> frozenset[str]:
        """Return these scripts and all that they require, at any distance; the names need not exist."""
        reached = set(names)
        pending = list(reached)
        while pending:
            found = [name for name in self.imports.get(pending.pop(), ()) if name not in reached]
            reached.update(found)
            pending.extend(found)
        return frozenset(reached)

    def reach(self, names: Iterable[str]) -> frozenset[str]:
        """Return these scripts and all that reaches them, each as a plan names it: `module greet`, `test greets`."""
        start = frozenset(names)
        kept = start | self.importers(start)
        scripts = {f"{kind} {name}" for name, kind in self.kinds.items() if name in kept}
        routes = {f"route {route.method} {route.pattern}" for route in self.routes if route.script in kept}
        triggers = {f"trigger {trigger.name}" for trigger in self.triggers if trigger.script in kept}
        tests = {f"test {name}" for name, imports in self.tests.items() if not kept.isdisjoint(imports)}
        return frozenset(scripts | routes | triggers | tests)

    def reaching(self, name: str) -> ImportGraph:
        """Return the part that reaches a script, itself included: its blast radius. Raises `NotFound`."""
        if name not in self.kinds:
            raise NotFound(f"The app has no script {name[:80]!r}.")
        kept = (self.importers([name]) if self.has_module(name) else frozenset()) | {name}
        inside = {script: tuple(i for i in imports if i in kept) for script, imports in self.imports.items()}
        tests = {test: tuple(i for i in imports if i in kept) for test, imports in self.tests.items()}
        return ImportGraph(
            {script: kind for script, kind in self.kinds.items() if script in kept},
            {script: imports for script, imports in inside.items() if script in kept},
            tuple(route for route in self.routes if route.script in kept),
            tuple(trigger for trigger in self.triggers if trigger.script in kept),
            {test: imports for test, imports in tests.items() if imports},
        )
