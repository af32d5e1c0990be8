"""Does what a Lua cell asks for."""

from __future__ import annotations

from collections.abc import Callable

from picloud.engine.explain import Explanation, explain
from picloud.engine.testing import TestResult
from picloud.errors import NotFound, PicloudError, ScriptError, TestsFailed
from picloud.model.event import Verdicts
from picloud.model.http import Response
from picloud.model.release import TestSource
from picloud.publishing.annotated import annotated_endpoint
from picloud.publishing.cells import (
    AnnotatedCell,
    Call,
    Cell,
    Command,
    CommandCell,
    Cover,
    Dashboard,
    EndpointCell,
    ModuleCell,
    Replay,
    Reset,
    RunTests,
    ScratchCell,
    TestCell,
    TriggerCell,
)
from picloud.syntax.caret import names_in
from picloud.web.problems import Audience, answer_to
from picloud_kernel.commands import Commands
from picloud_kernel.coverage import coverage_bundle
from picloud_kernel.dashboard import Desk, Panel
from picloud_kernel.display import Bundle, echo_bundle, response_bundle, text
from picloud_kernel.results import failed_bundle, passed_bundle, results_bundle
from picloud_kernel.runs import verdict_text
from picloud_kernel.session import Session

SCRATCHES_MAX = 200
"""Scratch cells whose texts errors can be explained with."""
REQUEST_ID_SHOWN = "..."
"""In place of a request's id, so that a notebook's outputs are the same at every run."""


TAKEN_BACK = "What it stored was taken back."
"""Said after each replay, which is a transaction that is rolled back."""


class Runner:
    """Runs parsed cells on a session; outputs beside the cell's value go through `show`."""

    def __init__(self, session: Session, commands: Commands, show: Callable[[Bundle], None]) -> None:
        self._session = session
        self._commands = commands
        self._show = show
        self._scratches: dict[str, str] = {}
        self._modules: set[str] = set()
        self._tests: dict[str, str] = {}
        self._annotations: dict[tuple[str, str], AnnotatedCell] = {}
        self._panels: dict[str, Panel] = {}

    def source_of(self, script: str) -> str | None:
        """Return the text of a script, test or scratch cell of this session.

        None for others, and for a name that a script and a test share: an error names it without saying which.
        """
        texts = {texts[script] for texts in (self._scratches, self._tests) if script in texts}
        draft = self._session.opened.draft(script) if self._session.opened is not None else None
        if draft is not None:
            texts.add(draft.source)
        return texts.pop() if len(texts) == 1 else None

    def run(self, cell: Cell, name: str, cell_id: str | None = None) -> Bundle | None:
        """Run the cell and return its value's display, if it has one; `name` is what tracebacks call a scratch cell.

        `cell_id` tells a cell that runs again from another one with the same annotation; None: its text does.

        Raises any `PicloudError`.
        """
        match cell:
            case ScratchCell(source):
                self.let_go(cell_id)
                return self._scratch(source, name)
            case ModuleCell():
                self._module(cell, cell_id)
            case EndpointCell():
                self._endpoint(cell, cell_id)
            case AnnotatedCell():
                self._annotated(cell, cell_id)
            case TriggerCell():
                self._trigger(cell, cell_id)
            case TestCell():
                self._test(cell, cell_id)
            case CommandCell(commands):
                self.let_go(cell_id)
                for command in commands:
                    self._command(command)
        return None

    def evaluate(self, expression: str) -> Bundle:
        """Return the display of one Lua expression's value in the session; raises any `PicloudError`."""
        values = self._session.scratch.run(f"return ({expression}\n)", name="expression")
        return echo_bundle(values) or text("nil")

    def explain(self, error: PicloudError) -> Explanation:
        """Say where an error is and what to do about it, with the scripts and names of this session at hand."""
        variables = {name for source in self._scratches.values() for name in names_in(source)[0]}
        return explain(error, self.source_of, modules=self._modules, variables=variables)

    def _command(self, command: Command) -> None:
        match command:
            case Call():
                self._call(command)
            case Replay(run):
                self._replay(run)
            case RunTests(wanted):
                self._run_tests(wanted)
            case Cover():
                self._cover()
            case Reset(drafts=True):
                app_name = self._session.scratch.app_name
                self._annotations = {key: cell for key, cell in self._annotations.items() if key[0] != app_name}
                self._show(self._commands.run(command))
            case Dashboard(app):
                self._show(self._dashboard(app or self._session.app_name))
            case _:
                self._show(self._commands.run(command))

    def let_go(self, cell_id: str | None) -> None:
        """Forget what a cell defined that defines nothing now."""
        self._unannotate(cell_id)
        app = self._session.opened
        former = app.settle(cell_id) if app is not None and cell_id is not None else None
        if former is not None:
            self._show(text(f"{former}: no draft any more, since this cell defined it"))

    def _scratch(self, source: str, name: str) -> Bundle | None:
        if not source.strip():
            return None
        self._scratches[name] = source
        if len(self._scratches) > SCRATCHES_MAX:
            del self._scratches[next(iter(self._scratches))]
        return echo_bundle(self._session.scratch.run(source, name=name))

    def _replaces(self, cell_id: str | None, *, script: str | None = None, test: str | None = None) -> str:
        """Note what a cell defines; return what to say of what it defined before."""
        if cell_id is None:
            return ""
        self._unannotate(cell_id)
        former = self._session.app.settle(cell_id, script=script, test=test)
        return "" if former is None else f"; replaces {former}"

    def _module(self, cell: ModuleCell, cell_id: str | None) -> None:
        self._modules.add(cell.script.name)
        self._session.app.define(cell.script)
        self._show(text(f"module {cell.script.name}: draft{self._replaces(cell_id, script=cell.script.name)}"))

    def _endpoint(self, cell: EndpointCell, cell_id: str | None) -> None:
        self._session.app.define(cell.script, (cell.route,))
        where = f"{cell.route.method} {cell.route.pattern}{self._replaces(cell_id, script=cell.script.name)}"
        self._show(text(f"endpoint {cell.script.name}: draft, answers {where}"))

    def _annotated(self, cell: AnnotatedCell, cell_id: str | None) -> None:
        """Define the endpoint that all cells of this annotation make together, in the order they came first."""
        app = self._session.app
        key = app.app_name, cell_id or cell.source
        before = self._annotations.get(key)
        if before is None or (before.method, before.pattern) != (cell.method, cell.pattern):
            self.let_go(cell_id)
        self._annotations[key] = cell
        cells = self._together(app.app_name, cell)
        if all(found.is_response_info for found in cells):
            where = f"{cell.method} {cell.pattern}"
            self._show(Bundle({"text/plain": f"response info of {where}: waits for the cell '-- {where}'"}))
        else:
            self._endpoint(annotated_endpoint(cells), None)

    def _together(self, app_name: str, cell: AnnotatedCell) -> list[AnnotatedCell]:
        """Return the cells of an annotation, in the order they came first."""
        return [
            found
            for (owner, _), found in self._annotations.items()
            if (owner, found.method, found.pattern) == (app_name, cell.method, cell.pattern)
        ]

    def _unannotate(self, cell_id: str | None) -> None:
        """Take a cell out of the endpoint that annotated cells make together, which goes with the last of them."""
        app = self._session.opened
        former = self._annotations.pop((app.app_name, cell_id), None) if app is not None and cell_id else None
        if app is None or former is None:
            return
        left = self._together(app.app_name, former)
        if any(not cell.is_response_info for cell in left):
            endpoint = annotated_endpoint(left)
            app.define(endpoint.script, (endpoint.route,))
        elif not former.is_response_info:
            app.drop(annotated_endpoint([former, *left]).script.name)

    def _trigger(self, cell: TriggerCell, cell_id: str | None) -> None:
        self._session.app.define(cell.script, triggers=(cell.trigger,))
        what = f"{cell.trigger.describe()}; {cell.trigger.retry.schedule()}"
        replaces = self._replaces(cell_id, script=cell.script.name)
        self._show(text(f"trigger {cell.script.name}: draft, takes {what}{replaces}"))

    def _test(self, cell: TestCell, cell_id: str | None) -> None:
        self._tests[cell.test.name] = cell.test.source
        self._session.app.define_test(cell.test)
        if replaces := self._replaces(cell_id, test=cell.test.name):
            self._show(text(f"test {cell.test.name}: draft{replaces}"))
        if cell.coverage:
            self._covered_test(cell.test)
            return
        result = self._session.app.test(cell.test)
        self._show_result(result)
        require_passed(result)

    def _show_result(self, result: TestResult) -> None:
        shown = passed_bundle(result) if result.passed else failed_bundle(result)
        if shown is not None:
            self._show(shown)

    def _covered_test(self, test: TestSource) -> None:
        coverage = self._session.app.cover((test,))
        self._show_result(coverage.results[0])
        self._show(coverage_bundle([script for script in coverage.scripts if script.loaded]))
        require_passed(coverage.results[0])

    def _cover(self) -> None:
        """Run all tests; a failed one fails the cell once everything is shown."""
        app = self._session.app
        coverage = app.cover(app.manifest().tests)
        if coverage.results:
            self._show(results_bundle([(result, self._explained(result)) for result in coverage.results]))
        else:
            self._show(text("No tests yet: begin a cell with '%%test NAME'."))
        self._show(coverage_bundle(coverage.scripts, annotated=True))
        for result in coverage.results:
            require_passed(result)

    def _run_tests(self, wanted: str) -> None:
        tests = [test for test in self._session.app.manifest().tests if wanted.lower() in test.name.lower()]
        if not tests:
            raise NotFound(
                f"No test of this session has {wanted!r} in its name."
                if wanted
                else "This session has no tests yet: begin a cell with '%%test NAME'."
            )
        results = [self._session.app.test(test) for test in tests]
        self._show(results_bundle([(result, self._explained(result)) for result in results]))
        failed = [result.name for result in results if not result.passed]
        if failed:
            raise TestsFailed(f"{len(failed)} of {len(results)} tests failed: {', '.join(failed)}")

    def _explained(self, result: TestResult) -> Explanation | None:
        return None if result.error is None else self.explain(result.error)

    def _call(self, call: Call) -> None:
        """Show an answer; when the script fails, what callers would get, and then the error itself."""
        headers = {} if call.body is None else {"content-type": "application/json"}
        app = self._session.app if call.release is None else self._session.released(call.release)
        try:
            response = app.call(call.method, call.target, body=call.body or b"", headers=headers)
        except ScriptError as error:
            self._show_problem(error)
            raise
        self._show(response_bundle(response))

    def _show_problem(self, error: ScriptError) -> None:
        problem = answer_to(error, REQUEST_ID_SHOWN, Audience.CALLER)
        self._show(response_bundle(Response(problem.status, problem.headers, problem.body)))

    def _replay(self, wanted: str) -> None:
        """Do an earlier run again and show what comes of it; when the script fails, its error in the end."""
        past = self._commands.history.past(wanted)
        self._show(past.shown)
        messages, verdicts = past.given.messages, Verdicts()
        try:
            response = self._session.app.replay(past.script, past.given, verdicts, timeout_s=past.timeout_s)
        except ScriptError as error:
            if not messages:
                self._show_problem(error)
            self._show(text(f"{verdict_text(messages, verdicts, failed=True)} {TAKEN_BACK}".lstrip()))
            raise
        if response is not None:
            self._show(response_bundle(response))
            self._show(text(TAKEN_BACK))
        else:
            self._show(text(f"{verdict_text(messages, verdicts, failed=False)} {TAKEN_BACK}"))

    def _dashboard(self, app: str) -> Bundle:
        """Show the app's panel; a kernel has one for each app, which a second cell shows as it is."""
        if app in self._panels:
            self._panels[app].refresh()
        else:
            session = self._session
            desk = Desk(
                app,
                lambda: session.platform,
                server_url=self._commands.server_url,
                draft=lambda script: session.draft(app, script),
            )
            self._panels[app] = Panel(desk)
        return Bundle(self._panels[app].mimebundle())


def require_passed(result: TestResult) -> None:
    """Raise `TestsFailed` for a test that did not pass."""
    if result.error is not None:
        raise TestsFailed(f"test {result.name} failed: {result.error.message}") from result.error
