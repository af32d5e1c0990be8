from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

import pytest
from pydantic import SecretStr

from picloud.admin.tokens import TokenAdministration
from picloud.model.principal import Principal, Scope
from picloud.model.release import Manifest
from picloud.model.route import Route, RouteAuth
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.web import create_app
from picloud.web.wsgi import Application

ENDPOINTS = {
    "hello": 'local greet = require("greet") return { message = greet.hello(request.params.name) }',
    "echo": (
        "return { body = request.body, method = request.method, path = request.path, query = request.query, "
        "headers = request.headers, principal = request.principal, id = request.id }"
    ),
    "fail": "local password = 'hunter2' error('password is ' .. password)",
    "spin": "while true do end",
    "hoard": "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    "split": "return 'x', 200, { ['x-a'] = 'a\\r\\nset-cookie: admin=1' }",
    "forge": "return 'hello', 201, { ['content-length'] = '1', ['x-request-id'] = 'forged', ['x-ok'] = 'yes' }",
    "nothing": "return nil",
    "text": "return 'grüße'",
}


def manifest() -> Manifest:
    scripts = [Script(name, ScriptKind.ENDPOINT, source) for name, source in ENDPOINTS.items()]
    module = Script("greet", ScriptKind.MODULE, 'local M = {} function M.hello(n) return "Hello, " .. n end return M')
    routes = [Route(method, f"/{name}", name) for name in ENDPOINTS for method in ("GET", "POST") if name != "hello"]
    extra = [
        Route("GET", "/hello/:name", "hello"),
        Route("GET", "/files/*path", "echo"),
        Route("GET", "/timed/:name", "hello", timing=True),
        Route("GET", "/private", "echo", RouteAuth.TOKEN),
    ]
    return Manifest(tuple(sorted([*scripts, module], key=lambda s: s.name)), tuple(sorted([*routes, *extra])))


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform with the apps `blog` (with everything in ENDPOINTS) and `other` (empty)."""
    settings = Settings(
        home=tmp_path, database_url=SecretStr(database_url), run_timeout_s=1.0, run_memory_mb=16, body_max_mb=1
    )
    with open_platform(settings) as platform:
        platform.apps.create("other")
        platform.publisher.publish("blog", manifest(), author="cli:test", create=True)
        yield platform


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The `error` object; checks what every error answer has."""
        assert self.headers["content-type"] == "application/json"
        found = self.json()["error"]
        assert found["request_id"] == self.headers["x-request-id"]
        return found


class Client:
    """Calls the application as a server would, with PEP 3333's rules checked on both sides."""

    def __init__(self, application: Application) -> None:
        self._application = validator(application)

    def __call__(
        self,
        method: str,
        target: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        data: object = None,
        principal: Principal | None = None,
        chunked: bool = False,
    ) -> Answer:
        if data is not None:
            body = json.dumps(data).encode()
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "test",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body or b""),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        if principal:
            environ["picloud.principal"] = principal
        if chunked:
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        elif body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))
        return self._send(environ)

    def _send(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda _data: None

        parts = self._application(environ, start_response)
        try:
            body = b"".join(parts)
        finally:
            parts.close()  # type: ignore[attr-defined]
        names = [name.lower() for name, _ in started[1]]
        assert len(names) == len(set(names)), names
        headers = {name.lower(): value for name, value in started[1]}
        if environ["REQUEST_METHOD"] != "HEAD" and "content-length" in headers:
            assert int(headers["content-length"]) == len(body)
        return Answer(int(started[0].split()[0]), headers, body)


@pytest.fixture
def client(platform: Platform) -> Client:
    return Client(create_app(platform))


class TokenMaker:
    """Makes a token of an app, or with None of the instance."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __call__(self, app: str | None, *scopes: Scope) -> str:
        administration = TokenAdministration(self._platform.tokens)
        owner = self._platform.apps.get(app) if app else None
        name = f"t{len(self._platform.tokens.list())}"
        return administration.create(name, scopes or Scope, app=owner, now=datetime.now(UTC)).token


@pytest.fixture
def make_token(platform: Platform) -> TokenMaker:
    return TokenMaker(platform)
