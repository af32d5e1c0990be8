"""`picloud serve` as a real process, spoken to over real sockets."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import httpx
import psutil
import pytest

from picloud.testing.processes import wait_until
from tests.acceptance.conftest import DEADLINE_S, Served, notebook, picloud

CELLS = [
    '%%module greet\nlocal M = {}\nfunction M.hello(name) return "Hello, " .. name end\nreturn M',
    '%%endpoint hello GET /hello/:name\nreturn { message = require("greet").hello(request.params.name) }',
    "%%endpoint echo POST /echo\nreturn { size = #request.body, headers = request.headers }",
    "%%endpoint fail GET /fail\nerror('secret of the script')",
]


@pytest.fixture
def served(serve: Callable[..., Served], environment: dict[str, str], tmp_path: Path) -> Served:
    """A data plane with the app `blog`."""
    published = picloud(environment, "publish", str(notebook(tmp_path, *CELLS)), "--app", "blog")
    assert published.returncode == 0, published.stderr
    return serve()


def test_a_publish_is_live_at_once_and_so_is_the_next(
    served: Served, environment: dict[str, str], tmp_path: Path
) -> None:
    url = f"{served.url}/run/blog/hello/ada"
    assert httpx.get(url).json() == {"message": "Hello, ada"}
    changed = notebook(tmp_path, CELLS[0].replace("Hello", "Good day"), *CELLS[1:])
    assert picloud(environment, "publish", str(changed), "--app", "blog").returncode == 0
    assert httpx.get(url).json() == {"message": "Good day, ada"}


def test_the_admin_api_answers_to_the_instance_token_only(served: Served, environment: dict[str, str]) -> None:
    url = f"{served.url}/api/v1/apps"
    assert httpx.get(url).status_code == 401
    token = (Path(environment["PICLOUD_HOME"]) / "instance-token").read_text().strip()
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
    assert [app["name"] for app in answer.json()["apps"]] == ["blog"]
    assert httpx.get(url, headers={"picloud.principal": "x", "Authorization": "Bearer pic_x"}).status_code == 401


def test_a_chunked_body_arrives_and_an_endless_one_is_413(served: Served) -> None:
    url = f"{served.url}/run/blog/echo"
    assert httpx.post(url, content=(b"x" * 1000 for _ in range(100))).json()["size"] == 100_000
    endless = served.raw(
        b"POST /run/blog/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"%x\r\n" % 2**21 + b"x" * 2**21 + b"\r\n0\r\n\r\n")
    )
    assert endless.startswith(b"HTTP/1.1 413 ")


def test_a_body_declared_too_large_is_413_without_being_sent(served: Served) -> None:
    answer = served.raw(
        b"POST /run/blog/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer


def test_head_has_the_length_and_no_body(served: Served) -> None:
    answer = served.raw(b"HEAD /run/blog/hello/ada HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(httpx.get(f'{served.url}/run/blog/hello/ada').content)}".encode() in head.lower()
    assert body == b""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/run/blog/hello/%ff", 400),
        ("/run/blog/hello/%E2%98%83", 200),
        ("/run/blog/../blog/hello/ada", 404),
        ("/run/blog/hello/a%2Fb", 404),
        ("/run/blog%00/hello/ada", 404),
        ("/run/other/hello/ada", 404),
    ],
)
def test_a_path_is_taken_as_it_comes(served: Served, path: str, status: int) -> None:
    answer = served.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_script_error_stays_inside(served: Served) -> None:
    answer = httpx.get(f"{served.url}/run/blog/fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


def test_the_server_s_environment_never_looks_like_a_header(served: Served) -> None:
    headers = httpx.post(f"{served.url}/run/blog/echo", content=b"").json()["headers"]
    assert "proxy" not in headers
    assert "proxy.internal" not in json.dumps(headers)


def test_sigterm_lets_requests_in_flight_finish_and_notes_their_runs(
    served: Served, environment: dict[str, str]
) -> None:
    with closing(socket.create_connection(served.address, timeout=DEADLINE_S)) as connection:
        connection.sendall(
            b"POST /run/blog/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # the application reads the body now
        served.process.send_signal(signal.SIGTERM)
        wait_until(served.refuses)
        connection.sendall(b"hello")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"size":5' in answer
    assert served.process.wait(DEADLINE_S) == 0
    runs = picloud(environment, "run", "list", "--app", "blog", "--json").stdout
    assert [(run["subject"], run["status"]) for run in json.loads(runs)] == [("POST /echo", "succeeded")]


def test_a_killed_worker_is_replaced(served: Served) -> None:
    [worker] = served.workers()
    worker.kill()
    wait_until(lambda: any(other.pid != worker.pid for other in served.workers()) and served.answers())


def test_no_worker_outlives_a_killed_server(serve: Callable[..., Served]) -> None:
    served = serve("--workers", "2")
    workers = served.workers()
    assert len(workers) == 2
    served.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=DEADLINE_S)
    assert alive == []


def test_a_taken_port_is_said_in_a_sentence(served: Served, environment: dict[str, str]) -> None:
    answer = picloud(environment, "serve", "--port", str(served.address[1]))
    assert answer.returncode == 1
    assert answer.stderr.startswith("picloud: Cannot listen on 127.0.0.1 port")
    assert "Traceback" not in answer.stderr


def test_a_database_that_is_not_there_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    environment["PICLOUD_DATABASE_URL"] = "postgresql://nobody:hunter2@127.0.0.1:1/none"
    answer = picloud(environment, "serve", "--port", "0")
    assert answer.returncode == 1
    assert answer.stderr.startswith("picloud: The database does not answer")
    assert "hunter2" not in answer.stderr


def test_the_data_plane_never_loads_jupyter() -> None:
    code = (
        "import sys, picloud.cli.serve, picloud.platform, picloud.web.server, picloud.web\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('jupyter_server', 'jupyterlab', 'ipykernel', 'IPython')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert done.stdout.strip() == "[]"


STALLS = "%%endpoint stall GET /stall\n" + "\n".join(
    [
        "local t, m = {}, (1 << 18) - 1  -- keys that all collide once the table has grown, in one step of C",
        "for j = 1, 1 << 17 do t[j * m] = 1 end",
        "t[-1] = 1",
        "return 'done'",
    ]
)


def test_a_run_that_cannot_be_stopped_costs_its_worker_and_nobody_else(
    environment: dict[str, str], serve: Callable[..., Served], tmp_path: Path
) -> None:
    """The worker is replaced before it drains: the others are answered meanwhile, the process is gone afterwards."""
    environment |= {"PICLOUD_RUN_TIMEOUT_S": "0.5", "PICLOUD_RUN_GRACE_S": "0.5"}
    assert picloud(environment, "publish", str(notebook(tmp_path, *CELLS)), "--app", "blog").returncode == 0
    assert picloud(environment, "publish", str(notebook(tmp_path, STALLS)), "--app", "evil").returncode == 0
    served = serve()
    [worker] = served.workers()
    with closing(socket.create_connection(served.address, timeout=DEADLINE_S)) as stalled:
        stalled.sendall(b"GET /run/evil/stall HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = monotonic() + DEADLINE_S
        resets = 0
        while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            try:
                assert httpx.get(f"{served.url}/run/blog/hello/ada").status_code == 200
            except httpx.TransportError:  # it waited in the old worker's queue when that stopped listening
                resets += 1
            assert monotonic() < deadline, "the stuck worker lives on"
        assert resets <= 1
    assert [other.pid for other in served.workers()] != [worker.pid]
    assert httpx.get(f"{served.url}/run/blog/hello/ada").status_code == 200


HOLDS_THE_LOCK = """
import ctypes
from picloud.settings import Settings
from picloud.web import server

def load(settings):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/hold":
            ctypes.PyDLL(None).sleep(600)  # C code that keeps Python's lock
        start_response("200 OK", [("content-length", "0")])
        return [b""]
    return application

settings = Settings(port=0, run_timeout_s=1, run_grace_s=1)
server.serve(settings, load, announce=lambda url: print("PiCloud answers on", url, flush=True))
"""


def test_a_worker_that_holds_pythons_lock_is_replaced(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        served = Served(process, process.stdout.readline().split()[-1])
        [worker] = served.workers()
        with closing(socket.create_connection(served.address, timeout=DEADLINE_S)) as held:
            held.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: worker.pid not in [other.pid for other in served.workers()])
        wait_until(served.answers)
        process.terminate()
