"""Ask Lua's own compiler whether a text is Lua."""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import Any

import lupa.lua54

_LOCK = threading.Lock()
_MESSAGE = re.compile(r"^script:(\d+): (.*)$", re.DOTALL)


@cache
def _loader() -> Any:
    runtime = lupa.lua54.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    return runtime.eval(b'function(text) local f, message = load(text, "=script", "t") return message end')


def syntax_error(source: str) -> tuple[int, str] | None:
    """Return the line (1-based) and message of the first syntax error, None for valid Lua. Runs nothing."""
    with _LOCK:
        message = _loader()(source.encode("utf-8", "surrogatepass"))
    if message is None:
        return None
    found = _MESSAGE.match(message.decode("utf-8", "replace"))
    return (int(found[1]), found[2]) if found else (1, message.decode("utf-8", "replace"))
