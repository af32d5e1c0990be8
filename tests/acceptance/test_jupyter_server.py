"""A real Jupyter server, started by `picloud lab`, with its real data plane, worker and database."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from picloud.testing.processes import postmaster_pid, scratch_home, wait_until

WAIT_S = 60.0
AUTHORIZER = '''
from jupyter_server.auth import Authorizer

class NotDenied(Authorizer):
    """Refuses to change what has "denied" in its path."""

    def is_authorized(self, handler, user, action, resource):
        return not (resource == "picloud" and action == "write" and "denied" in handler.request.path)
'''
ECHO = """
return response.json({ headers = request.headers, query = request.query, body = request.body }, 200, {
  ["Set-Cookie"] = "stolen=1",
  ["Content-Security-Policy"] = "sandbox allow-same-origin",
})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@dataclass(frozen=True, slots=True)
class Lab:
    """A running `picloud lab` and what it printed."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    """JupyterLab's, without path and token."""
    token: str
    page: str
    """Path of the page it opens."""
    data_plane: str

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the admin API with Jupyter's token."""
        headers = {"Authorization": f"token {self.token}"} | options.pop("headers", {})
        return httpx.request(method, f"{self.url}/picloud/api/v1{path}", headers=headers, timeout=30, **options)

    def children(self, command: str) -> list[psutil.Process]:
        """Return the supervised children that run `picloud COMMAND` now."""
        return [p for p in psutil.Process(self.process.pid).children() if ["picloud", command] == command_line(p)[2:4]]

    def child(self, command: str) -> psutil.Process:
        """Return the one supervised child that runs this command, once it does."""
        wait_until(lambda: self.children(command), timeout_s=WAIT_S)
        return self.children(command)[0]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has just ended
        return []


@contextmanager
def running_lab(
    home: Path, *arguments: str, port: int | None = None, data_plane_port: int | None = None
) -> Iterator[Lab]:
    user = home / "user"
    user.mkdir(exist_ok=True)
    (user / "lab_authorizer.py").write_text(AUTHORIZER)
    log = user / f"lab-{time.monotonic_ns()}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PICLOUD"))} | {
        "HOME": str(user),
        "PICLOUD_HOME": str(home),
        "PICLOUD_PORT": str(data_plane_port or free_port()),
        "PYTHONPATH": str(user),
    }
    command = [sys.executable, "-m", "picloud", "lab", "--no-browser", "--port", str(port or free_port())]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--", "--ServerApp.authorizer_class=lab_authorizer.NotDenied", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=user,
            start_new_session=True,
        )
        try:
            yield announced(process, log)
        except BaseException:
            sys.stdout.write(log.read_text(errors="replace"))  # pytest shows it with the failure
            raise
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
                process.wait()


def announced(process: subprocess.Popen[bytes], log: Path) -> Lab:
    def found() -> re.Match[str] | None:
        assert process.poll() is None, "picloud lab ended"
        return re.search(
            r"^JupyterLab: +(http://[^/]+)(\S*)\?token=(\w+)\nScript routes: +(\S+)\nData plane: +(\S+)/run/\n",
            log.read_text(errors="replace"),
            re.MULTILINE,
        )

    wait_until(found, timeout_s=WAIT_S)
    match = found()
    assert match is not None
    assert match[4] == f"{match[1]}/picloud/run/"
    return Lab(process, log, url=match[1], page=match[2], token=match[3], data_plane=match[5])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with scratch_home() as home, running_lab(home) as lab:
        assert lab.api("POST", "/apps", json={"name": "demo"}).status_code == 201
        for name, source in {"echo": ECHO, "hello": 'return { message = "hello" }'}.items():
            answer = lab.api("PUT", f"/apps/demo/scripts/{name}", json={"kind": "endpoint", "source": source})
            assert answer.status_code == 200, answer.text
        for method, script in [("GET", "hello"), ("GET", "echo"), ("POST", "echo")]:
            route = {"method": method, "pattern": f"/{script}", "script": script}
            assert lab.api("PUT", "/apps/demo/routes", json=route).status_code == 200
        yield lab


def test_the_printed_url_opens_the_welcome_notebook(lab: Lab) -> None:
    assert lab.page == "/lab/tree/01-welcome.ipynb"
    assert httpx.get(f"{lab.url}{lab.page}?token={lab.token}").status_code == 200
    notebook = f"{lab.url}/api/contents/01-welcome.ipynb?content=0&token={lab.token}"
    assert httpx.get(notebook).status_code == 200


def test_jupyter_knows_the_kernel(lab: Lab) -> None:
    specs = httpx.get(f"{lab.url}/api/kernelspecs?token={lab.token}").json()["kernelspecs"]
    assert "picloud" in specs


def test_a_route_answers_the_same_under_jupyter_and_on_the_data_plane(lab: Lab) -> None:
    for base in (f"{lab.url}/picloud", lab.data_plane):
        answer = httpx.get(f"{base}/run/demo/hello")
        assert answer.status_code == 200
        assert answer.json() == {"message": "hello"}


def test_errors_of_the_data_plane_pass_through(lab: Lab) -> None:
    assert httpx.get(f"{lab.url}/picloud/run/demo/nothing").status_code == 404
    refused = httpx.delete(f"{lab.url}/picloud/run/demo/echo")
    assert refused.status_code == 405
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_large_body_is_refused(lab: Lab) -> None:
    body = b"x" * (16 * 2**20 + 1)
    with socket.create_connection(("127.0.0.1", httpx.URL(lab.url).port or 80)) as connection:
        connection.sendall(
            b"POST /picloud/run/demo/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    fits = httpx.post(f"{lab.url}/picloud/run/demo/echo", content=b"y" * 2**20)
    assert fits.status_code == 200
    assert len(fits.json()["body"]) == 2**20


def test_no_part_of_the_jupyter_session_reaches_a_script(lab: Lab) -> None:
    with httpx.Client() as browser:
        browser.get(f"{lab.url}/lab?token={lab.token}")
        assert browser.cookies
        answer = browser.get(
            f"{lab.url}/picloud/run/demo/echo?token={lab.token}&x=1",
            headers={"Authorization": f"token {lab.token}", "Referer": f"{lab.url}/lab?token={lab.token}"},
        )
    seen = answer.json()
    assert lab.token not in answer.text
    assert not {"cookie", "authorization", "referer"} & seen["headers"].keys()
    assert seen["query"] == {"x": "1"}


def test_a_page_of_a_script_is_sandboxed(lab: Lab) -> None:
    headers = httpx.get(f"{lab.url}/picloud/run/demo/echo").headers
    assert headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/api/v1/apps", "/api/v1/openapi.json", "/healthz"])
def test_without_login_the_api_answers_403_as_json(lab: Lab, method: str, path: str) -> None:
    answer = httpx.request(method, f"{lab.url}/picloud{path}")
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]["code"] in ("unauthenticated", "permission_denied")


def test_a_wrong_token_is_no_login(lab: Lab) -> None:
    assert lab.api("GET", "/apps", headers={"Authorization": "token wrong"}).status_code == 403


def test_health_and_openapi_answer_to_a_logged_in_user(lab: Lab) -> None:
    assert lab.api("GET", "/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(f"{lab.url}/picloud/healthz?token={lab.token}").json() == {"status": "ok"}


def test_a_browser_session_needs_the_xsrf_token_to_change_something(lab: Lab) -> None:
    apps = f"{lab.url}/picloud/api/v1/apps"
    with httpx.Client() as browser:
        browser.get(f"{lab.url}/lab?token={lab.token}")
        assert browser.get(apps).status_code == 200
        forged = browser.post(apps, json={"name": "forged"})
        assert forged.status_code == 403
        assert forged.json()["error"]["code"] == "permission_denied"
        made = browser.post(apps, json={"name": "made"}, headers={"X-XSRFToken": browser.cookies["_xsrf"]})
        assert made.status_code == 201
        assert browser.get(apps, headers={"Origin": "http://evil.test"}).status_code == 404
    names = [app["name"] for app in lab.api("GET", "/apps").json()["apps"]]
    assert "made" in names
    assert "forged" not in names


def test_the_authorizer_decides_by_resource_and_action(lab: Lab) -> None:
    assert lab.api("DELETE", "/apps/denied").status_code == 403
    assert lab.api("GET", "/apps/denied").status_code == 404


def test_releases_carry_the_jupyter_users_name(lab: Lab) -> None:
    release = lab.api("GET", "/apps/demo/releases").json()["releases"][0]
    assert release["author"].startswith("jupyter:")


def test_a_killed_data_plane_comes_back_on_the_same_port(lab: Lab) -> None:
    child = lab.child("serve")
    workers = child.children(recursive=True)
    child.kill()
    wait_until(lambda: not any(worker.is_running() for worker in workers))
    wait_until(lambda: answers(f"{lab.url}/picloud/run/demo/hello"))
    assert answers(f"{lab.data_plane}/run/demo/hello")


def test_a_killed_worker_comes_back(lab: Lab) -> None:
    first = lab.child("worker")
    first.kill()
    wait_until(lambda: any(child.pid != first.pid for child in lab.children("worker")))


def test_while_the_data_plane_is_away_the_answer_is_a_sentence(lab: Lab) -> None:
    child = lab.child("serve")
    child.kill()
    seen = set()
    while (answer := httpx.get(f"{lab.url}/picloud/run/demo/hello")).status_code != 200:
        seen.add((answer.status_code, answer.json()["error"]["code"]))
        assert "Traceback" not in answer.text
    assert seen <= {(503, "data_plane_unavailable"), (502, "data_plane_unavailable")}
    assert seen


def everything_below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def of_home(home: Path) -> list[psutil.Process]:
    """Return the processes started for this home: they have it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PICLOUD_HOME") == str(home) and not ended(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_behind_however_jupyter_ends(how: signal.Signals) -> None:
    with scratch_home() as home, running_lab(home) as lab:
        wait_until(lambda: answers(f"{lab.data_plane}/healthz"))
        below = everything_below(lab.process)
        assert len(below) >= 2
        lab.process.send_signal(how)
        lab.process.wait(30)
        wait_until(lambda: all(ended(process) for process in below))
        wait_until(lambda: not of_home(home) and postmaster_pid(home) is None)


def test_taken_ports_are_avoided_and_the_printed_urls_are_true() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
        scratch_home() as home,
        running_lab(home, port=first.getsockname()[1], data_plane_port=second.getsockname()[1]) as lab,
    ):
        assert answers(f"{lab.data_plane}/healthz")
        assert lab.api("GET", "/apps").status_code == 200
        assert f"port {second.getsockname()[1]} is taken" in lab.log.read_text()
