"""Jupyter's messaging protocol, spoken to a real kernel process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import jupyter_kernel_test
import psutil
import pytest

from picloud.storage.database import connect
from picloud.testing.processes import postmaster_pid, wait_until
from tests.acceptance.test_kernel import (
    CELL_TIMEOUT_S,
    START_TIMEOUT_S,
    Kernel,
    Outcome,
    app,
    environment,
    kernel,
    kernel_dirs,
    start_kernel,
    start_manager,
)

__all__ = ["app", "environment", "kernel", "kernel_dirs"]

PYTHON_CLEAR = "%%python\nfrom IPython.display import clear_output\nclear_output()"


class TestJupyterProtocol(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    """jupyter_kernel_test's suite, all of it."""

    kernel_name = "picloud"
    language_name = "lua"
    file_extension = ".lua"
    code_hello_world = 'print("hello, world")'
    code_stderr = 'log.warn("careful")'
    code_generate_error = "error('x')"
    code_execute_result = [  # noqa: RUF012
        {"code": "return 6 * 7", "result": "42"},
        {"code": "return { a = 1 }", "mime": "text/html"},
    ]
    code_display_data = [{"code": "%help", "mime": "text/plain"}]  # noqa: RUF012
    code_clear_output = PYTHON_CLEAR
    code_page_something = "kv.set?"
    code_inspect_sample = "kv.set"
    code_history_pattern = "return 6?*"
    supported_history_operations = ("tail", "range", "search")
    completion_samples = [  # noqa: RUF012
        {"text": "%pu", "matches": {"%publish"}},
        {"text": "string.ma", "matches": {"match"}},
        {"text": "whi", "matches": {"while"}},
        {"text": "kv.set_", "matches": {"set_many"}},
    ]
    complete_code_samples = ["return 1", "x = 1", "%help", "for i = 1, 2 do print(i) end", "kv.set?"]  # noqa: RUF012
    incomplete_code_samples = ["for i = 1, 2 do", "x = {", "x = [[", "%%module m", "%%python\nif x:"]  # noqa: RUF012
    invalid_code_samples = ["x = = 1", "end", "%nothing", "%%module m\nend"]  # noqa: RUF012

    @classmethod
    def setUpClass(cls) -> None:
        """Leave the start to `_start`, which has the fixtures for it; the suite's tearDownClass stops the kernel."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _start(cls, kernel_dirs: Path, environment: dict[str, str]) -> None:
        kernel = start_kernel(kernel_dirs, environment)
        cls.km, cls.kc = kernel.manager, kernel.client


class TestIopubWelcome(jupyter_kernel_test.IopubWelcomeTests):  # type: ignore[misc]
    """The one test of the suite that stands apart."""

    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls) -> None:
        """Leave the start to `_start`, which has the fixtures for it."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _start(cls, kernel_dirs: Path, environment: dict[str, str]) -> None:
        cls.km = start_manager(kernel_dirs, environment)
        cls.kc = cls.km.client()


def test_no_test_of_the_suite_is_left_out() -> None:
    """A test without its sample skips itself."""
    suite = jupyter_kernel_test.KernelTests
    samples = [name for name, value in vars(suite).items() if value in ("", [], ()) and name[0] != "_"]
    assert len(samples) >= 15
    assert [name for name in samples if not getattr(TestJupyterProtocol, name)] == []


def request(kernel: Kernel, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Send a message on the shell channel; return the content of its reply."""
    message = kernel.client.session.msg(kind, content)
    kernel.client.shell_channel.send(message)
    return reply_to(kernel, message["header"]["msg_id"])


def reply_to(kernel: Kernel, message_id: str) -> dict[str, Any]:
    ends = time.monotonic() + CELL_TIMEOUT_S
    while time.monotonic() < ends:
        reply = kernel.client.get_shell_msg(timeout=CELL_TIMEOUT_S)
        if reply["parent_header"].get("msg_id") == message_id:
            found: dict[str, Any] = reply["content"]
            return found
    raise AssertionError("no reply")


def complete(kernel: Kernel, code: str) -> list[str]:
    found: list[str] = request(kernel, "complete_request", {"code": code, "cursor_pos": len(code)})["matches"]
    return found


# execute ---------------------------------------------------------------------------------------------------------


def test_a_silent_cell_shows_nothing_and_counts_for_nothing(kernel: Kernel, app: str) -> None:
    before = kernel.succeeds("quiet = 0").reply["execution_count"]
    seen: list[str] = []
    silent = kernel.run(
        "quiet = quiet + 1 print('x') log.warn('y') return quiet",
        silent=True,
        during=lambda kind, _content: seen.append(kind),
    )
    assert (silent.status, set(seen)) == ("ok", {"status"})
    assert kernel.run("error('x')", silent=True).error is None
    after = kernel.succeeds("quiet")
    assert (after.text, after.reply["execution_count"]) == ("1", before + 1)


def test_a_cell_that_is_not_stored_keeps_the_number(kernel: Kernel, app: str) -> None:
    first = kernel.succeeds("return 1", store_history=False).reply["execution_count"]
    assert kernel.succeeds("return 2").reply["execution_count"] == first
    history = request(kernel, "history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False})
    assert history["history"][0][2] == "return 2"


def test_queued_cells_go_on_after_an_error_when_asked(kernel: Kernel, app: str) -> None:
    failing = kernel.client.execute("for i = 1, 1e7 do end error('go on')", stop_on_error=False)
    queued = kernel.client.execute("return 1")
    replies: dict[str, str] = {}
    while len(replies) < 2:
        message = kernel.client.get_shell_msg(timeout=CELL_TIMEOUT_S)
        if message["parent_header"]["msg_id"] in (failing, queued):
            replies[message["parent_header"]["msg_id"]] = message["content"]["status"]
    assert replies == {failing: "error", queued: "ok"}


def expressions(kernel: Kernel, source: str, **asked: str) -> dict[str, Any]:
    found: dict[str, Any] = kernel.succeeds(source, user_expressions=asked).reply["user_expressions"]
    return found


def test_user_expressions_are_lua_each_on_its_own(kernel: Kernel, app: str) -> None:
    values = expressions(
        kernel, "answer = 42", sum="answer + 1", table="{ a = answer }", text="'a' .. answer", nothing="nil",
        broken="answer +", fails="error('mine')", statement="answer = 1", comment="answer -- x", last="kv == nil",
    )  # fmt: skip
    assert values["sum"] == {"status": "ok", "data": {"text/plain": "43"}, "metadata": {}}
    assert values["table"]["data"]["text/plain"] == "{\n  a = 42,\n}"
    assert {name: values[name]["data"]["text/plain"].strip('"') for name in ("text", "nothing", "comment", "last")} == {
        "text": "a42",
        "nothing": "nil",
        "comment": "42",
        "last": "false",
    }
    assert values["broken"]["ename"] == values["statement"]["ename"] == "script_syntax_error"
    assert (values["fails"]["status"], values["fails"]["ename"]) == ("error", "script_runtime_error")
    assert "mine" in values["fails"]["evalue"]
    assert "picloud/" not in "".join(values["fails"]["traceback"])
    assert kernel.succeeds("answer").text == "42"


def test_user_expressions_of_other_cells(kernel: Kernel, app: str) -> None:
    kernel.succeeds("answer = 42")
    assert expressions(kernel, "%help", a="answer")["a"]["data"]["text/plain"] == "42"
    assert expressions(kernel, "", a="answer")["a"]["data"]["text/plain"] == "42"
    assert expressions(kernel, "%%python\nb = 2", a="b + 1")["a"]["data"]["text/plain"] == "3"
    assert kernel.run("error('x')", user_expressions={"a": "answer"}).reply.get("user_expressions", {}) == {}


def test_what_a_script_warns_of_is_stderr_in_its_order(kernel: Kernel, app: str) -> None:
    seen: list[tuple[str, str]] = []

    def collect(kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            seen.append((content["name"], content["text"]))

    kernel.run("print('a') log.warn('b', { n = 1 }) log.error('c') log.info('d') print('e')", during=collect)
    assert seen == [("stdout", "a\n"), ("stderr", 'WARN b {"n":1}\nERROR c\n'), ("stdout", "INFO d\ne\n")]


# history ---------------------------------------------------------------------------------------------------------


def test_history_is_kept_as_typed_and_numbered_across_restarts(
    kernel_dirs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    cells = ["x = 1 -- as typed", "%%python\nb = 1", "-- says\n%%python\nb = 2", "%help", "error('x')", "kv.set?"]
    own = {"IPYTHONDIR": str(tmp_path)}
    asked = {"hist_access_type": "tail", "n": 20, "raw": True, "output": False, "unique": False}
    kernel = start_kernel(kernel_dirs, environment | own)
    try:
        for cell in cells:
            kernel.run(cell)
        first = request(kernel, "history_request", asked)["history"]
        assert [(line, text) for _, line, text in first] == list(enumerate(cells, start=1))
        assert len({session for session, _, _ in first}) == 1
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=START_TIMEOUT_S)
        kernel.run("after = 1")
        both = request(kernel, "history_request", asked)["history"]
        assert [text for _, _, text in both] == [*cells, "after = 1"]
        assert both[-1][:2] == [first[0][0] + 1, 1]
        earlier = request(
            kernel,
            "history_request",
            {"hist_access_type": "range", "session": -1, "start": 1, "stop": 3, "raw": True, "output": False},
        )
        assert [text for _, _, text in earlier["history"]] == cells[:2]
    finally:
        kernel.close()


# complete and inspect ----------------------------------------------------------------------------------------------


def test_the_session_is_completed_and_explained(kernel: Kernel, app: str) -> None:
    kernel.succeeds("account = { balance = 1 }\n-- Pays.\nfunction account.pay(self, amount)\nend")
    assert complete(kernel, "account.") == ["balance", "pay"]
    assert complete(kernel, "local 😀 = account:") == ["pay"]
    code = "'😀' .. account.pay(1)"
    found = request(kernel, "inspect_request", {"code": code, "cursor_pos": code.index("pay") + 1, "detail_level": 1})
    assert found["found"]
    assert found["data"]["text/plain"].startswith("account.pay(self, amount)\n\nPays.\n\nfunction of cell ")
    assert found["data"]["text/plain"].endswith("function account.pay(self, amount)\nend")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_python_cell_is_completed_by_ipython(kernel: Kernel, app: str, newline: str) -> None:
    kernel.succeeds(f"%%python{newline}long_python_name = 1{newline}")
    code = newline.join(["-- 😀", "%%python", "x = 1", "long_python_n"])
    reply = request(kernel, "complete_request", {"code": code, "cursor_pos": len(code)})
    assert "long_python_name" in reply["matches"]
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "long_python_n"


def test_help_is_paged_and_unknown_names_are_errors(kernel: Kernel, app: str) -> None:
    kernel.succeeds("%%module greet\nlocal M = {}\n-- Greets.\nfunction M.hello(name) end\nreturn M")
    [page] = kernel.succeeds("greet.hello??").reply["payload"]
    assert page["source"] == "page"
    assert "Greets." in page["data"]["text/plain"]
    assert "function M.hello(name) end" in page["data"]["text/plain"]
    assert "%publish" in kernel.succeeds("?%publish").reply["payload"][0]["data"]["text/plain"]
    error = kernel.fails("no_such_name?")
    assert error["ename"] == "not_found"
    assert "no_such_name" in error["evalue"]


# interrupt ---------------------------------------------------------------------------------------------------------


def interrupted(kernel: Kernel, source: str, **options: Any) -> Outcome:
    """Run a cell that prints `go` and does not end by itself; interrupt it there."""
    sent: list[float] = []

    def interrupt(kind: str, content: dict[str, Any]) -> None:
        if kind == "stream" and "go" in content["text"] and not sent:
            sent.append(time.monotonic())
            kernel.manager.interrupt_kernel()

    outcome = kernel.run(source, during=interrupt, **options)
    assert sent
    assert outcome.stderr == ""
    return outcome


@pytest.mark.parametrize(
    "source",
    [
        "while true do end",
        "local function f() return f() end f()",
        "while true do pcall(error) end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        "local co = coroutine.wrap(function() while true do end end) co()",
        "string.find(('a'):rep(3e4), ('.-'):rep(30) .. 'b')",
        "string.rep('x', 1e6):gsub('.', function() for i = 1, 1e4 do end end)",
        "local t = table.pack(('x'):rep(1e4):byte(1, -1)) table.sort(t, function(a, b) for i = 1, 1e6 do end end)",
        "while true do json.encode({ 1, 2, 3 }) end",
        "while true do kv.set('k', 1) end",
        "while true do transaction(function() kv.incr('k') end) end",
    ],
)
def test_whatever_a_cell_does_it_is_interrupted_and_state_is_kept(kernel: Kernel, app: str, source: str) -> None:
    kernel.succeeds("kept = { 'still here' }")
    outcome = interrupted(kernel, f"print('go')\n{source}")
    assert outcome.error is not None
    assert outcome.error["ename"] == "run_interrupted"
    assert kernel.succeeds("return kept[1]").text.strip('"') == "still here"


def test_the_session_is_not_asked_while_a_cell_runs(kernel: Kernel, app: str) -> None:
    """A front end may ask on the control channel, whose thread does not wait for the cell."""
    kernel.succeeds("account = { balance = 1 }")
    content = {"code": "account.", "cursor_pos": 8}
    answers: list[list[str]] = []

    def ask(kind: str, content_: dict[str, Any]) -> None:
        if kind == "stream" and not answers:
            message = kernel.client.session.msg("complete_request", content)
            kernel.client.control_channel.send(message)
            answers.append(kernel.client.get_control_msg(timeout=CELL_TIMEOUT_S)["content"]["matches"])
            kernel.manager.interrupt_kernel()

    outcome = kernel.run("print('go') while true do account.balance = account.balance + 1 end", during=ask)
    assert outcome.error is not None
    assert outcome.error["ename"] == "run_interrupted"
    assert answers == [[]]
    assert complete(kernel, "account.") == ["balance"]


@contextmanager
def locked(conninfo: str, app: str) -> Iterator[Callable[[], bool]]:
    """Hold all values of an app in a transaction of another connection; yield what tells whether somebody waits."""
    with connect(conninfo) as holder, connect(conninfo) as watcher, holder.transaction():
        rows = holder.execute(
            "SELECT 1 FROM kv_entries JOIN apps ON apps.id = app_id WHERE apps.name = %s FOR UPDATE OF kv_entries",
            (app,),
        ).fetchall()
        assert rows

        def is_waiting() -> bool:
            [count] = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database() AND %s = ANY (pg_blocking_pids(pid))",
                (holder.info.backend_pid,),
            ).fetchone() or [0]
            return bool(count)

        yield is_waiting


@pytest.fixture
def own_database(kernel_dirs: Path, environment: dict[str, str], database_url: str) -> Iterator[Kernel]:
    """A kernel on the test's own database."""
    kernel = start_kernel(
        kernel_dirs, environment | {"PICLOUD_DATABASE_URL": database_url, "PICLOUD_RUN_TIMEOUT_S": "120"}
    )
    yield kernel
    kernel.close()


@pytest.mark.parametrize("source", ["kv.set('k', 2)", "transaction(function() pcall(kv.delete, 'k') end)"])
def test_a_cell_that_waits_for_a_lock_is_interrupted(own_database: Kernel, database_url: str, source: str) -> None:
    kernel, app = own_database, f"app-{uuid4().hex[:12]}"
    kernel.succeeds(f"%app {app}")
    kernel.succeeds("kept = 'still here' kv.set('k', 1)")
    with locked(database_url, app) as is_waiting:
        sent = kernel.client.execute(source)
        wait_until(is_waiting)
        kernel.manager.interrupt_kernel()
        assert reply_to(kernel, sent)["ename"] == "run_interrupted"
        assert kernel.succeeds("return kept").text.strip('"') == "still here"
        assert kernel.succeeds("kv.set('free', 1) return kv.exists('free')").text == "true"
    assert kernel.succeeds("return (kv.get('k'))").text == "1"


def test_a_publish_is_interrupted_while_its_tests_run(own_database: Kernel, database_url: str) -> None:
    """The test waits for a lock, so that the moment is certain; nothing is published."""
    kernel, app = own_database, f"app-{uuid4().hex[:12]}"
    kernel.succeeds(f"%app {app}")
    kernel.succeeds("%%endpoint e GET /e\nreturn 1")
    kernel.succeeds("%%test waits\nkv.set('k', 2)")
    kernel.succeeds("kept = 1 kv.set('k', 1)")
    with locked(database_url, app) as is_waiting:
        sent = kernel.client.execute("%publish")
        wait_until(is_waiting)
        kernel.manager.interrupt_kernel()
        assert reply_to(kernel, sent)["ename"] == "run_interrupted"
    assert "no release yet" in kernel.succeeds("%releases").text
    assert kernel.succeeds("return kept").text == "1"
    assert "Release 1" in kernel.succeeds("%publish").text


# comms -------------------------------------------------------------------------------------------------------------


def test_widgets_of_python_cells_speak_over_comms(kernel: Kernel, app: str) -> None:
    opened: list[dict[str, Any]] = []

    def collect(kind: str, content: dict[str, Any]) -> None:
        if kind == "comm_open":
            opened.append(content)

    shown = kernel.run("%%python\nimport ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider", during=collect)
    assert shown.status == "ok", shown
    view = shown.displays[-1]["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] in {content["comm_id"] for content in opened}
    known = request(kernel, "comm_info_request", {"target_name": "jupyter.widget"})
    assert view["model_id"] in known["comms"]
    update = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
    kernel.client.shell_channel.send(
        kernel.client.session.msg("comm_msg", {"comm_id": view["model_id"], "data": update})
    )
    assert kernel.succeeds("%%python\nslider.value").text == "7"


def test_a_front_end_opens_comms_to_python(kernel: Kernel, app: str) -> None:
    kernel.succeeds(
        "%%python\nheard = []\ndef opened(comm, message):\n"
        "    heard.append(message['content']['data'])\n    comm.on_msg(lambda m: heard.append(m['content']['data']))\n"
        "get_ipython().kernel.comm_manager.register_target('shop', opened)"
    )
    comm = uuid4().hex
    for kind, content in [
        ("comm_open", {"comm_id": comm, "target_name": "shop", "data": {"n": 1}}),
        ("comm_msg", {"comm_id": comm, "data": {"n": 2}}),
    ]:
        kernel.client.shell_channel.send(kernel.client.session.msg(kind, content))
    assert kernel.succeeds("%%python\nheard").text == "[{'n': 1}, {'n': 2}]"
    assert comm in request(kernel, "comm_info_request", {"target_name": "shop"})["comms"]
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_close", {"comm_id": comm, "data": {}}))
    assert request(kernel, "comm_info_request", {"target_name": "shop"})["comms"] == {}
    assert request(kernel, "comm_info_request", {})["status"] == "ok"


def test_python_cells_clear_and_update_what_they_show(kernel: Kernel, app: str) -> None:
    seen: list[tuple[str, Any]] = []

    def collect(kind: str, content: dict[str, Any]) -> None:
        if kind in ("display_data", "update_display_data"):
            seen.append((kind, content["data"]["text/plain"]))
            assert content["transient"]["display_id"] == "here"
        elif kind == "clear_output":
            seen.append((kind, content["wait"]))

    kernel.run(
        "%%python\nfrom IPython.display import clear_output, display\nhandle = display(1, display_id='here')\n"
        "handle.update(2)\nclear_output(wait=True)",
        during=collect,
    )
    kernel.run("%%python\nhandle.update(3)", during=collect)
    assert seen == [
        ("display_data", "1"),
        ("update_display_data", "2"),
        ("clear_output", True),
        ("update_display_data", "3"),
    ]


# restart and shutdown ------------------------------------------------------------------------------------------------


def test_a_shutdown_leaves_no_process(kernel_dirs: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Also not that of the embedded server, whose only user this kernel is, nor while a cell runs."""
    kernel = start_kernel(kernel_dirs, environment | {"PICLOUD_HOME": str(tmp_path / "home")})
    kernel.succeeds("kv.set('k', 1)")
    [process] = [
        child for child in psutil.Process().children() if kernel.manager.connection_file in " ".join(child.cmdline())
    ]
    server = postmaster_pid(tmp_path / "home")
    assert server is not None
    processes = [process, psutil.Process(server)]
    kernel.client.execute("while true do end")
    kernel.manager.shutdown_kernel()
    kernel.client.stop_channels()
    assert psutil.wait_procs(processes, timeout=START_TIMEOUT_S)[1] == []


def test_a_restart_begins_anew_on_the_same_data(kernel: Kernel, app: str) -> None:
    kernel.succeeds("kept = 1 kv.set('k', 'stored')")
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(timeout=START_TIMEOUT_S)
    kernel.succeeds(f"%app {app}")
    assert kernel.succeeds("return tostring(kept) .. kv.get('k')").text.strip('"') == "nilstored"
    assert kernel.succeeds("return 1").reply["execution_count"] == 3
