"""What `%%python` cells and widgets have of Lua: the object `picloud`."""

from __future__ import annotations

import json as json_module
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from picloud.errors import InvalidInput, PicloudError, RunInterrupted, ScriptError
from picloud.model.http import Response
from picloud_kernel.display import response_bundle
from picloud_kernel.session import Session

NAME = "picloud.lua"
"""What tracebacks call the Lua that Python runs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered."""

    response: Response

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by their names in lower case."""
        return {name.lower(): value for name, value in self.response.headers}

    @property
    def body(self) -> bytes:
        """The body as sent."""
        return self.response.body

    @property
    def json(self) -> Any:
        """The value of a JSON body, None for any other; raises `ValueError` when it is broken."""
        return json_module.loads(self.body) if "json" in self.headers.get("content-type", "") else None

    def _repr_mimebundle_(self, **_selection: Any) -> dict[str, Any]:
        return response_bundle(self.response).data


class Bridge:
    """Runs Lua for Python, in the session of the app chosen by `%app`, from any thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._guard = threading.Lock()
        self._is_busy = self._is_interrupted = False

    def lua(self, source: str, /, **values: Any) -> Any:
        """Run Lua with `values` as its locals; return what it returns: None, a value, or a tuple of several.

        It has the variables of the scratch cells. Values cross as JSON, None as nil. Raises `PicloudError`.
        """
        __tracebackhide__ = True
        if not isinstance(source, str):
            raise InvalidInput(f"picloud.lua: expected Lua as a string, got {type(source).__name__}")
        try:
            with self._session.lock:
                scratch = self._session.scratch
                with self._interruptible():
                    results = scratch.evaluate(source, values, name=NAME)
        except PicloudError as error:
            raise _readable(error) from None
        return results if len(results) > 1 else results[0] if results else None

    def call(self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request to the app, drafts included, as `%call` does. Raises `PicloudError`."""
        __tracebackhide__ = True
        try:
            body, sent = b"", dict(headers or {})
            if json is not None:
                body, sent = _encoded(json), {"content-type": "application/json"} | sent
            with self._session.lock:
                app = self._session.app
                with self._interruptible():
                    return Answer(app.call(method.upper(), path, body=body, headers=sent))
        except PicloudError as error:
            raise _readable(error) from None

    def interrupt(self) -> bool:
        """End the Lua that Python runs now, from any thread; return False when there is none."""
        with self._guard:
            if not self._is_busy:
                return False
            self._is_interrupted = True
        self._session.interrupt()
        return True

    def __repr__(self) -> str:
        return "picloud.lua(source, **values) and picloud.call(method, path, json=None, headers=None)"

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Make an interrupt Python's own: one that comes too late to end Lua ends what called it."""
        with self._guard:
            self._is_busy, self._is_interrupted = True, False
        try:
            yield
        except RunInterrupted:
            raise KeyboardInterrupt from None
        finally:
            with self._guard:
                self._is_busy = False
        if self._is_interrupted:
            raise KeyboardInterrupt


def _encoded(value: Any) -> bytes:
    try:
        return json_module.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"picloud.call: this has no JSON ({error})") from None


def _readable(error: PicloudError) -> PicloudError:
    """Return the error without PiCloud's own frames, and with those of Lua as notes."""
    if isinstance(error, ScriptError):
        for line in error.traceback or (f"{error.script}:{error.line}",):
            error.add_note(line)
    return error.with_traceback(None)
