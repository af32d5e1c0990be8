"""Jupyter's side of the kernel: requests in, outputs and replies out.

Cells run in the main thread, one at a time. Control requests arrive in ipykernel's control thread, so an interrupt
reaches a cell that is running.
"""

# mypy: allow-untyped-calls
# ipykernel declares types, but not for most of its methods.

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import List

from picloud.engine.interactive import Echo, Screen
from picloud.engine.log import Alert
from picloud.errors import InvalidInput, NotFound, PicloudError, RunInterrupted
from picloud.platform import open_platform
from picloud.publishing.cells import Cell, HelpCell, PythonCell, parse_cell
from picloud.settings import Settings
from picloud.version import __version__
from picloud_kernel import completeness, errors, inspection
from picloud_kernel.bridge import Bridge
from picloud_kernel.commands import Commands
from picloud_kernel.completion import Completion
from picloud_kernel.display import Bundle, echo_bundle
from picloud_kernel.runner import Runner
from picloud_kernel.scope import Scope
from picloud_kernel.session import Session

LIBRARIES_THAT_LOG = ("picloud", "psycopg")
"""What they log is for the log of the Jupyter server: without a handler of its own it would stand below the cell."""


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
        show, update = (partial(self._display, kind) for kind in ("display_data", "update_display_data"))
        screen = Screen(show, update, self._clear)
        self._cells = Session(lambda: open_platform(Settings()), self._write, screen)
        self._bridge = Bridge(self._cells)
        commands = Commands(self._cells, server_url=os.environ.get("JUPYTER_SERVER_URL"))
        self._runner = Runner(self._cells, commands, self._show)
        self._completion = Completion(self._cells)
        self._running = _Running.NOTHING
        self._silent = self._wrote_alert = False
        for name in LIBRARIES_THAT_LOG:
            logging.getLogger(name).handlers = list(self.log.handlers)
        if self.shell is not None:
            self.shell.input_transformers_cleanup.insert(0, _without_magic)

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
        """Run a cell; in Lua cells `user_expressions` are Lua."""
        self._silent = silent
        number = self.execution_count
        try:
            cell = parse_cell(code)
            if isinstance(cell, PythonCell):
                self._running = _Running.PYTHON
                self._runner.let_go(cell_id)
                if self.shell is not None:
                    self.shell.user_ns.setdefault("picloud", self._bridge)
                reply: dict[str, Any] = await super().do_execute(
                    code, silent, store_history, user_expressions, allow_stdin, cell_meta=cell_meta, cell_id=cell_id
                )
                return reply
            with self._cells.lock:  # a subshell's thread waits, or does without the session's names
                self._running = _Running.LUA
                outcome = self._run_lua(cell, number, cell_id, user_expressions or {})
        except PicloudError as error:
            outcome = self._fail(errors.report(error, self._runner.explain))
        except KeyboardInterrupt:
            outcome = self._fail(errors.report(RunInterrupted(), self._runner.explain))
        except Exception:
            self.log.exception("cell failed inside PiCloud")
            outcome = self._fail(errors.internal_report())
        finally:
            self._running, self._silent = _Running.NOTHING, False
        self._count(code, number, store_history and not silent)
        return {**outcome, "execution_count": number}

    def _run_lua(self, cell: Cell, number: int, cell_id: str | None, expressions: dict[str, str]) -> dict[str, Any]:
        payload = []
        if isinstance(cell, HelpCell):
            payload.append({"source": "page", "data": self._help(cell), "start": 0})
        elif (result := self._runner.run(cell, f"cell {number}", cell_id)) is not None:
            self._publish("execute_result", result, execution_count=number)
        values = {name: self._evaluate(expression) for name, expression in expressions.items()}
        return {"status": "ok", "payload": payload, "user_expressions": values}

    def _evaluate(self, expression: str) -> dict[str, Any]:
        try:
            bundle = self._runner.evaluate(expression)
        except PicloudError as error:
            return {"status": "error", **_error_content(errors.report(error, self._runner.explain))}
        return {"status": "ok", "data": bundle.data, "metadata": bundle.metadata}

    def _help(self, cell: HelpCell) -> dict[str, str]:
        scope = Scope(cell.name, self._cells.live, self._runner.source_of)
        found = inspection.help_at(cell.name, len(cell.name), int(cell.with_source), scope)
        if not found:
            raise NotFound(f"Nothing is known of {cell.name!r}: '%help' lists the magics, completion the names.")
        return found

    def _count(self, code: str, number: int, store_history: bool) -> None:
        """Number the next cell and remember this one, as IPython does for Python cells."""
        if store_history and self.shell is not None:
            self.shell.history_manager.store_inputs(number, code, code)
            self.shell.execution_count = number + 1

    def _fail(self, report: errors.Report) -> dict[str, Any]:
        content = _error_content(report)
        if not self._silent:
            self._flush()
            self.send_response(self.iopub_socket, "error", content, ident=self._topic("error"))
        return {"status": "error", **content}

    def _write(self, text: str) -> None:
        """Send what a script prints to stdout, its warnings and errors to stderr, in their order.

        ipykernel's streams gather text and send it about five times a second.
        """
        if self._silent:
            return
        is_alert = isinstance(text, Alert)
        if is_alert is not self._wrote_alert:  # what was written to the other stream comes first
            self._flush()
            self._wrote_alert = is_alert
        (sys.stderr if is_alert else sys.stdout).write(text)

    def _flush(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()

    def _show(self, bundle: Bundle) -> None:
        self._publish("display_data", bundle, transient={})

    def _display(self, kind: str, echo: Echo, display_id: str) -> None:
        bundle = echo_bundle((echo,))
        if bundle is not None:
            self._publish(kind, bundle, transient={"display_id": display_id})

    def _clear(self, wait: bool) -> None:
        if not self._silent:
            sys.stdout.flush()
            self.send_response(self.iopub_socket, "clear_output", {"wait": wait}, ident=self._topic("clear_output"))

    def _publish(self, kind: str, bundle: Bundle, **more: Any) -> None:
        if self._silent:
            return
        self._flush()
        content = {"data": bundle.data, "metadata": bundle.metadata, **more}
        self.send_response(self.iopub_socket, kind, content, ident=self._topic(kind))

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """End the running cell or widget: Lua by its own mechanism, Python by SIGINT. Runs in the control thread."""
        if not self._bridge.interrupt() and self._running is not _Running.LUA:
            self._cells.interrupt()  # the dashboard may publish beside the cells
            await super().interrupt_request(stream, ident, parent)
            return
        self._cells.interrupt()
        if self.session is not None:
            self.session.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    @contextmanager
    def _scope(self, code: str) -> Iterator[Scope]:
        """Yield the names of a cell; those of the session only while no cell runs."""
        is_idle = self._cells.lock.acquire(blocking=False)
        try:
            yield Scope(code, self._cells.live if is_idle else None, self._runner.source_of)
        finally:
            if is_idle:
                self._cells.lock.release()

    async def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """Complete magics and Lua names; Python cells are IPython's."""
        cursor = len(code) if cursor_pos is None else cursor_pos
        start = _python_start(code)
        if start is None:
            with self._scope(code) as scope:
                return self._completion.reply(code, cursor, scope)
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
        """Explain the name at the cursor; Python cells are IPython's."""
        start = _python_start(code)
        if start is None or cursor_pos < start:
            with self._scope(code) as scope:
                return inspection.reply(code, cursor_pos, detail_level, scope)
        reply: dict[str, Any] = super().do_inspect(code[start:], cursor_pos - start, detail_level, omit_sections)
        return reply

    async def do_history(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return ipykernel's history, with the number of this session where IPython writes 0."""
        reply: dict[str, Any] = super().do_history(*arguments, **options)
        if self.shell is not None:
            current = self.shell.history_manager.session_number
            reply["history"] = [(session or current, *rest) for session, *rest in reply["history"]]
        return reply

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        """Say whether a console should run the text now."""
        start = _python_start(code)
        if start is None:
            return completeness.is_complete(code)
        reply: dict[str, Any] = super().do_is_complete(code[start:])
        return reply

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End what runs and give back the database."""
        self._cells.interrupt()
        self._cells.close()
        reply: dict[str, Any] = super().do_shutdown(restart)
        return reply


def _error_content(report: errors.Report) -> dict[str, Any]:
    return {"ename": report.name, "evalue": report.message, "traceback": list(report.traceback)}


def _without_magic(lines: list[str]) -> list[str]:
    """Take `%%python` off a cell's text for IPython, whose history keeps the cell as typed."""
    start = _python_start("".join(lines))
    return lines if start is None else "".join(lines)[start:].splitlines(keepends=True)


def _python_start(code: str) -> int | None:
    """Return where the text of a `%%python` cell begins, None for other cells."""
    try:
        cell = parse_cell(code)
    except InvalidInput:
        return None
    if not isinstance(cell, PythonCell):
        return None
    magic = re.search(r"^%%.*\n?", code, re.MULTILINE)
    return magic.end() if magic else None
