"""The attacks once more, over HTTP on a real data plane: one worker answers them all, and the probe after each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import open_platform
from picloud.settings import Settings
from tests.attacks.attack import LIMITS, MODULES, read_attack

HERE = Path(__file__).parent
FOUND = {f"{path.parent.name}_{path.stem}": read_attack(path) for path in sorted((HERE / "scripts").rglob("*.lua"))}
ATTACKS = {name: a for name, a in FOUND.items() if a.kind == "endpoint" and a.is_usual}
"""Those under the limits most attacks have: a data plane has one set of them."""


def manifest() -> Manifest:
    modules = [Script(name, ScriptKind.MODULE, source) for name, source in MODULES.items()]
    sources = {name: attack.source for name, attack in ATTACKS.items()}
    sources["probe"] = (HERE / "probe.lua").read_text()
    endpoints = [Script(name, ScriptKind.ENDPOINT, source) for name, source in sources.items()]
    routes = sorted(Route("GET", f"/{name}", name) for name in sources)
    scripts = sorted([*modules, *endpoints], key=lambda script: script.name)
    return Manifest(tuple(scripts), tuple(routes))


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"]) if answer.status_code >= 400 else "ok"


@pytest.mark.timeout(300)
def test_every_attack_ends_as_expected_and_the_worker_lives(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(database_url))
    with open_platform(settings) as platform:
        platform.publisher.publish("victim", manifest(), author="test", message="", notebook=None, create=True)
    limits = {f"PICLOUD_{name.upper()}": str(value) for name, value in LIMITS.items()}
    own = {"PICLOUD_HOME": str(tmp_path), "PICLOUD_DATABASE_URL": database_url} | limits
    command = [sys.executable, "-m", "picloud", "serve", "--port", "0"]
    environment = os.environ | own
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        httpx.Client(timeout=60, headers={"cookie": "a=b"}) as client,
    ):
        try:
            assert process.stdout is not None
            url = f"{process.stdout.readline().split()[-1]}/run/victim"
            workers = [child.pid for child in psutil.Process(process.pid).children()]
            wrong = {}
            for name, attack in ATTACKS.items():
                try:
                    code, probe = code_of(client.get(f"{url}/{name}")), client.get(f"{url}/probe").text
                except httpx.TransportError as error:
                    code, probe = repr(error), ""
                if code not in attack.codes or probe != "clean":
                    wrong[name] = (code, probe)
            assert wrong == {}
            assert [child.pid for child in psutil.Process(process.pid).children()] == workers
        finally:
            process.terminate()
