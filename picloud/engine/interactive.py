"""A session at the notebook: drafts in front of the published app, in the same engine, resolver and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from picloud.engine.coverage import Coverage, CoveringExecutor
from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor, Observe
from picloud.engine.router import Router
from picloud.engine.testing import TestResult, call_endpoint, run_test
from picloud.engine.validator import check_script
from picloud.errors import NotFound, RunInterrupted, ScriptSyntaxError
from picloud.lua.compiler import syntax_error
from picloud.lua.state import LuaState, Scalar
from picloud.model.app import App, check_app_name, unpublished
from picloud.model.http import Response
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script
from picloud.model.value import Value, plain, read_value
from picloud.modules.graph import ImportGraph
from picloud.modules.source import DraftOverlay, Snapshot
from picloud.syntax.echo import with_echo

__all__ = ["Echo", "Field", "Interactive", "Look", "TestResult"]


@dataclass(frozen=True, slots=True)
class Echo:
    """One value of a cell's last expression."""

    type: str
    """Lua's name of the type."""
    value: Value

    @property
    def text(self) -> str:
        """Readable; a table as an indented tree."""
        return plain(self.value)


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a session, as it can be told without running anything."""

    type: str
    """Lua's name of the type."""
    parameters: str
    """`(name, ...)` of a function, else empty."""
    text: str
    """A number, a boolean or the beginning of a string as Lua writes it, else empty."""


@dataclass(frozen=True, slots=True)
class Look(Field):
    """A value with what is in it."""

    script: str
    """The script or cell a function is written in, else empty."""
    line: int
    """Where it begins there, from 1; 0 for other values."""
    fields: Mapping[str, Field]
    """Of a table, those with names, inherited ones included; of a string, its methods."""


class Interactive:
    """One author's session on one app; for one thread, but for `interrupt`."""

    def __init__(
        self, current: Callable[[str], Published], executor: Executor, app_name: str, write: Callable[[str], None],
        observe: Observe | None = None,
    ) -> None:  # fmt: skip
        self.app_name = check_app_name(app_name)
        self._current = current
        self._executor = executor
        self._write = write
        self._observe = observe
        self._state: LuaState | None = None
        self._drafts: dict[str, LinkedScript] = {}
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._tests: dict[str, TestSource] = {}

    def define(self, script: Script, routes: tuple[Route, ...] = ()) -> None:
        """Put a script and its routes in front of the published ones, for this session; raise `InvalidScript`.

        A route that another draft had before belongs to this script from now on.
        """
        linked = LinkedScript(script, check_script(script).imports)
        taken = {(route.method, route.shape) for route in routes}
        for name, others in self._routes.items():
            self._routes[name] = tuple(r for r in others if (r.method, r.shape) not in taken)
        self._drafts[script.name] = linked
        self._routes[script.name] = routes

    def define_test(self, test: TestSource) -> None:
        """Keep a test for `manifest`."""
        self._tests[test.name] = test

    def manifest(self) -> Manifest:
        """Return everything defined in this session."""
        return Manifest(
            scripts=tuple(self._drafts[name].script for name in sorted(self._drafts)),
            routes=tuple(sorted(route for routes in self._routes.values() for route in routes)),
            tests=tuple(self._tests[name] for name in sorted(self._tests)),
        )

    def draft(self, name: str) -> Script | None:
        """Return this session's draft of a script, None without one; from any thread."""
        linked = self._drafts.get(name)
        return None if linked is None else linked.script

    def graph(self, live_tests: Iterable[TestSource]) -> ImportGraph:
        """Return who requires whom: this session's drafts and tests, and what is live behind them."""
        tests = {test.name: test for test in live_tests} | self._tests
        return ImportGraph.of(self._scripts(), self._view()[2], tests.values())

    def run(self, source: str, *, name: str = "cell") -> tuple[Echo, ...]:
        """Run scratch code; return the values of its last expression. Globals stay for the next cell."""
        try:
            source.encode()
        except UnicodeEncodeError:
            raise ScriptSyntaxError("The text holds half of a surrogate pair.", script=name) from None
        if self._state is None:
            self._state = self._executor.new_state()
        values: list[Echo] = []

        def echo(kind: bytes, shown: bytes) -> tuple[Scalar, ...]:
            if kind != b"nil":
                values.append(Echo(_text(kind), read_value(_text(shown))))
            return ()

        text = with_echo(source, lambda candidate: syntax_error(candidate) is None)
        app, scripts, _routes = self._view()
        self._executor.cell(self._state, app, name, text, scripts, echo, write=self._write, observe=self._observe)
        return tuple(values)

    def look(self, *path: str) -> Look | None:
        """Return what is at a path of names from the session's globals; None when nothing is.

        Without names it is the globals. Nothing is run, no metamethod either. Not while a cell runs.
        """
        found = () if self._state is None else self._executor.look(self._state, path)
        if not found:
            return None
        kind, parameters, text, script, line, fields = found
        rows = (row.split("\t", 3) for row in fields.split("\n") if row)
        return Look(kind, parameters, text, script, int(line), {name: Field(*rest) for name, *rest in rows})

    def view(self) -> tuple[Mapping[str, Script], tuple[Route, ...]]:
        """Return the scripts by name, and the routes: this session's drafts and what is live behind them."""
        _app, overlay, routes = self._view()
        scripts = {**self._published().snapshot.scripts, **overlay.drafts}
        return {name: linked.script for name, linked in scripts.items()}, routes

    def call(
        self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Answer a request from the drafts, else from the published app; raises as `Dispatcher` does."""
        app, source, routes = self._view()
        return call_endpoint(
            self._executor,
            app,
            source,
            routes,
            method,
            target,
            body=body,
            headers=headers,
            write=self._write,
            observe=self._observe,
        )

    def test(self, test: TestSource) -> TestResult:
        """Run a test against the drafts."""
        app, source, routes = self._view()
        return run_test(self._executor, app, source, routes, test, write=self._write, observe=self._observe)

    def cover(self, tests: Iterable[TestSource]) -> Coverage:
        """Run tests against the drafts and tell which lines of each script they reach; raise `RunInterrupted`."""
        app, source, routes = self._view()
        executor = CoveringExecutor(self._executor)
        results = []
        for test in tests:
            result = run_test(executor, app, source, routes, test, write=self._write, observe=self._observe)
            if isinstance(result.error, RunInterrupted):
                raise result.error
            results.append(result)
        scripts = self._scripts()
        return Coverage(tuple(results), tuple(executor.coverage_of(scripts[name]) for name in sorted(scripts)))

    def interrupt(self) -> None:
        """End what runs now with `RunInterrupted`, from any thread; variables are kept."""
        self._executor.interrupt()

    def _view(self) -> tuple[App, DraftOverlay, tuple[Route, ...]]:
        snapshot = self._published().snapshot
        drafts = tuple(route for routes in self._routes.values() for route in routes)
        taken = {(route.method, route.shape) for route in drafts}
        behind = tuple(
            route
            for route in snapshot.routes
            if (route.method, route.shape) not in taken and route.script not in self._drafts
        )
        return snapshot.app, DraftOverlay(self._drafts, snapshot), drafts + behind

    def _scripts(self) -> dict[str, LinkedScript]:
        """Return the drafts, and what is live behind them, by name."""
        return {**self._published().snapshot.scripts, **self._drafts}

    def _published(self) -> Published:
        try:
            return self._current(self.app_name)
        except NotFound:  # not published yet: the drafts are all there is
            return Published(Snapshot(unpublished(self.app_name), {}, ()), Router(()))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
