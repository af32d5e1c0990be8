"""What cells of one kernel share, seen as JupyterLab sees it: variables, drafts by cell, displays, Lua for Python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.test_kernel import CELL_TIMEOUT_S, GREET, KERNELSPEC, Kernel, start_kernel

Message = dict[str, Any]


@pytest.fixture(scope="module")
def kernel(embedded_home: Path, embedded_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "picloud").symlink_to(KERNELSPEC)
    endless = {"PICLOUD_RUN_TIMEOUT_S": "600", "PICLOUD_RUN_CPU_S": "600"}  # what ends by then was interrupted
    kernel = start_kernel(folder, {"PICLOUD_HOME": str(embedded_home), "IPYTHONDIR": str(folder)} | endless)
    yield kernel
    kernel.close()


@pytest.fixture(autouse=True)
def app(kernel: Kernel) -> str:
    name = f"app-{uuid4().hex[:12]}"
    kernel.succeeds(f"%app {name}")
    return name


def send(kernel: Kernel, kind: str, content: Message, **more: Any) -> list[Message]:
    """Send a message on the shell channel; return what comes on iopub until the kernel is idle again."""
    message = kernel.client.session.msg(kind, content, **more)
    kernel.client.shell_channel.send(message)
    seen: list[Message] = []
    while not (seen and seen[-1]["msg_type"] == "status" and seen[-1]["content"]["execution_state"] == "idle"):
        answer = kernel.client.get_iopub_msg(timeout=CELL_TIMEOUT_S)
        if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            seen.append(answer)
    return seen


def run_cell(kernel: Kernel, cell_id: str, source: str) -> str:
    """Run a notebook's cell as JupyterLab does, with its id; return the text it shows."""
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    seen = send(kernel, "execute_request", content, metadata={"cellId": cell_id})
    kernel.client.get_shell_msg(timeout=CELL_TIMEOUT_S)
    return "\n".join(message["content"]["data"]["text/plain"] for message in seen if "data" in message["content"])


def test_locals_stay_for_later_cells_and_each_app_has_its_own(kernel: Kernel, app: str) -> None:
    kernel.succeeds("local n = 1\nlocal function look() return n end")
    kernel.succeeds("%app other")
    assert kernel.succeeds("n == nil").text == "true"
    kernel.succeeds("local n = 5")
    kernel.succeeds(f"%app {app}")
    assert kernel.succeeds("n = n + 1\nlook()").text == "2"


def test_reset_says_what_it_forgets(kernel: Kernel, app: str) -> None:
    kernel.succeeds("local n = 1")
    kernel.succeeds(GREET)
    assert kernel.succeeds("%reset").text == f"Forgot the variables of the app {app}."
    assert kernel.succeeds("return n == nil, require('greet') ~= nil").text == "true\ntrue"
    assert kernel.succeeds("%reset --drafts").text == (
        f"Forgot the variables and the drafts (module greet) of the app {app}."
    )
    assert kernel.fails("require('greet')")["ename"] == "module_not_found"
    assert "%reset [--drafts]" in kernel.fails("%reset everything")["evalue"]


def test_a_cell_run_under_another_name_replaces_its_draft(kernel: Kernel) -> None:
    one, two = uuid4().hex, uuid4().hex
    assert run_cell(kernel, one, "%%endpoint old GET /old\nreturn 1") == "endpoint old: draft, answers GET /old"
    assert run_cell(kernel, two, "%%module kept\nreturn {}") == "module kept: draft"
    new = run_cell(kernel, one, "%%endpoint new GET /new\nreturn 2")
    assert new == "endpoint new: draft, answers GET /new; replaces endpoint old"
    assert kernel.fails("%call GET /old")["ename"] == "not_found"
    assert run_cell(kernel, one, "%%test checks\nassert(true)").startswith("test checks: draft; replaces endpoint new")
    assert run_cell(kernel, one, "%%python\n1").startswith("test checks: no draft any more")
    assert run_cell(kernel, two, "%%module kept\nreturn { x = 1 }") == "module kept: draft"
    assert run_cell(kernel, two, "6 * 7") == "module kept: no draft any more, since this cell defined it\n42"


def test_an_annotated_cell_that_becomes_another_lets_its_endpoint_go(kernel: Kernel, app: str) -> None:
    one, info = uuid4().hex, uuid4().hex
    run_cell(kernel, info, "-- ResponseInfo GET /a\nprint('{\"status\": 201}')")
    run_cell(kernel, one, "-- GET /a\nprint('a')")
    assert kernel.succeeds("%call GET /a").displays[0]["text/plain"].startswith("201")
    run_cell(kernel, one, "-- GET /b\nprint('b')")
    assert kernel.fails("%call GET /a")["ename"] == "not_found"
    kernel.succeeds("%call GET /b")
    run_cell(kernel, one, "1 + 1")
    assert kernel.fails("%call GET /b")["ename"] == "not_found"
    run_cell(kernel, one, "%%module m\nreturn {}")
    run_cell(kernel, one, "-- GET /c\nprint('c')")
    assert kernel.fails("require('m')")["ename"] == "module_not_found"
    kernel.succeeds("%reset --drafts")
    assert kernel.fails("%call GET /c")["ename"] == "not_found"
    assert "answers GET /c" in run_cell(kernel, uuid4().hex, "-- GET /c\nprint('again')")


def messages(kernel: Kernel, source: str) -> list[tuple[str, Message]]:
    seen: list[tuple[str, Message]] = []
    outcome = kernel.run(source, during=lambda kind, content: seen.append((kind, content)))
    assert outcome.status == "ok", outcome
    return [(kind, content) for kind, content in seen if kind not in ("status", "execute_input")]


def test_display_update_and_clear_are_jupyters_own(kernel: Kernel) -> None:
    seen = messages(kernel, "print('a')\nlocal at = display({ 1 })\nclear_output(true)\nat:update('done')\nat")
    assert [kind for kind, _ in seen] == ["stream", "display_data", "clear_output", "update_display_data"]
    _, (_, shown), (_, cleared), (_, updated) = seen
    assert cleared == {"wait": True}
    assert shown["transient"] == updated["transient"] != {}
    assert updated["data"] == {"text/plain": "done"}
    [(kind, again)] = messages(kernel, "at:update(2)")
    assert (kind, again["transient"]) == ("update_display_data", shown["transient"])


def test_python_has_lua(kernel: Kernel) -> None:
    kernel.succeeds("local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end")
    kernel.succeeds("%%endpoint echo POST /echo\nreturn { got = request.json, by = request.headers['x-by'] }, 201")
    source = (
        "%%python\nassert picloud.lua('return fib(n), n', n=20) == (6765, 20)\n"
        "answer = picloud.call('post', '/echo', json={'a': [1, None]}, headers={'x-by': 'me'})\n"
        "assert (answer.status, answer.json) == (201, {'got': {'a': [1, None]}, 'by': 'me'}), answer.json\n"
        "assert answer.headers['content-type'] == 'application/json'\nprint(picloud)\nanswer"
    )
    outcome = kernel.succeeds(source)
    assert outcome.text.startswith("201 Created\n")
    assert outcome.stdout.startswith("picloud.lua(")


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        ("picloud.lua('local x\\nx.y = n', n=1)", "ScriptRuntimeError", "attempt to index a nil value"),
        ("picloud.lua('return {', n=1)", "ScriptSyntaxError", "unexpected symbol near <eof>"),
        ("picloud.lua('return n', n=object())", "InvalidInput", "n cannot go to Lua"),
        ("picloud.lua(5)", "InvalidInput", "expected Lua as a string, got int"),
        ("picloud.call('GET', '/none')", "NotFound", ""),
    ],
)
def test_what_fails_in_lua_is_an_error_of_python_without_our_frames(
    kernel: Kernel, call: str, name: str, message: str
) -> None:
    error = kernel.fails(f"%%python\n{call}")
    assert error["ename"] == name
    assert message in error["evalue"]
    caught = kernel.succeeds(f"%%python\ntry: {call}\nexcept Exception as error: print(type(error).code, error)")
    assert message in caught.stdout


@pytest.mark.parametrize(
    "source",
    [
        "picloud.lua('print(1) while true do end')",
        "while True:\n    try: picloud.lua('print(1)')\n    except Exception: pass",
        "picloud.call('GET', '/spin')",
    ],
)
def test_an_interrupt_ends_lua_in_python_and_keeps_the_session(kernel: Kernel, source: str) -> None:
    kernel.succeeds("local kept = 7")
    kernel.succeeds("%%endpoint spin GET /spin\nprint(1) while true do end")
    once = threading.Event()

    def interrupt(kind: str, _content: Message) -> None:
        if kind == "stream" and not once.is_set():
            once.set()
            kernel.manager.interrupt_kernel()

    outcome = kernel.run(f"%%python\n{source}", during=interrupt)
    assert outcome.reply["ename"] == "KeyboardInterrupt"
    assert kernel.succeeds("kept").text == "7"
    assert kernel.succeeds("%%python\npicloud.lua('return kept')").text == "7"


SLIDER = """%%python
from ipywidgets import interact
interact(lambda n: picloud.lua(source, n=n), n=(1, 30))
"""


def comms(kernel: Kernel, source: str) -> dict[str, str]:
    """Run a cell; return the comm of each widget it makes, by the widget's model."""
    found: dict[str, str] = {}
    for kind, content in messages(kernel, source):
        if kind == "comm_open":
            found[content["data"]["state"]["_model_name"]] = content["comm_id"]
    return found


def move(kernel: Kernel, comm_id: str, value: int) -> list[Message]:
    """Move a slider as its view in the browser does."""
    data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
    return send(kernel, "comm_msg", {"comm_id": comm_id, "data": data})


def test_a_slider_drives_lua(kernel: Kernel) -> None:
    kernel.succeeds("local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end")
    kernel.succeeds("%%python\nsource = 'moved = n\\nreturn fib(n)'")
    widgets = comms(kernel, SLIDER)
    seen = move(kernel, widgets["IntSliderModel"], 20)
    shown = [message["content"]["data"]["text/plain"] for message in seen if message["msg_type"] == "display_data"]
    assert shown == ["6765"]
    assert kernel.succeeds("moved").text == "20"


def test_an_interrupt_ends_lua_that_a_slider_began(kernel: Kernel) -> None:
    kernel.succeeds("%%python\nsource = 'if n == 3 then print(1) while true do end end return n'")
    widgets = comms(kernel, SLIDER)
    content = {
        "comm_id": widgets["IntSliderModel"],
        "data": {"method": "update", "state": {"value": 3}, "buffer_paths": []},
    }
    message = kernel.client.session.msg("comm_msg", content)
    kernel.client.shell_channel.send(message)
    until(kernel, message, lambda answer: answer["msg_type"] == "stream")
    kernel.manager.interrupt_kernel()
    until(kernel, message, lambda answer: answer["content"].get("execution_state") == "idle")
    assert kernel.succeeds("6 * 7").text == "42"


def until(kernel: Kernel, message: Message, wanted: Callable[[Message], bool]) -> None:
    while True:
        answer = kernel.client.get_iopub_msg(timeout=CELL_TIMEOUT_S)
        if answer["parent_header"].get("msg_id") == message["header"]["msg_id"] and wanted(answer):
            return


def test_threads_take_turns_in_a_session(kernel: Kernel) -> None:
    kernel.succeeds("local count = 0")
    source = (
        "%%python\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    list(pool.map(lambda n: picloud.lua('for i = 1, 1000 do count = count + 1 end'), range(40)))"
    )
    kernel.succeeds(source)
    assert kernel.succeeds("count").text == "40000"
