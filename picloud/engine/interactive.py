"""A session at the notebook: drafts in front of the published app, in the same engine, resolver and limits."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from picloud.engine.coverage import Coverage, CoveringExecutor
from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor, Observe
from picloud.engine.log import to_text
from picloud.engine.router import Router
from picloud.engine.run_input import RunInput
from picloud.engine.testing import TestResult, call_endpoint, run_test
from picloud.engine.validator import check_script
from picloud.errors import InvalidInput, MemoryLimitExceeded, NotFound, RunInterrupted, ScriptSyntaxError
from picloud.lua.compiler import syntax_error
from picloud.lua.state import HostCalls, LuaState, Scalar
from picloud.model.app import App, check_app_name, unpublished
from picloud.model.event import Verdicts
from picloud.model.http import Response
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route
from picloud.model.script import LinkedScript, Script, ScriptKind
from picloud.model.trigger import Trigger
from picloud.model.value import Value, plain, read_value
from picloud.modules.graph import ImportGraph
from picloud.modules.source import DraftOverlay, Snapshot
from picloud.syntax.echo import with_echo
from picloud.syntax.session_locals import SessionCell, with_session_locals

__all__ = ["Echo", "Field", "Interactive", "Look", "Screen", "TestResult"]

_LUA_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Echo:
    """One value of a cell's last expression, or of its `display`."""

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


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a cell defined."""

    is_test: bool
    name: str


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a cell shows values while it runs."""

    display: Callable[[Echo, str], None]
    """Shows a value, under an id."""
    update: Callable[[Echo, str], None]
    """Shows a value in place of what is shown under the id."""
    clear: Callable[[bool], None]
    """Takes away what the cell has shown; True: only when the next thing is shown."""


def _on_terminal(write: Callable[[str], None]) -> Screen:
    """Return what writes values one after the other, as text; nothing is taken back."""

    def display(echo: Echo, _id: str) -> None:
        write(echo.text + "\n")

    return Screen(display, display, lambda _wait: None)


class Interactive:
    """One author's session on one app; for one thread at a time, but for `interrupt`."""

    def __init__(
        self, current: Callable[[str], Published], executor: Executor, app_name: str, write: Callable[[str], None],
        observe: Observe | None = None, screen: Screen | None = None,
    ) -> None:  # fmt: skip
        """Take where scripts print, who gets the report of each run, and where cells show values; None: `write`."""
        self.app_name = check_app_name(app_name)
        self._current = current
        self._executor = executor
        self._write = write
        self._observe = observe
        self._screen = screen or _on_terminal(write)
        self._state: LuaState | None = None
        self._constants: set[str] = set()
        self._origins: dict[str, _Definition] = {}
        self._drafts: dict[str, LinkedScript] = {}
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._triggers: dict[str, tuple[Trigger, ...]] = {}
        self._tests: dict[str, TestSource] = {}

    def define(self, script: Script, routes: tuple[Route, ...] = (), triggers: tuple[Trigger, ...] = ()) -> None:
        """Put a script, its routes and its triggers in front of the published ones, for this session.

        Raises `InvalidScript`.

        A route that another draft had before belongs to this script from now on.
        """
        linked = LinkedScript(script, check_script(script).imports)
        taken = {(route.method, route.shape) for route in routes}
        for name, others in self._routes.items():
            self._routes[name] = tuple(r for r in others if (r.method, r.shape) not in taken)
        self._drafts[script.name] = linked
        self._routes[script.name] = routes
        self._triggers[script.name] = triggers

    def define_test(self, test: TestSource) -> None:
        """Keep a test for `manifest`."""
        self._tests[test.name] = test

    def settle(self, cell_id: str, *, script: str | None = None, test: str | None = None) -> str | None:
        """Note what a notebook's cell defines now, if anything; return what it alone defined before, gone from here."""
        now = None if script is test is None else _Definition(script is None, str(script or test))
        former = self._origins.pop(cell_id, None)
        if now is not None:
            self._origins = {cell: defined for cell, defined in self._origins.items() if defined != now}
            self._origins[cell_id] = now
        if former is None or former == now:
            return None
        if former.is_test:
            del self._tests[former.name]
            return f"test {former.name}"
        return _label(self._drop(former.name))

    def drop(self, script: str) -> None:
        """Take a draft with its routes and triggers out of this session, if there is one."""
        if script in self._drafts:
            self._drop(script)

    def _drop(self, script: str) -> Script:
        del self._routes[script], self._triggers[script]
        return self._drafts.pop(script).script

    def reset(self, *, drafts: bool) -> tuple[str, ...]:
        """Forget the variables, and the drafts if asked to; return the drafts forgotten."""
        self._state = None
        self._constants.clear()
        if not drafts:
            return ()
        manifest = self.manifest()
        for definitions in (self._drafts, self._routes, self._triggers, self._tests, self._origins):
            definitions.clear()
        return (*map(_label, manifest.scripts), *(f"test {test.name}" for test in manifest.tests))

    def manifest(self) -> Manifest:
        """Return everything defined in this session."""
        return Manifest(
            scripts=tuple(self._drafts[name].script for name in sorted(self._drafts)),
            routes=tuple(sorted(route for routes in self._routes.values() for route in routes)),
            tests=tuple(self._tests[name] for name in sorted(self._tests)),
            triggers=self._own_triggers(),
        )

    def draft(self, name: str) -> Script | None:
        """Return this session's draft of a script, None without one; from any thread."""
        linked = self._drafts.get(name)
        return None if linked is None else linked.script

    def _own_triggers(self) -> tuple[Trigger, ...]:
        own = (trigger for triggers in self._triggers.values() for trigger in triggers)
        return tuple(sorted(own, key=lambda trigger: trigger.name))

    def graph(self, live: Manifest) -> ImportGraph:
        """Return who requires whom: this session's drafts and tests, and what is live behind them."""
        tests = {test.name: test for test in live.tests} | self._tests
        behind = {t.name: t for t in live.triggers if t.script not in self._drafts}
        triggers = behind | {trigger.name: trigger for trigger in self._own_triggers()}
        return ImportGraph.of(self._scripts(), self._view()[2], triggers.values(), tests.values())

    def run(self, source: str, *, name: str = "cell") -> tuple[Echo, ...]:
        """Run scratch code; return the values of its last expression.

        Its variables stay for the next cell, also those it declares as `local` at its top level.
        """
        values: list[Echo] = []

        def echo(kind: bytes, shown: bytes) -> tuple[Scalar, ...]:
            if kind != b"nil":
                values.append(_echo(kind, shown))
            return ()

        self._run(b"cell", name, self._kept(_echoed(source, name), name), {b"echo": echo})
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

    def evaluate(self, source: str, values: Mapping[str, Any], *, name: str) -> tuple[Any, ...]:
        """Run scratch code that has `values` as locals; return its values.

        What crosses is JSON in both directions; None is nil. Raises `InvalidInput` for a value without JSON.
        """
        for variable in values:
            if not _LUA_NAME.fullmatch(variable) or not _is_lua(f"local {variable}"):
                raise InvalidInput(f"{variable[:80]!r} cannot name a variable of Lua.")
        results: list[Any] = []

        def result(text: bytes) -> tuple[Scalar, ...]:
            results.append(json.loads(text))
            return ()

        given = _to_json(values)
        text = _echoed(source, name)
        first = 1 if text == source else 2  # the echo returns a nil before the values
        head = f"local {', '.join(values)} = ... " if values else ""
        cell = self._kept(text, name)
        self._run(
            b"evaluate", name, replace(cell, source=head + cell.source), {b"result": result}, given, len(values), first
        )
        return tuple(results)

    def _kept(self, text: str, name: str) -> SessionCell:
        """Return what runs a cell's text: what it declares as local at its top level stays."""
        as_written = SessionCell(text, {}, frozenset())
        if not _is_lua(text):
            return as_written
        cell = with_session_locals(text)
        if not _is_lua(cell.source):  # the two parsers disagree: then the locals end with the cell
            return as_written
        self._check_constants(text, cell, name)
        self._constants -= cell.declared.keys()
        self._constants |= {variable for variable, is_constant in cell.declared.items() if is_constant}
        return cell

    def _check_constants(self, text: str, cell: SessionCell, name: str) -> None:
        """Refuse what Lua would refuse had the constants of earlier cells been declared in this one."""
        for constant in sorted(self._constants & cell.assigned):
            found = syntax_error(f"local {constant} <const> = nil; return function(...) {text}\nend")
            if found is not None:
                line = min(found[0], text.count("\n") + 1)  # of a function that ends the cell, Lua tells the line after
                raise ScriptSyntaxError(f"{name}:{line}: {found[1]}", script=name)

    def _run(self, operation: bytes, name: str, cell: SessionCell, calls: HostCalls, *arguments: Scalar) -> None:
        if self._state is None:
            self._state = self._executor.new_state()
        app, scripts, _routes = self._view()
        calls = {**self._screen_calls(), **calls}
        declared = " ".join(cell.declared)
        try:
            self._executor.cell(
                self._state, app, operation, name, cell.source, scripts, calls, declared, *arguments,
                write=self._write, observe=self._observe,
            )  # fmt: skip
        except MemoryLimitExceeded as error:
            if declared:
                self._constants -= cell.declared.keys()
                error.args = (f"{error.message} The variables it declared are forgotten: {', '.join(cell.declared)}.",)
            raise

    def _screen_calls(self) -> HostCalls:
        shown_max = self._executor.limits.run.response_bytes
        shown = 0

        def count(text: bytes) -> None:
            nonlocal shown
            shown += len(text)
            if shown > shown_max:
                raise InvalidInput(f"display: the run has shown more than {shown_max} bytes")

        def display(kind: bytes, text: bytes) -> tuple[Scalar, ...]:
            count(text)
            self._screen.display(_echo(kind, text), display_id := uuid.uuid4().hex)
            return (display_id,)

        def update(display_id: bytes, kind: bytes, text: bytes) -> tuple[Scalar, ...]:
            count(text)
            self._screen.update(_echo(kind, text), display_id.decode())
            return ()

        def clear(wait: bool) -> tuple[Scalar, ...]:
            self._screen.clear(wait)
            return ()

        return {b"display": display, b"update_display": update, b"clear_output": clear}

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

    def replay(
        self, script: str, given: RunInput, verdicts: Verdicts, *, timeout_s: float | None = None
    ) -> Response | None:
        """Run a draft, else what is live, on what an earlier run was given; nothing it stores stays.

        Returns the answer to a request. What the script says of messages is in `verdicts` also when it fails;
        `timeout_s` is the limit of its trigger. Raises `NotFound` when there is no such endpoint, else as `Executor`.
        """
        app, source, _routes = self._view()
        linked = source.find(script)
        if linked is None or linked.script.kind is not ScriptKind.ENDPOINT:
            raise NotFound(
                f"There is no endpoint {script!r} any more, neither here nor live: define it in a cell, then replay."
            )
        if given.request is not None:
            return self._executor.endpoint(
                app, linked, source, given.request, given.params,
                write=self._write, observe=self._observe, discard=True,
            )  # fmt: skip
        self._executor.trigger(
            app, linked, source, given.messages, verdicts,
            emit=to_text(self._write), timeout_s=timeout_s, observe=self._observe, discard=True,
        )  # fmt: skip
        return None

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


def _is_lua(text: str) -> bool:
    return syntax_error(text) is None


def _label(script: Script) -> str:
    return f"{script.kind} {script.name}"


def _echo(kind: bytes, shown: bytes) -> Echo:
    return Echo(_text(kind), read_value(_text(shown)))


def _echoed(source: str, name: str) -> str:
    try:
        source.encode()
    except UnicodeEncodeError:
        raise ScriptSyntaxError("The text holds half of a surrogate pair.", script=name) from None
    return with_echo(source, _is_lua)


def _to_json(values: Mapping[str, Any]) -> str:
    texts = []
    for name, value in values.items():
        try:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False)
            text.encode()
            json.loads(text, parse_int=_check_integer)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(
                f"{name} cannot go to Lua ({error}): pass None, booleans, numbers, strings, lists and dicts."
            ) from None
        texts.append(text)
    return f"[{','.join(texts)}]"


def _check_integer(digits: str) -> None:
    if not -(2**63) <= int(digits) < 2**63:
        raise ValueError("an integer of Lua has 64 bits")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
