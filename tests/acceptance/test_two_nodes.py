"""Two data planes on one database: one finds the routes, the other runs what it is sent."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from picloud.testing.processes import wait_until
from tests.acceptance.conftest import DEADLINE_S, Served, notebook, picloud

ECHO = """%%endpoint echo POST /echo/*rest
local r = request
local seen = { r.method, r.path, r.query, r.params, r.headers, r.app, r.principal or false,
  (pcall(function() return r.json end)) }
return response.bytes(json.encode(seen) .. r.body, "application/x-echo", 207, { ["x-many"] = { "a", "b" } })
"""
CELLS = [
    "%%module greet\nlocal M = {}\nfunction M.hello(name) return 'Hello, ' .. name end\nreturn M",
    "%%endpoint hello GET /hello/:name timing=on\nreturn { message = require('greet').hello(request.params.name) }",
    ECHO,
    "%%endpoint private GET /private auth=token\nreturn 'for you'",
    "%%endpoint fail GET /fail\nerror('secret of the script')",
    "%%endpoint odd GET /odd\nreturn 'x', 200, { ['x-odd'] = '\\xff' }",
    "%%endpoint spin GET /spin\nwhile true do end",
    "%%endpoint left GET /left\nreturn tostring(request.remaining_ms())",
    "%%endpoint busy GET /busy\nlocal t = os.clock() while os.clock() - t < 0.2 do end return 'done'",
]


class Nodes:
    """The node that finds routes, and the one that runs scripts."""

    def __init__(self, environment: dict[str, str], serve: Callable[..., Served]) -> None:
        self._environment, self._serve = environment, serve
        self.back = serve()
        self.front = self.start_front()
        self.token = (Path(environment["PICLOUD_HOME"]) / "instance-token").read_text().strip()

    def start_front(self, **settings: str) -> Served:
        self._environment |= {"PICLOUD_EXECUTOR_URL": self.back.url, **settings}
        return self._serve()

    def publish(self, folder: Path, *cells: str) -> None:
        done = picloud(self._environment, "publish", str(notebook(folder, *cells)), "--app", "blog")
        assert done.returncode == 0, done.stderr

    def compiled(self, node: Served) -> float:
        """How many scripts the node has compiled."""
        answer = httpx.get(f"{node.url}/metrics", headers={"Authorization": f"Bearer {self.token}"})
        [line] = [
            line for line in answer.text.splitlines() if line.startswith('picloud_cache_misses_total{cache="chunks"')
        ]
        return float(line.split()[-1])


@pytest.fixture
def nodes(environment: dict[str, str], serve: Callable[..., Served], tmp_path: Path) -> Nodes:
    nodes = Nodes(environment, serve)
    nodes.publish(tmp_path, *CELLS)
    return nodes


VARYING = ("connection", "date", "server-timing")
REQUESTS: list[tuple[str, str, bytes, dict[bytes, bytes]]] = [
    ("GET", "/hello/ada", b"", {}),
    ("GET", "/hello/%E2%98%83%20%F0%9F%92%A9", b"", {}),
    (
        "POST",
        "/echo/a/b?x=1&x=2&%C3%BC=%00",
        '{"ü": [1, 2.0, null]}'.encode(),
        {b"X-Latin": b"caf\xe9"},
    ),
    ("POST", "/echo/binary", bytes(range(256)) * 100 + b"\n{}\n", {b"Content-Type": b"application/octet-stream"}),
    ("POST", "/echo/empty", b"", {}),
    ("HEAD", "/hello/ada", b"", {}),
    ("GET", "/private", b"", {}),
    ("GET", "/fail", b"", {}),
    ("GET", "/odd", b"", {}),
    ("GET", "/none", b"", {}),
    ("DELETE", "/hello/ada", b"", {}),
    ("POST", "/echo/large", b"x" * (2**20 - 5000), {}),
    ("POST", "/echo/larger", b"x" * (2**20 + 1), {}),
]


def test_the_other_node_runs_it_and_the_answer_is_the_same(nodes: Nodes) -> None:
    def ask(node: Served, method: str, path: str, body: bytes, headers: dict[bytes, bytes]) -> tuple[object, ...]:
        answer = httpx.request(
            method,
            f"{node.url}/run/blog{path}",
            content=body,
            headers={b"X-Request-Id": b"one-id-for-both", b"Host": b"picloud.test", **headers},
        )
        kept = {name: value for name, value in answer.headers.multi_items() if name not in VARYING}
        return answer.status_code, kept, answer.content, "server-timing" in answer.headers

    for request in REQUESTS:
        assert ask(nodes.front, *request) == ask(nodes.back, *request), request[1]
    assert nodes.compiled(nodes.front) == 0
    assert nodes.compiled(nodes.back) > 0


def test_a_publish_is_live_with_the_next_request(nodes: Nodes, tmp_path: Path) -> None:
    for version in range(5):
        nodes.publish(tmp_path, CELLS[0].replace("Hello", f"Version {version}"), *CELLS[1:])
        for _ in range(2):
            answer = httpx.get(f"{nodes.front.url}/run/blog/hello/ada")
            assert answer.json() == {"message": f"Version {version}, ada"}


def test_no_request_fails_while_publishes_land(nodes: Nodes, tmp_path: Path) -> None:
    """Route and script always fit: each version's route has a parameter of its own, which its script wants."""
    done = threading.Event()

    def ask() -> set[str]:
        seen = set()
        with httpx.Client() as client:
            while not done.is_set():
                answer = client.get(f"{nodes.front.url}/run/blog/v/ada")
                assert answer.status_code in (200, 404), answer.text
                seen.add(answer.text)
        return seen

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        try:
            for version in range(6):
                script = f"return request.params.p{version} .. require('greet').hello(' {version}')"
                module = CELLS[0].replace("Hello", f"version {version}")
                nodes.publish(tmp_path, module, f"%%endpoint v GET /v/:p{version}\n{script}")
        finally:
            done.set()
        seen = set.union(*(found.result() for found in asking))
    texts = {text for text in seen if "error" not in text}
    assert len(texts) > 1
    assert all(text == f"adaversion {text[-1]},  {text[-1]}" for text in texts)


def test_the_deadline_goes_along(nodes: Nodes) -> None:
    hasty = nodes.start_front(PICLOUD_RUN_TIMEOUT_S="1.5")
    assert 0 < int(httpx.get(f"{hasty.url}/run/blog/left").text) <= 1500
    assert 1500 < int(httpx.get(f"{nodes.front.url}/run/blog/left").text) <= 10_000
    stopped = httpx.get(f"{hasty.url}/run/blog/spin", timeout=DEADLINE_S)
    assert stopped.status_code == 504
    assert stopped.json()["error"]["code"] == "time_limit_exceeded"


def test_a_node_that_is_gone_is_said_and_nothing_was_run(nodes: Nodes) -> None:
    nodes.back.process.terminate()
    nodes.back.process.wait(DEADLINE_S)
    answer = httpx.get(f"{nodes.front.url}/run/blog/hello/ada")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "executor_unavailable"
    assert answer.headers["retry-after"]
    assert str(nodes.back.address[1]) not in answer.text
    assert httpx.get(f"{nodes.front.url}/healthz").status_code == 200


def test_a_node_killed_in_the_middle_of_a_run_is_said(nodes: Nodes) -> None:
    answers: list[httpx.Response] = []
    [worker] = nodes.back.workers()
    before = worker.cpu_times().user
    asking = threading.Thread(
        target=lambda: answers.append(httpx.get(f"{nodes.front.url}/run/blog/spin", timeout=DEADLINE_S))
    )
    asking.start()
    wait_until(lambda: worker.cpu_times().user > before + 0.3)
    worker.kill()
    asking.join(DEADLINE_S)
    assert answers[0].status_code == 502
    assert answers[0].json()["error"]["code"] == "executor_lost"
    wait_until(lambda: httpx.get(f"{nodes.front.url}/run/blog/hello/ada").status_code == 200)  # the next worker answers


def test_a_node_that_never_answers_is_given_up_at_the_deadline(nodes: Nodes, environment: dict[str, str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        environment |= {"PICLOUD_RUN_TIMEOUT_S": "0.5", "PICLOUD_RUN_GRACE_S": "0.5"}
        front = nodes.start_front(PICLOUD_EXECUTOR_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        answer = httpx.get(f"{front.url}/run/blog/hello/ada", timeout=DEADLINE_S)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "executor_lost"


def test_an_answer_that_is_not_picloud_s_is_given_up(nodes: Nodes, environment: dict[str, str]) -> None:
    """Some other server at the address: it may have done anything with the call."""

    def answer_with(head: bytes) -> httpx.Response:
        def serve() -> None:
            connection, _ = other.accept()
            with closing(connection):
                connection.recv(65536)
                connection.sendall(head)

        answering = threading.Thread(target=serve)
        answering.start()
        answer = httpx.get(f"{front.url}/run/blog/hello/ada", timeout=DEADLINE_S)
        answering.join(DEADLINE_S)
        return answer

    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        front = nodes.start_front(PICLOUD_EXECUTOR_URL=f"http://127.0.0.1:{other.getsockname()[1]}")
        for head in (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
            b"nonsense\r\n\r\n",
        ):
            answer = answer_with(head)
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "executor_lost")
        answer = answer_with(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "executor_unavailable")


def test_only_the_instance_token_may_have_calls_run(nodes: Nodes, environment: dict[str, str]) -> None:
    """A call says itself who makes it, so a token that could not be everybody is refused before it is read."""
    made = picloud(environment, "token", "create", "--app", "blog", "--scope", "app:admin", "--json")
    of_app = made.stdout.split('"')[3]
    for token, status in ((None, 401), ("pic_" + "x" * 40, 401), (of_app, 403)):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert httpx.post(f"{nodes.back.url}/execute", content=b"{}", headers=headers).status_code == status
    owner = {"Authorization": f"Bearer {nodes.token}"}
    assert httpx.get(f"{nodes.back.url}/execute", headers=owner).status_code == 405
    for content in (b"", b"{}", b"[]\n", b"\xff\xfe", b"{" * 100_000, os.urandom(1000)):
        answer = httpx.post(f"{nodes.back.url}/execute", content=content, headers=owner)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_a_node_of_another_token_refuses_and_the_caller_learns_nothing(
    nodes: Nodes, environment: dict[str, str], tmp_path: Path
) -> None:
    stranger = nodes.start_front(PICLOUD_HOME=str(tmp_path / "elsewhere"))  # replaces the token in the database
    environment["PICLOUD_HOME"] = str(tmp_path / "home")
    assert httpx.get(f"{stranger.url}/run/blog/hello/ada").status_code == 200
    answer = httpx.get(f"{nodes.front.url}/run/blog/hello/ada")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "executor_unavailable"


def test_an_app_does_not_take_all_threads_of_the_other_node(nodes: Nodes) -> None:
    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(httpx.get, f"{nodes.front.url}/run/blog/busy", timeout=DEADLINE_S) for _ in range(20)]
        statuses = {found.result().status_code for found in asking}
    assert statuses <= {200, 503}
    assert 200 in statuses


def test_the_doctor_looks_at_the_other_node(nodes: Nodes, environment: dict[str, str]) -> None:
    def finding() -> tuple[bool, str]:
        found = json.loads(picloud(environment, "doctor", "--json").stdout)
        [(ok, message)] = [(f["ok"], f["message"]) for f in found if f["check"] == "executor"]
        return ok, message

    assert finding()[0]
    environment["PICLOUD_EXECUTOR_URL"] = "http://127.0.0.1:1"
    assert finding() == (False, "nothing answers at PICLOUD_EXECUTOR_URL: start 'picloud serve' there")
    environment["PICLOUD_EXECUTOR_URL"] = "postgresql://127.0.0.1"
    refused = picloud(environment, "doctor")
    assert (refused.returncode, refused.stderr.startswith("picloud: PICLOUD_EXECUTOR_URL: ")) == (1, True)
