"""The admin API under Jupyter: the core's WSGI application behind Jupyter's login, XSRF check and authorizer (D8)."""

from __future__ import annotations

import uuid
from concurrent.futures import Executor
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import httputil, web, wsgi

from picloud.errors import PermissionDenied, PicloudError, PlatformError, Unauthenticated
from picloud.model.principal import Principal, Scope
from picloud.web.caller import PRINCIPAL
from picloud.web.problems import Audience, problem_of
from picloud.web.wsgi import Application
from server_ext.core import Core

RESOURCE = "picloud"
"""What Jupyter's authorizer is asked about."""
SESSION_KEYS = ("HTTP_AUTHORIZATION", "HTTP_COOKIE")
"""They are Jupyter's and were checked here; the core neither needs nor logs them."""


class ApiContainer(wsgi.WSGIContainer):
    """Runs the application for one authenticated request, below a mount point."""

    def __init__(self, application: Application, executor: Executor, *, mount: str, principal: Principal) -> None:
        super().__init__(application, executor)
        self._mount = mount
        self._principal = principal
        self.status = 0
        """The response's status, once there is one."""

    def environ(self, request: httputil.HTTPServerRequest) -> dict[str, Any]:
        """Return the WSGI environment with mount point and principal and without Jupyter's secrets."""
        environ = super().environ(request)
        environ["SCRIPT_NAME"] = self._mount
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self._mount)
        environ["QUERY_STRING"] = "&".join(
            part for part in environ["QUERY_STRING"].split("&") if part.partition("=")[0] not in ("token", "_xsrf")
        )
        for key in SESSION_KEYS:
            environ.pop(key, None)
        environ[PRINCIPAL] = self._principal
        return environ

    def _log(self, status_code: int, request: httputil.HTTPServerRequest) -> None:  # noqa: ARG002  tornado's signature
        """Leave the access log to Jupyter, which hides tokens in it."""
        self.status = status_code


class ApiHandler(APIHandler):
    """Lets an authenticated and authorized user through to the core."""

    def initialize(self, core: Core, mount: str) -> None:
        """Take the collaborators; `mount` is the path of the core's root, without a slash at its end."""
        self._core = core
        self._mount = mount

    @web.authenticated
    @authorized("read", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def get(self, *_path: str) -> None:
        """Answer a request that reads."""
        await self._serve()

    @web.authenticated
    @authorized("write", resource=RESOURCE)  # type: ignore[untyped-decorator]
    async def post(self, *_path: str) -> None:
        """Answer a request that may change something."""
        await self._serve()

    head = get
    options = get  # type: ignore[assignment]  # Jupyter's answers preflights; the core needs none
    put = patch = delete = post

    async def _serve(self) -> None:
        application = await self._core.application()
        container = ApiContainer(application, self._core.executor, mount=self._mount, principal=self._principal())
        await container.handle_request(self.request)
        # As tornado's FallbackHandler does: the container has written the response.
        self.set_status(container.status)
        self._finished = True
        self._log()
        self.update_api_activity()
        self.on_finish()

    def _principal(self) -> Principal:
        """Jupyter's user may do everything: whoever passes the login has a terminal here, too."""
        return Principal(f"jupyter:{self.current_user.username}", frozenset(Scope))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in the core's shape of an error, Jupyter's own refusals included."""
        cause = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        error = cause if isinstance(cause, PicloudError) else self._jupyter_error(status_code, cause)
        problem = problem_of(error, uuid.uuid4().hex, Audience.AUTHOR)
        self.set_status(status_code if isinstance(cause, web.HTTPError) else problem.status)
        for name, value in problem.headers:
            self.set_header(name, value)
        self.finish(problem.body)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Leave PiCloud's own errors to `problem_of`, which logs them."""
        if not isinstance(value, PicloudError):
            super().log_exception(typ, value, tb)

    def _jupyter_error(self, status: int, cause: BaseException | None) -> PicloudError:
        if status == 403 and not self.current_user:
            return Unauthenticated("Log in to Jupyter first, or send its token.")
        if isinstance(cause, web.HTTPError):
            return PermissionDenied(cause.log_message or cause.reason or None)
        error = PlatformError()
        error.__cause__ = cause
        return error
