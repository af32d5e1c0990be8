"""Where the data plane listens."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator

import pytest

from picloud.settings import Settings
from server_ext.data_plane import DataPlane, free_port

LOG = logging.getLogger("test.data_plane")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_used_as_wished() -> None:
    wanted = free_port("127.0.0.1", 0)
    assert free_port("127.0.0.1", wanted) == wanted


def test_a_taken_port_is_replaced_and_the_log_says_so(taken: int, caplog: pytest.LogCaptureFixture) -> None:
    plane = DataPlane(Settings(host="127.0.0.1", port=taken), LOG)
    with caplog.at_level(logging.WARNING):
        command = plane.command()
    assert plane.port not in (0, taken)
    assert command[-2:] == ["--port", str(plane.port)]
    assert f"port {taken} is taken" in caplog.text
    assert str(plane.port) in caplog.text


def test_the_port_stays_the_same_over_restarts() -> None:
    plane = DataPlane(Settings(host="127.0.0.1", port=0), LOG)
    plane.command()
    first = plane.port
    plane.command()
    assert plane.port == first


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        free_port("192.0.2.1", 8787)


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:0"), ("::", "http://[::1]:0"), ("127.0.0.1", "http://127.0.0.1:0")]
)
def test_the_url_can_be_connected_to(host: str, url: str) -> None:
    assert DataPlane(Settings(host=host), LOG).url == url


def test_the_command_is_this_interpreters() -> None:
    command = DataPlane(Settings(host="127.0.0.1", port=0), LOG).command()
    assert command[:4] == [sys.executable, "-m", "picloud", "serve"]
