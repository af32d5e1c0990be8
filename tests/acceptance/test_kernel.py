"""A real kernel process, spoken to as JupyterLab does."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

KERNELSPEC = Path(__file__).parents[2] / "picloud_kernel" / "kernelspec"
START_TIMEOUT_S = 60
CELL_TIMEOUT_S = 30


@dataclass(slots=True)
class Outcome:
    """What one cell did."""

    status: str
    reply: dict[str, Any]
    stdout: str = ""
    stderr: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    """MIME bundles of display_data and execute_result, in order."""
    error: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "\n".join(display["text/plain"] for display in self.displays)


class Kernel:
    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client: BlockingKernelClient = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_TIMEOUT_S)

    def run(
        self, source: str, *, during: Callable[[str, dict[str, Any]], None] | None = None, **options: Any
    ) -> Outcome:
        """Run a cell to its end; `during` sees every iopub message as it comes. The options are execute_request's."""
        outcome = Outcome("", {})

        def collect(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                outcome.stdout += content["text"]
            elif kind == "stream":
                outcome.stderr += content["text"]
            elif kind in ("display_data", "execute_result"):
                outcome.displays.append(content["data"])
            elif kind == "error":
                outcome.error = content
            if during is not None:
                during(kind, content)

        outcome.reply = self.client.execute_interactive(source, timeout=CELL_TIMEOUT_S, output_hook=collect, **options)[
            "content"
        ]
        outcome.status = outcome.reply["status"]
        return outcome

    def fails(self, source: str) -> dict[str, Any]:
        """Run a cell that must fail, and return its error."""
        outcome = self.run(source)
        assert outcome.status == "error", outcome
        assert outcome.error is not None
        assert outcome.error["ename"] == outcome.reply["ename"]
        assert "picloud/" not in "\n".join(outcome.error["traceback"])  # no Python frames
        return outcome.error

    def succeeds(self, source: str, **options: Any) -> Outcome:
        outcome = self.run(source, **options)
        assert outcome.status == "ok", outcome
        return outcome

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@pytest.fixture(scope="session")
def kernel_dirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernels folder that holds the kernelspec as the wheel installs it."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "picloud").symlink_to(KERNELSPEC)
    return folder


def start_kernel(kernel_dirs: Path, environment: dict[str, str]) -> Kernel:
    return Kernel(start_manager(kernel_dirs, environment))


def start_manager(kernel_dirs: Path, environment: dict[str, str]) -> KernelManager:
    specs = KernelSpecManager(kernel_dirs=[str(kernel_dirs)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="picloud", kernel_spec_manager=specs)
    manager.start_kernel(env=os.environ | environment)
    return manager


@pytest.fixture(scope="module")
def environment(
    embedded_home: Path, embedded_server: object, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    ipython = tmp_path_factory.mktemp("ipython")
    return {
        "PICLOUD_HOME": str(embedded_home),
        "PICLOUD_PORT": "8799",
        "IPYTHONDIR": str(ipython),
        "JUPYTER_SERVER_URL": "http://localhost:8888/base/",
        "JPY_SESSION_NAME": "work/shop.ipynb",
    }


@pytest.fixture(scope="module")
def kernel(kernel_dirs: Path, environment: dict[str, str]) -> Iterator[Kernel]:
    kernel = start_kernel(kernel_dirs, environment)
    yield kernel
    kernel.close()


@pytest.fixture
def app(kernel: Kernel) -> str:
    """Name of an app that does not exist, chosen by `%app`."""
    name = f"app-{uuid4().hex[:12]}"
    kernel.succeeds(f"%app {name}")
    return name


GREET = '%%module greet\nlocal M = {}\nfunction M.hello(name)\n  return "hello " .. name\nend\nreturn M'
HELLO = (
    '%%endpoint hello GET /hello/:name\nlocal greet = require("greet")\n'
    "return { message = greet.hello(request.params.name) }"
)
TEST = '%%test greets\nexpect(call("GET", "/hello/ada").json.message):equals("hello ada")'


def test_the_kernel_says_it_is_lua(kernel: Kernel) -> None:
    info = kernel.client.kernel_info(reply=True, timeout=CELL_TIMEOUT_S)["content"]
    assert info["implementation"] == "picloud"
    assert (info["language_info"]["name"], info["language_info"]["version"]) == ("lua", "5.4")
    assert "debugger" not in info["supported_features"]


def test_scratch_code_needs_no_app(kernel_dirs: Path, environment: dict[str, str]) -> None:
    """And everything that does says so."""
    kernel = start_kernel(kernel_dirs, environment)
    try:
        assert kernel.succeeds("return 1 + 1").text == "2"
        for source in (GREET, HELLO, TEST, "%call GET /", "%publish", "%plan", "%scripts", "%routes", "%releases"):
            error = kernel.fails(source)
            assert error["ename"] == "invalid_input"
            assert "Run '%app NAME' first" in error["evalue"]
        assert "%publish" in kernel.succeeds("%help").text
    finally:
        kernel.close()


def test_the_last_expression_is_shown_and_print_is_stdout(kernel: Kernel, app: str) -> None:
    outcome = kernel.succeeds('print("one", 2)\nreturn "three"')
    assert outcome.stdout == "one\t2\n"
    assert "three" in outcome.text
    assert kernel.succeeds("1 + 1").text == "2"
    assert kernel.succeeds("x = 1").displays == []
    assert kernel.succeeds("").displays == []


def test_what_a_run_used_is_shown_under_its_cell_on_request(kernel: Kernel) -> None:
    assert kernel.succeeds("print('before')").stdout == "before\n"
    assert "%report on|off" in kernel.fails("%report")["evalue"]
    kernel.succeeds("%report on")
    try:
        lines = kernel.succeeds("print('x')").stdout.splitlines()
        assert lines[0] == "x"
        assert re.fullmatch(r"\[[\d.]+ ms, CPU [\d.]+ ms, memory \d+ KiB\]", lines[1])
        failed = kernel.run("error('no')")
        assert (failed.status, failed.stdout.count("CPU")) == ("error", 1)
    finally:
        kernel.succeeds("%report off")
    assert kernel.succeeds("print('after')").stdout == "after\n"


def test_tables_are_shown_as_trees_and_records_as_a_table(kernel: Kernel, app: str) -> None:
    tree = kernel.succeeds("return { a = { 1, 2 }, f = print }").displays[0]
    assert "<details open" in tree["text/html"]
    assert tree["text/plain"] == "{\n  a = {\n    1,\n    2,\n  },\n  f = function (built in),\n}"
    table = kernel.succeeds('return { { name = "<b>", n = 1 } }').displays[0]
    assert "<table>" in table["text/html"]
    assert "&lt;b&gt;</td>" in table["text/html"]


def test_globals_are_kept_from_cell_to_cell(kernel: Kernel, app: str) -> None:
    kernel.succeeds("kept = 41")
    assert kernel.succeeds("return kept + 1").text == "42"


def test_an_endless_loop_is_interrupted_within_a_second_and_state_is_kept(kernel: Kernel, app: str) -> None:
    """The interrupt is sent when the cell's output arrives: print is shown while the cell still runs."""
    kernel.succeeds("kept = 'still here'")
    interrupted_at: list[float] = []

    def interrupt(kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            interrupted_at.append(time.monotonic())
            kernel.manager.interrupt_kernel()

    outcome = kernel.run("print('go')\nwhile true do end", during=interrupt)
    assert time.monotonic() - interrupted_at[0] < 1
    assert outcome.error is not None
    assert outcome.error["ename"] == "run_interrupted"
    assert kernel.succeeds("return kept").text.strip('"') == "still here"


def test_an_interrupt_while_nothing_runs_does_no_harm(kernel: Kernel, app: str) -> None:
    kernel.manager.interrupt_kernel()
    assert kernel.succeeds("return 1").text == "1"


def test_python_cells_run_in_ipython_and_can_be_interrupted(kernel: Kernel, app: str) -> None:
    assert kernel.succeeds("%%python\nprint(6 * 7)").stdout == "42\n"
    assert kernel.succeeds("%%python\nn = 5\nn * 2").text == "10"
    assert kernel.fails("%%python\n1 / 0")["ename"] == "ZeroDivisionError"

    def interrupt(kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            kernel.manager.interrupt_kernel()

    outcome = kernel.run("%%python\nprint('go', flush=True)\nwhile True: pass", during=interrupt)
    assert outcome.error is not None
    assert outcome.error["ename"] == "KeyboardInterrupt"
    assert kernel.succeeds("return 1").text == "1"


@pytest.mark.usefixtures("app")
def test_the_graph_comes_as_a_drawing_and_as_text(kernel: Kernel) -> None:
    assert "No scripts yet" in kernel.succeeds("%graph").text
    for source in (GREET, HELLO):
        kernel.succeeds(source)
    [shown] = kernel.succeeds("%graph greet").displays
    assert shown["text/vnd.mermaid"].startswith("flowchart LR\n")
    assert "    module greet (draft)" in shown["text/plain"].split("\n")
    assert kernel.fails("%graph nobody")["ename"] == "not_found"


BRANCHES = """\
%%module price
local M = {}
function M.of(name)
  if name == "tea" then
    return 3
  end
  error("no price for " .. name)
end
return M"""


def test_coverage_names_the_lines_no_test_reaches(kernel: Kernel, app: str) -> None:
    kernel.succeeds(BRANCHES)
    kernel.succeeds('%%endpoint tea GET /tea\nreturn { price = require("price").of("tea") }')
    kernel.succeeds("%%endpoint idle GET /idle\n-- <script>\nreturn 1")
    outcome = kernel.succeeds('%%test "tea has a price" --coverage\nexpect(call("GET", "/tea").json.price):equals(3)')
    assert outcome.displays[0]["text/plain"] == "test tea has a price: passed, 1 assertion"
    assert outcome.displays[1]["text/plain"].splitlines() == [
        "script  kind      lines  covered  missing",
        "price   module    5/6    83 %     6",
        "tea     endpoint  1/1    100 %",
        "total             6/7    85 %",
    ]
    assert "<details>" not in outcome.displays[1]["text/html"]
    kernel.succeeds('%%test "nothing else has"\nexpect(function() require("price").of("x") end):raises("no price")')
    for _ in range(2):  # and again, the same
        outcome = kernel.succeeds("%coverage")
        assert outcome.displays[0]["text/plain"].splitlines() == [
            "test              result  assertions  line",
            "nothing else has  passed  1",
            "tea has a price   passed  1",
        ]
        assert outcome.displays[1]["text/plain"].splitlines() == [
            "script  kind      lines  covered  missing",
            "idle    endpoint  0/1    0 %      2",
            "price   module    6/6    100 %",
            "tea     endpoint  1/1    100 %",
            "total             7/8    87 %",
        ]
        assert outcome.displays[1]["text/html"].count("<details>") == 3
        assert "&lt;script&gt;" in outcome.displays[1]["text/html"]


def test_coverage_shows_what_a_failed_test_reached_and_then_fails(kernel: Kernel, app: str) -> None:
    kernel.succeeds(BRANCHES)
    test = '%%test "coffee has a price"{}\nexpect(require("price").of("coffee")):equals(4)'
    for source in (test.format(" --coverage"), "%coverage"):
        outcome = kernel.run(source)
        assert outcome.error is not None
        assert outcome.error["ename"] == "tests_failed"
        assert outcome.error["evalue"] == "test coffee has a price failed: no price for coffee"
        assert any('6 |   error("no price for " .. name)' in line for line in outcome.error["traceback"])
        assert outcome.displays[-1]["text/plain"].splitlines()[1] == "price   module  5/6    83 %     4"


def test_coverage_without_tests_says_so(kernel: Kernel, app: str) -> None:
    kernel.succeeds(BRANCHES)
    outcome = kernel.succeeds("%coverage")
    assert outcome.displays[0]["text/plain"].startswith("No tests yet")
    assert outcome.displays[1]["text/plain"].splitlines()[1] == "price   module  0/6    0 %      1-8"


def test_coverage_is_interrupted_like_any_run(kernel: Kernel, app: str) -> None:
    kernel.succeeds('%%endpoint stuck GET /stuck\nprint("on")\nwhile true do end')

    def interrupt(kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            kernel.manager.interrupt_kernel()

    outcome = kernel.run('%%test t --coverage\ncall("GET", "/stuck")', during=interrupt)
    assert outcome.error is not None
    assert outcome.error["ename"] == "run_interrupted"
    assert outcome.displays == []


def test_define_call_and_publish(kernel: Kernel, app: str) -> None:
    assert kernel.succeeds(GREET).text == "module greet: draft"
    assert kernel.succeeds('return require("greet").hello("you")').text.strip('"') == "hello you"
    assert kernel.succeeds(HELLO).text == "endpoint hello: draft, answers GET /hello/:name"
    called = kernel.succeeds("%call GET /hello/ada")
    assert called.text.startswith("200 OK\n")
    assert '"message": "hello ada"' in called.text
    assert kernel.succeeds(TEST).text == "test greets: passed, 1 assertion"
    assert "draft, not published yet" in kernel.succeeds("%scripts").text

    published = kernel.succeeds('%publish -m "first"').text
    assert f"Release 1 of the app {app} is live; the app is new." in published
    for line in ("+ module greet", "+ endpoint hello", "+ route GET /hello/:name", "1 test passed."):
        assert line in published
    assert f"GET  http://127.0.0.1:8799/run/{app}/hello/:name" in published
    assert f"GET  http://localhost:8888/base/picloud/run/{app}/hello/:name" in published

    assert "Nothing changes" in kernel.succeeds("%plan").text
    assert "draft" not in kernel.succeeds("%scripts\n%routes").text
    releases = kernel.succeeds("%releases").text
    assert "first" in releases
    assert "shop.ipynb" in releases

    kernel.succeeds(GREET.replace("hello ", "good morning "))
    plan = kernel.succeeds("%plan").text
    assert "~ module greet" in plan
    assert "> endpoint hello, which requires what changes" in plan
    assert "live, changed here" in kernel.succeeds("%scripts").text
    assert "good morning ada" in kernel.succeeds("%call GET /hello/ada").text

    refused = kernel.fails("%publish")  # the test still expects the old greeting
    assert refused["ename"] == "tests_failed"
    assert "greets" in refused["evalue"]
    assert "~ module greet" in kernel.succeeds("%plan").text

    kernel.succeeds(TEST.replace("hello ada", "good morning ada"))
    assert "Release 2" in kernel.succeeds("%publish").text
    assert "Release 3" in kernel.succeeds("%rollback 1").text


def test_a_publish_removes_nothing_unasked(kernel: Kernel, app: str) -> None:
    """A session that ran only some cells must not take the others' endpoints down."""
    kernel.succeeds(GREET)
    kernel.succeeds(HELLO)
    kernel.succeeds("%publish")
    kernel.client.execute_interactive("", timeout=CELL_TIMEOUT_S)
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=START_TIMEOUT_S)
    kernel.succeeds(f"%app {app}")
    kernel.succeeds(GREET)
    error = kernel.fails("%publish")
    assert error["ename"] == "conflict"
    assert "endpoint hello" in error["evalue"]
    assert "%publish --remove" in error["evalue"]
    assert "- endpoint hello" in kernel.succeeds("%publish --remove").text


@pytest.mark.parametrize(
    ("source", "ename", "sentence"),
    [
        ("%modul x", "invalid_input", "did you mean '%%module'?"),
        ("return 1 +", "script_syntax_error", "near <eof>"),
        ("%%module broken\nreturn {", "invalid_script", "broken:1"),
        ("%%module notone\nprint('hi')\nreturn {}", "invalid_script", "notone:1"),
        ("%%endpoint e GET hello\nreturn 1", "invalid_route", "starts with '/'"),
        ('return require("nothing")', "module_not_found", "nothing"),
        ("%call GET /nowhere", "not_found", ""),
        ("%releases", "not_found", ""),
        ("%rollback 1", "not_found", ""),
        ("local t = nil\nreturn t.x", "script_runtime_error", "attempt to index"),
        ("error('mine')", "script_runtime_error", "mine"),
        ("error({ code = 1 })", "script_runtime_error", ""),
        ("%%test fails\nassert(1 == 2)", "tests_failed", "test fails failed"),
    ],
)
def test_what_is_wrong_is_said(kernel: Kernel, app: str, source: str, ename: str, sentence: str) -> None:
    error = kernel.fails(source)
    assert error["ename"] == ename
    assert sentence in error["evalue"]
    assert error["evalue"]


def test_an_error_shows_the_line_at_fault(kernel: Kernel, app: str) -> None:
    kernel.succeeds("%%module deep\nlocal M = {}\nfunction M.fail()\n  return nil .. 'x'\nend\nreturn M")
    error = kernel.fails('local deep = require("deep")\nlocal x = deep.fail()')
    shown = "\n".join(error["traceback"])
    assert "deep, line 3" in shown
    assert "return nil .. 'x'" in shown
    assert ":2: in main chunk" in shown  # the scratch cell's own frame


def test_an_endpoint_that_fails_shows_what_callers_get_and_what_is_wrong(kernel: Kernel, app: str) -> None:
    kernel.succeeds("%%endpoint boom GET /boom\nlocal basket = {}\nreturn baskett.total")
    outcome = kernel.run("%call GET /boom")
    assert outcome.status == "error"
    assert outcome.text.startswith("500 Internal Server Error\n")
    assert "baskett" not in outcome.text
    shown = "\n".join(outcome.reply["traceback"])
    assert "return baskett.total" in shown
    assert "Did you mean 'basket'?" in shown


def test_a_failed_test_shows_what_differs(kernel: Kernel, app: str) -> None:
    outcome = kernel.run("%%test differs\nexpect(1):equals(1)\nexpect({ a = { 1, 2 } }):equals({ a = { 1, 3 } })")
    assert outcome.status == "error"
    assert outcome.text.split("\n")[0] == "test differs, line 2: expect(...):equals failed after 1 assertion that held"
    assert "  a[2]: expected 3, got 2" in outcome.text
    assert "-->" in "\n".join(outcome.reply["traceback"])


def test_all_tests_run_at_once(kernel: Kernel, app: str) -> None:
    assert "no tests yet" in kernel.fails("%test")["evalue"]
    kernel.succeeds("%%test adds\nexpect(1 + 1):equals(2)")
    kernel.run("%%test breaks\nlocal x = nil + 1")
    outcome = kernel.run("%test")
    assert outcome.text.split("\n")[:3] == [
        "test    result  assertions  line",
        "adds    passed  1",
        "breaks  failed              1",
    ]
    assert outcome.reply["evalue"] == "1 of 2 tests failed: breaks"
    assert "breaks" not in kernel.succeeds("%test ADDS").text
    assert "no test" in kernel.fails("%test other")["evalue"].lower()


def test_a_broken_draft_leaves_the_good_one(kernel: Kernel, app: str) -> None:
    kernel.succeeds(GREET)
    kernel.fails("%%module greet\nreturn {")
    assert kernel.succeeds('return require("greet").hello("you")').text.strip('"') == "hello you"


def test_cells_queued_behind_an_error_are_not_run(kernel: Kernel, app: str) -> None:
    failing = kernel.client.execute("for i = 1, 1e8 do end error('stop')")  # ends after the next one has arrived
    queued = kernel.client.execute("return 1")
    replies: dict[str, str] = {}
    while len(replies) < 2:
        message = kernel.client.get_shell_msg(timeout=CELL_TIMEOUT_S)
        if message["parent_header"]["msg_id"] in (failing, queued):
            replies[message["parent_header"]["msg_id"]] = message["content"]["status"]
    assert replies == {failing: "error", queued: "aborted"}


def test_apps_keep_their_variables_apart(kernel: Kernel, app: str) -> None:
    kernel.succeeds("mine = 1")
    kernel.succeeds(f"%app {app}-other")
    assert kernel.succeeds("return tostring(mine)").text.strip('"') == "nil"
    kernel.succeeds(f"%app {app}")
    assert kernel.succeeds("return mine").text == "1"


def test_a_database_that_is_down_is_said_and_tried_again(
    kernel_dirs: Path, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """The first cell reports it; once the database answers, the next cell works."""
    switch = tmp_path / "sockets"
    parameters = dict(part.split("=", 1) for part in database_url.split() if "=" in part)
    if "host" not in parameters:
        pytest.skip("needs a conninfo with a socket folder")
    down = database_url.replace(f"host={parameters['host']}", f"host={switch}")
    kernel = start_kernel(kernel_dirs, environment | {"PICLOUD_DATABASE_URL": down, "PICLOUD_DATABASE_TIMEOUT_S": "1"})
    try:
        error = kernel.fails("return 1")
        assert error["ename"] == "database_unavailable"
        assert str(switch) not in error["evalue"]
        assert kernel.run("return 1").stderr == "", "what the driver says is for the log"
        switch.symlink_to(parameters["host"].strip("'"))
        assert kernel.succeeds("return 1").text == "1"
    finally:
        kernel.close()


def test_the_dashboard_is_a_widget_of_the_notebooks_app_or_of_another(kernel: Kernel, app: str) -> None:
    widget = "application/vnd.jupyter.widget-view+json"
    [own] = kernel.succeeds("%dashboard").displays
    assert f"Dashboard of the app {app}" in own["text/plain"]
    [other] = kernel.succeeds("%dashboard another").displays
    assert "Dashboard of the app another" in other["text/plain"]
    assert own[widget]["model_id"] != other[widget]["model_id"]
    [again] = kernel.succeeds("%dashboard").displays
    assert again[widget]["model_id"] == own[widget]["model_id"]


def test_the_dashboard_needs_an_app_that_can_be(kernel: Kernel, app: str) -> None:
    assert kernel.fails("%dashboard Blog!")["ename"] == "invalid_input"
    assert kernel.fails("%dashboard a b")["ename"] == "invalid_input"


def test_a_python_kernel_shows_the_dashboard_and_gives_the_platform_back(
    kernel: Kernel, app: str, environment: dict[str, str]
) -> None:
    kernel.succeeds(GREET)
    kernel.succeeds("%publish")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=os.environ | environment)
    python = Kernel(manager)
    try:
        python.succeeds(f"from picloud_kernel.dashboard import Dashboard\nshown = Dashboard('{app}')")
        [display] = python.succeeds("shown").displays
        assert "application/vnd.jupyter.widget-view+json" in display
        assert python.succeeds("print(shown.panel.scripts.title)").stdout == "Scripts (1)\n"
        python.succeeds("shown.close()")
        refused = python.run("Dashboard('Blog!')").error
        assert refused is not None
        assert "cannot name an app" in refused["evalue"]
    finally:
        python.close()
