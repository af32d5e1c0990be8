"""The interruptible matchers give what Lua's own gives, for every function, pattern and subject."""

from __future__ import annotations

from importlib import resources
from typing import Any

import lupa.lua54
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

COMPARE = b"""
local stock, slow = ...
local function values(f, ...)
  local t = table.pack(pcall(f, ...))
  if not t[1] then return "error" end
  for i = 1, t.n do t[i] = tostring(t[i]) end
  return table.concat(t, "|", 1, t.n)
end
local function all(f, s, p)
  return values(function()
    local out = {}
    for a, b, c in f(s, p) do
      out[#out + 1] = tostring(a) .. "|" .. tostring(b) .. "|" .. tostring(c)
      if #out > 200 then break end
    end
    return table.concat(out, ";")
  end)
end
return function(name, s, p, extra)
  if name == "gmatch" then return all(stock.gmatch, s, p), all(slow.gmatch, s, p) end
  return values(stock[name], s, p, extra), values(slow[name], s, p, extra)
end
"""

ITEMS = [
    "a",
    "b",
    "x",
    " ",
    ".",
    "%a",
    "%d",
    "%s",
    "%S",
    "[ab]",
    "[^a]",
    "[%w_]",
    "[]]",
    "[^]]",
    "[a-c]",
    "%%",
    "%.",
    "-",
]
GROUPS = ["(a)", "()", "(b*)", "(.-)", "(%w+)", "%b()", "%f[%w]", "%f[^%w]"]
patterns = st.builds(
    lambda start, items, end: start + "".join(items) + end,
    st.sampled_from(["", "^"]),
    st.lists(
        st.one_of(
            st.builds(str.__add__, st.sampled_from(ITEMS), st.sampled_from(["", "*", "+", "-", "?"])),
            st.sampled_from(GROUPS),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", "$"]),
)
subjects = st.text(alphabet="aabbc x1()%.-]_", max_size=16)


FORCED = {
    "one call of C for each place": (b"return cost <= STEPS_MAX", b"return false"),
    "matching in Lua": (b"STEPS_MAX = 10000000", b"STEPS_MAX = -1"),
}
"""Edits of the prelude after which its slow paths are taken whatever the size."""


@pytest.fixture(scope="module", params=FORCED)
def compare(request: pytest.FixtureRequest) -> Any:
    runtime = lupa.lua54.LuaRuntime(encoding=None)
    source = resources.files("picloud.lua").joinpath("prelude", "pattern.lua").read_bytes()
    before, after = FORCED[request.param]
    assert source.count(before) == 1
    always_slow = source.replace(before, after)
    unwatched = runtime.eval(b"function() end")
    slow = dict(zip(("find", "match", "gmatch", "gsub"), runtime.compile(always_slow)(unwatched), strict=True))
    build = runtime.compile(COMPARE)
    return build(runtime.globals().string, runtime.table_from({k.encode(): v for k, v in slow.items()}))


@example("find", "  trim me  ", "^%s*(.-)%s*$", 1)
@example("gsub", "hello world", "o*", "<%0>")
@example("find", "1a", "^(a)", None)
@example("gmatch", "key=value, k2=v2", "(%w+)=(%w+)", None)
@given(
    st.sampled_from(["find", "match", "gmatch", "gsub"]),
    subjects,
    patterns,
    st.sampled_from([None, 1, 2, -3, "<%0>", "%1", "z"]),
)
def test_same_result(compare: Any, name: str, subject: str, pattern: str, extra: int | str | None) -> None:
    if name == "gsub":
        extra = extra if isinstance(extra, str) else "r"
    elif isinstance(extra, str):
        extra = 1
    argument = extra.encode() if isinstance(extra, str) else extra
    stock, slow = compare(name.encode(), subject.encode(), pattern.encode(), argument)
    assert slow == stock
