"""Jupyter's side of the kernel: requests in, outputs and replies out.

Cells run in the main thread, one at a time. Control requests arrive in ipykernel's control thread, so an interrupt
reaches a cell that is running.
"""

# mypy: allow-untyped-calls
# ipykernel declares types, but not for most of its methods.

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import List

from picloud.errors import InvalidInput, PicloudError, RunInterrupted
from picloud.platform import open_platform
from picloud.publishing.cells import Cell, PythonCell, parse_cell
from picloud.settings import Settings
from picloud.version import __version__
from picloud_kernel import completion, errors
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import Runner
from picloud_kernel.session import Session


class _Running(Enum):
    NOTHING = "nothing"
    PYTHON = "python"
    LUA = "lua"


class PicloudKernel(IPythonKernel):
    """A Lua kernel that hands `%%python` cells to IPython."""

    implementation = "picloud"
    implementation_version = __version__
    language_info = {  # noqa: RUF012  (ipykernel declares it so)
        "name": "lua",
        "version": "5.4",
        "mimetype": "text/x-lua",
        "file_extension": ".lua",
        "pygments_lexer": "lua",
        "codemirror_mode": "lua",
    }
    help_links = List([{"text": "Lua 5.4 Reference", "url": "https://www.lua.org/manual/5.4/"}])
    banner = f"PiCloud {__version__}: Lua cells become HTTP endpoints. '%help' lists the magics."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cells = Session(lambda: open_platform(Settings()), self._write)
        commands = Commands(self._cells, server_url=os.environ.get("JUPYTER_SERVER_URL"))
        self._runner = Runner(self._cells, commands, self._show)
        self._running = _Running.NOTHING
        self._silent = False

    @property
    def kernel_info(self) -> dict[str, Any]:
        """ipykernel's, without its debugger: that one knows Python only."""
        info: dict[str, Any] = super().kernel_info
        return {**info, "supported_features": [name for name in info["supported_features"] if name != "debugger"]}

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Run a cell; `user_expressions` are evaluated for Python cells only, Lua has nothing like them."""
        self._silent = silent
        number = self.execution_count
        try:
            cell = parse_cell(code)
            if isinstance(cell, PythonCell):
                return await self._run_python(
                    cell, silent, store_history, user_expressions, allow_stdin, cell_meta=cell_meta, cell_id=cell_id
                )
            self._run_lua(cell, number)
            outcome: dict[str, Any] = {"status": "ok", "payload": [], "user_expressions": {}}
        except PicloudError as error:
            outcome = self._fail(errors.report(error, self._runner.source_of))
        except KeyboardInterrupt:
            outcome = self._fail(errors.report(RunInterrupted(), self._runner.source_of))
        except Exception:
            self.log.exception("cell failed inside PiCloud")
            outcome = self._fail(errors.internal_report())
        finally:
            self._running = _Running.NOTHING
        self._count(code, number, store_history and not silent)
        return {**outcome, "execution_count": number}

    async def _run_python(self, cell: PythonCell, *arguments: Any, **options: Any) -> dict[str, Any]:
        self._running = _Running.PYTHON
        reply: dict[str, Any] = await super().do_execute(cell.source, *arguments, **options)
        return reply

    def _run_lua(self, cell: Cell, number: int) -> None:
        self._running = _Running.LUA
        result = self._runner.run(cell, f"cell {number}")
        if result is not None:
            self._publish("execute_result", result, execution_count=number)

    def _count(self, code: str, number: int, store_history: bool) -> None:
        """Number the next cell and remember this one, as IPython does for Python cells."""
        if store_history and self.shell is not None:
            self.shell.history_manager.store_inputs(number, code, code)
            self.shell.execution_count = number + 1

    def _fail(self, report: errors.Report) -> dict[str, Any]:
        content = {"ename": report.name, "evalue": report.message, "traceback": list(report.traceback)}
        if not self._silent:
            sys.stdout.flush()
            self.send_response(self.iopub_socket, "error", content, ident=self._topic("error"))
        return {"status": "error", **content}

    def _write(self, text: str) -> None:
        """Send what a script prints; ipykernel's stream gathers it and sends it about five times a second."""
        if not self._silent:
            sys.stdout.write(text)

    def _show(self, bundle: Bundle) -> None:
        self._publish("display_data", bundle, transient={})

    def _publish(self, kind: str, bundle: Bundle, **more: Any) -> None:
        if self._silent:
            return
        sys.stdout.flush()
        content = {"data": bundle.data, "metadata": bundle.metadata, **more}
        self.send_response(self.iopub_socket, kind, content, ident=self._topic(kind))

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """End the running cell: Lua by its own mechanism, Python by SIGINT. Runs in the control thread."""
        if self._running is _Running.PYTHON:
            await super().interrupt_request(stream, ident, parent)
            return
        self._cells.interrupt()
        if self.session is not None:
            self.session.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    async def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """Complete magics and Lua names; Python cells are IPython's."""
        cursor = len(code) if cursor_pos is None else cursor_pos
        start = _python_start(code)
        if start is None:
            return completion.complete(code, cursor)
        reply: dict[str, Any] = super().do_complete(code[start:], max(0, cursor - start))
        for key in ("cursor_start", "cursor_end"):
            reply[key] += start
        for match in reply["metadata"].get("_jupyter_types_experimental", ()):
            match["start"] += start
            match["end"] += start
        return reply

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Explain the magic under the cursor; Python cells are IPython's."""
        start = _python_start(code)
        if start is None or cursor_pos < start:
            return completion.inspect(code, cursor_pos)
        reply: dict[str, Any] = super().do_inspect(code[start:], cursor_pos - start, detail_level, omit_sections)
        return reply

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        """Say whether a console should run the text now."""
        start = _python_start(code)
        if start is None:
            return completion.is_complete(code)
        reply: dict[str, Any] = super().do_is_complete(code[start:])
        return reply

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End what runs and give back the database."""
        self._cells.interrupt()
        self._cells.close()
        reply: dict[str, Any] = super().do_shutdown(restart)
        return reply


def _python_start(code: str) -> int | None:
    """Return where the text of a `%%python` cell begins, None for other cells."""
    try:
        cell = parse_cell(code)
    except InvalidInput:
        return None
    return len(code) - len(cell.source) if isinstance(cell, PythonCell) else None
