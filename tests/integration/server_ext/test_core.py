"""The core inside the Jupyter process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from picloud.errors import PlatformError
from picloud.settings import Settings
from picloud.storage.database import connect
from picloud.storage.embedded import Lease
from server_ext.core import Core


def status_of(application: Any, path: str) -> str:
    seen: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
    list(application(environ, lambda status, _headers: seen.append(status)))
    return seen[0]


def test_the_platform_opens_once_the_database_is_there(embedded_server: Lease, tmp_path: Path) -> None:
    name = f"late_{uuid4().hex}"
    url = SecretStr(embedded_server.conninfo(name))

    async def scenario() -> None:
        core = Core(Settings(home=tmp_path, database_url=url, database_timeout_s=1.0))
        with pytest.raises(PlatformError):
            await core.application()
        with connect(embedded_server.conninfo("postgres")) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        first, second = await asyncio.gather(core.application(), core.application())
        assert first is second
        assert status_of(first, "/healthz").startswith("200")
        await core.close()

    asyncio.run(scenario())
    with connect(embedded_server.conninfo("postgres")) as connection:
        connection.execute(f'DROP DATABASE "{name}"')  # refused while a connection is left open


def test_a_core_that_was_never_used_closes() -> None:
    asyncio.run(Core(Settings()).close())
