"""Runs Lua as a cell of a session with the SDK does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import NotFound
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.platform import limits_of
from picloud.settings import Settings


def nothing_published(_name: str) -> Published:
    raise NotFound


class Lua:
    """Calls Lua functions of one expression with bytes, and returns what they return."""

    def __init__(self, **settings: Any) -> None:
        executor = Executor(limits_of(Settings(**settings)))
        self._session = Interactive(nothing_published, executor, "shop", print)

    def call(self, expression: str, *arguments: bytes | str) -> Any:
        """Return an expression's value as JSON has it; `a`, `b`, ... are the arguments. Raises `ScriptError`."""
        names = [f"local {chr(ord('a') + n)} = hex.decode(given[{n + 1}])" for n in range(len(arguments))]
        source = "\n".join(["local given = request.json", *names, f"return json.encode({expression})"])
        self._session.define(Script("it", ScriptKind.ENDPOINT, source), (Route("POST", "/it", "it"),))
        given = [(text.encode() if isinstance(text, str) else text).hex() for text in arguments]
        return json.loads(self._session.call("POST", "/it", body=json.dumps(given).encode()).body)

    def data(self, expression: str, *arguments: bytes | str) -> bytes:
        """Return an expression's value, a string of any bytes."""
        return bytes.fromhex(self.call(f"hex.encode({expression})", *arguments))

    def error(self, expression: str, *arguments: bytes | str) -> str:
        """Return the code and message of the error that an expression raises."""
        attempt = f"(function() local ok, e = pcall(function() return {expression} end)"
        return str(self.call(f'{attempt} return ok and "none" or e.code .. " " .. e.message end)()', *arguments))


@pytest.fixture(scope="session")
def lua() -> Lua:
    return Lua(run_memory_mb=256, run_cpu_s=60, run_timeout_s=60)


@pytest.fixture(scope="session")
def lua_with() -> Callable[..., Lua]:
    return Lua
