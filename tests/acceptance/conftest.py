"""A data plane as a real process: started, published to and spoken to as an operator would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

PICLOUD = [sys.executable, "-m", "picloud"]
DEADLINE_S = 60


def notebook(folder: Path, *cells: str) -> Path:
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
            for cell in cells
        ],
    }
    path = folder / "nb.ipynb"
    path.write_text(json.dumps(content))
    return path


def picloud(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PICLOUD, *arguments], env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        assert url.port
        return url.host, url.port

    def workers(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children

    def raw(self, request: bytes) -> bytes:
        """Send bytes and return all that comes back until the server closes."""
        with closing(socket.create_connection(self.address, timeout=DEADLINE_S)) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def refuses(self) -> bool:
        try:
            socket.create_connection(self.address, timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    settings = {
        "PICLOUD_HOME": str(tmp_path / "home"),
        "PICLOUD_DATABASE_URL": database_url,
        "PICLOUD_BODY_MAX_MB": "1",
        "HTTP_PROXY": "http://proxy.internal:3128",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PICLOUD_")} | settings


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Served:
        log = (tmp_path / f"serve-{len(started)}.log").open("w")
        with log:
            process = subprocess.Popen(
                [*PICLOUD, "serve", "--port", "0", *options],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("PiCloud answers on http://"), Path(log.name).read_text()
        return Served(process, line.split()[-1])

    yield start
    for process in started:
        process.terminate()
        process.wait(DEADLINE_S)
        assert process.stdout is not None
        process.stdout.close()
