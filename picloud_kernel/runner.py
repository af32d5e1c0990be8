"""Does what a Lua cell asks for."""

from __future__ import annotations

from collections.abc import Callable

from picloud.engine.interactive import TestResult
from picloud.errors import TestsFailed
from picloud.model.release import TestSource
from picloud.publishing.annotated import annotated_endpoint
from picloud.publishing.cells import (
    AnnotatedCell,
    Call,
    Cell,
    Command,
    CommandCell,
    Cover,
    EndpointCell,
    ModuleCell,
    ScratchCell,
    TestCell,
)
from picloud_kernel.commands import Commands
from picloud_kernel.coverage import coverage_bundle
from picloud_kernel.display import Bundle, echo_bundle, response_bundle, text
from picloud_kernel.session import Session


class Runner:
    """Runs parsed cells on a session; outputs beside the cell's value go through `show`."""

    def __init__(self, session: Session, commands: Commands, show: Callable[[Bundle], None]) -> None:
        self._session = session
        self._commands = commands
        self._show = show
        self._sources: dict[str, str] = {}
        self._tests: dict[str, str] = {}
        self._annotations: dict[tuple[str, str], AnnotatedCell] = {}

    def source_of(self, script: str) -> str | None:
        """Return the text of a script, test or scratch cell of this session.

        None for others, and for a name that a script and a test share: an error names it without saying which.
        """
        texts = {texts[script] for texts in (self._sources, self._tests) if script in texts}
        return texts.pop() if len(texts) == 1 else None

    def run(self, cell: Cell, name: str, cell_id: str | None = None) -> Bundle | None:
        """Run the cell and return its value's display, if it has one; `name` is what tracebacks call a scratch cell.

        `cell_id` tells a cell that runs again from another one with the same annotation; None: its text does.

        Raises any `PicloudError`.
        """
        match cell:
            case ScratchCell(source):
                return self._scratch(source, name)
            case ModuleCell():
                self._module(cell)
            case EndpointCell():
                self._endpoint(cell)
            case AnnotatedCell():
                self._annotated(cell, cell_id)
            case TestCell():
                self._test(cell)
            case CommandCell(commands):
                for command in commands:
                    self._command(command)
        return None

    def evaluate(self, expression: str) -> Bundle:
        """Return the display of one Lua expression's value in the session; raises any `PicloudError`."""
        values = self._session.scratch.run(f"return ({expression}\n)", name="expression")
        return echo_bundle(values) or text("nil")

    def _scratch(self, source: str, name: str) -> Bundle | None:
        if not source.strip():
            return None
        self._sources[name] = source
        return echo_bundle(self._session.scratch.run(source, name=name))

    def _module(self, cell: ModuleCell) -> None:
        self._sources[cell.script.name] = cell.script.source
        self._session.app.define(cell.script)
        self._show(Bundle({"text/plain": f"module {cell.script.name}: draft"}))

    def _endpoint(self, cell: EndpointCell) -> None:
        self._sources[cell.script.name] = cell.script.source
        self._session.app.define(cell.script, (cell.route,))
        where = f"{cell.route.method} {cell.route.pattern}"
        self._show(Bundle({"text/plain": f"endpoint {cell.script.name}: draft, answers {where}"}))

    def _annotated(self, cell: AnnotatedCell, cell_id: str | None) -> None:
        """Define the endpoint that all cells of this annotation make together, in the order they came first."""
        app_name = self._session.app_name
        self._annotations[app_name, cell_id or cell.source] = cell
        cells = [
            found
            for (owner, _), found in self._annotations.items()
            if (owner, found.method, found.pattern) == (app_name, cell.method, cell.pattern)
        ]
        if all(found.is_response_info for found in cells):
            where = f"{cell.method} {cell.pattern}"
            self._show(Bundle({"text/plain": f"response info of {where}: waits for the cell '-- {where}'"}))
        else:
            self._endpoint(annotated_endpoint(cells))

    def _test(self, cell: TestCell) -> None:
        self._tests[cell.test.name] = cell.test.source
        self._session.app.define_test(cell.test)
        if cell.coverage:
            self._covered_test(cell.test)
            return
        result = self._session.app.test(cell.test)
        require_passed(result)
        self._show(text(result_line(result)))

    def _covered_test(self, test: TestSource) -> None:
        coverage = self._session.app.cover((test,))
        self._show(text(result_line(coverage.results[0])))
        self._show(coverage_bundle([script for script in coverage.scripts if script.loaded]))
        require_passed(coverage.results[0])

    def _command(self, command: Command) -> None:
        match command:
            case Call():
                self._show(self._call(command))
            case Cover():
                self._cover()
            case _:
                self._show(self._commands.run(command))

    def _cover(self) -> None:
        """Run all tests; a failed one fails the cell once everything is shown."""
        app = self._session.app
        coverage = app.cover(app.manifest().tests)
        lines = [result_line(result) for result in coverage.results]
        self._show(text("\n".join(lines) or "No tests yet: begin a cell with '%%test NAME'."))
        self._show(coverage_bundle(coverage.scripts, annotated=True))
        for result in coverage.results:
            require_passed(result)

    def _call(self, call: Call) -> Bundle:
        headers = {} if call.body is None else {"content-type": "application/json"}
        app = self._session.app if call.release is None else self._session.released(call.release)
        response = app.call(call.method, call.target, body=call.body or b"", headers=headers)
        return response_bundle(response)


def result_line(result: TestResult) -> str:
    """Say how a test went."""
    if not result.passed:
        why = result.error.message if result.error is not None else "it did not pass"
        return f"test {result.name} failed: {why}"
    assertions = "1 assertion" if result.assertions == 1 else f"{result.assertions} assertions"
    return f"test {result.name}: passed, {assertions}"


def require_passed(result: TestResult) -> None:
    """Raise `TestsFailed` for a test that did not pass."""
    if not result.passed:
        raise TestsFailed(result_line(result)) from result.error
