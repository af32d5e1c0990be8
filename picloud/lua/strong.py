"""Take weak tables away from the scripts of a Lua state: `__mode` means nothing to them.

Lua's collector handles weak keys in one step that no hook sees and whose time grows with the square of their number
(`convergeephemerons` in lgc.c): 200 000 entries kept a thread for over a minute. A script can set `__mode` at any time
in a metatable that is in use, so there is nothing to wrap. The collector looks the field up by the string that
`global_State.tmname` holds for it. Here a random string takes that place, which no script can guess; Lua's own table of
the hooks of coroutines keeps its weak keys under that name. A run is short and its tables end with it, so nobody misses
weak ones.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import Final

_STATE_WORDS: Final = 8
"""Words of `lua_State` that are surely there."""
_GLOBAL: Final = 3
"""The word of `lua_State` that points to `global_State`, in every Lua 5.4 on a 64-bit machine."""
_GLOBAL_WORDS: Final = 96
"""Words of `global_State` to search; it has over 170, and `tmname` begins before the fiftieth."""

MODE_BYTES: Final = 16
"""Random bytes in the new name; in hexadecimal it is a short string to Lua (40 bytes or fewer), which is interned."""
NAMES: Final = (b"__index", b"__newindex", b"__gc", b"__mode", b"__len", b"__eq")
"""The first strings of `tmname`, in their order (ltm.c)."""
_MODE: Final = NAMES.index(b"__mode")

_log = logging.getLogger(__name__)


def make_tables_strong(state: int, names: tuple[int, ...], mode: int) -> bool:
    """Point the name of `__mode` to the string at `mode`; return whether the state has the layout for it.

    `state` is the address of the main `lua_State`, `names` those of the strings `NAMES`. The string at `mode` is short
    and must live as long as the state. The layout is checked name by name before anything changes.
    """
    if ctypes.sizeof(ctypes.c_void_p) == 8:
        pointers = (ctypes.c_size_t * _STATE_WORDS).from_address(state)
        words = (ctypes.c_size_t * _GLOBAL_WORDS).from_address(pointers[_GLOBAL])
        for at in range(2, _GLOBAL_WORDS - len(names)):
            if words[at] == names[0] and words[at - 2] == state and tuple(words[at : at + len(names)]) == names:
                words[at + _MODE] = mode
                return True
    _warn()
    return False


@cache
def _warn() -> None:
    """Say once per process that the protection is missing."""
    _log.warning("weak tables stay in Lua: this build has another layout", extra={"action": "weak_tables"})
