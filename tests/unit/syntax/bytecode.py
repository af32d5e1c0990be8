"""The lines of what Lua 5.4 compiles, as `luac -l` lists them; `debug.getinfo` tells those of one function only."""

from __future__ import annotations

from functools import cache
from typing import Any

import lupa.lua54

_HEADER_BYTES = 31
_ABSOLUTE = 0x80
_JUMP = 56
_CONSTANT_BYTES = {0x00: 0, 0x01: 0, 0x11: 0, 0x03: 8, 0x13: 8}


@cache
def _dump() -> Any:
    lua = lupa.lua54.LuaRuntime(encoding=None)
    return lua.eval(b'function(text) return string.dump(assert(load(text, "=text", "t"))) end')


def active_lines(source: str, *, jumps: bool = True) -> set[int]:
    """Return the lines that have instructions, in the text's functions as well; without `jumps`, others than jumps.

    What jumps to a jump goes where that one leads in one step, past its line.
    """
    reader = _Reader(bytes(_dump()(source.encode())), jumps)
    reader.function()
    return reader.lines


class _Reader:
    def __init__(self, code: bytes, jumps: bool) -> None:
        self._code = code
        self._skipped = () if jumps else (_JUMP,)
        self._at = _HEADER_BYTES + 1  # and how many upvalues the main function has
        self.lines: set[int] = set()

    def function(self) -> None:
        self._text()
        first = self._number()
        self._number()
        is_vararg = self._take(3)[1]
        operations = [code & 0x7F for code in self._take(4 * self._number())[::4]]
        for _ in range(self._number()):
            kind = self._take(1)[0]
            if kind in _CONSTANT_BYTES:
                self._take(_CONSTANT_BYTES[kind])
            else:
                self._text()
        self._take(3 * self._number())
        for _ in range(self._number()):
            self.function()
        self._debug(first, operations, 1 if is_vararg else 0)

    def _debug(self, line: int, operations: list[int], skipped: int) -> None:
        steps = self._take(self._number())
        absolute = {self._number(): self._number() for _ in range(self._number())}
        for at, step in enumerate(steps):
            line = absolute[at] if step == _ABSOLUTE else line + step - (256 if step > _ABSOLUTE else 0)
            if at >= skipped and operations[at] not in self._skipped:
                self.lines.add(line)
        for _ in range(self._number()):
            self._text()
            self._number()
            self._number()
        for _ in range(self._number()):
            self._text()

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._code[self._at - size : self._at]

    def _number(self) -> int:
        value = 0
        while True:
            byte = self._take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte & 0x80:
                return value

    def _text(self) -> None:
        self._take(max(0, self._number() - 1))
