"""The extension: PiCloud's handlers and child processes for as long as a Jupyter server runs."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import httpcore
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Float

from picloud.settings import Settings
from server_ext.api import ApiHandler
from server_ext.core import Core
from server_ext.data_plane import DataPlane, worker_command
from server_ext.proxy import ScriptRouteHandler
from server_ext.supervisor import Supervisor

POLL_S = 0.1


class PicloudExtension(ExtensionApp):
    """A script cloud inside Jupyter: published Lua cells answer below /picloud/run/."""

    name = "picloud"

    announce = Bool(
        False, help="Write the URLs of JupyterLab, script routes and data plane to stdout once they answer."
    ).tag(config=True)
    start_timeout_s = Float(30.0, help="Seconds `announce` waits for the data plane before it writes anyway.").tag(
        config=True
    )
    stop_grace_s = Float(8.0, help="Seconds a child process gets between SIGTERM and SIGKILL.").tag(config=True)

    def initialize_settings(self) -> None:
        """Put the parts together."""
        settings = Settings()
        self._body_max_bytes = settings.body_max_mb * 2**20
        self._core = Core(settings)
        self._data_plane = DataPlane(settings, self.log)
        self._children = [
            Supervisor("data plane", self._data_plane.command, log=self.log, grace_s=self.stop_grace_s),
            Supervisor("trigger worker", worker_command, log=self.log, grace_s=self.stop_grace_s),
        ]
        self._announcement: asyncio.Task[None] | None = None

    def initialize_handlers(self) -> None:
        """Mount the core's two halves: script routes by proxy, the admin API in this process."""
        api: dict[str, Any] = {"core": self._core, "mount": self._mount}
        routes: dict[str, Any] = {
            "data_plane": self._data_plane,
            "mount": self._mount,
            "jupyter_token": lambda: self._server.identity_provider.token or "",
            "body_max_bytes": self._body_max_bytes,
        }
        self.handlers.extend(
            [
                (r"/picloud/run/(.*)", ScriptRouteHandler, routes),
                (r"/picloud/(api/.*|healthz)", ApiHandler, api),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:  # noqa: ARG002  Jupyter's signature
        """Start the children; called on the running event loop, in the main thread."""
        for child in self._children:
            child.start()
        self._announcement = asyncio.create_task(self._announce())

    async def stop_extension(self) -> None:
        """Stop the children, then close the platform."""
        if self._announcement is not None:
            self._announcement.cancel()
        await asyncio.gather(*(child.stop() for child in self._children))
        await self._core.close()

    @property
    def _server(self) -> Any:
        """The Jupyter server; linked before any of this class's methods runs."""
        return self.serverapp

    @property
    def _mount(self) -> str:
        return str(url_path_join(self._server.base_url, "picloud"))

    async def _announce(self) -> None:
        answers = await self._data_plane_answers()
        if not answers:
            self.log.warning("PiCloud's data plane does not answer yet; the messages above say why")
        # Kernels inherit these: `%publish` names the URLs that really answer.
        os.environ["JUPYTER_SERVER_URL"] = self._server.connection_url
        os.environ["PICLOUD_PORT"] = str(self._data_plane.port)
        if self.announce:
            sys.stdout.write("\n" + "\n".join(self._urls()) + "\n\n")
            sys.stdout.flush()
        else:
            self.log.info("PiCloud answers on\n%s", "\n".join(self._urls()))

    def _urls(self) -> list[str]:
        server = self._server
        root = server.connection_url.rstrip("/")
        identity = server.identity_provider
        # As Jupyter does: a token somebody chose is not shown.
        token = f"?token={identity.token if identity.token_generated else '...'}" if identity.token else ""
        page = server.default_url.removeprefix(server.base_url.rstrip("/"))
        return [
            f"JupyterLab:     {root}{page}{token}",
            f"Script routes:  {root}/picloud/run/",
            f"Data plane:     {self._data_plane.url}/run/",
        ]

    async def _data_plane_answers(self) -> bool:
        try:
            async with asyncio.timeout(self.start_timeout_s):
                while not await self._is_healthy():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True

    async def _is_healthy(self) -> bool:
        if not self._data_plane.port:
            return False
        try:
            async with httpcore.AsyncConnectionPool() as pool:
                response = await pool.request("GET", f"{self._data_plane.url}/healthz")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            return False
        return bool(response.status == 200)
