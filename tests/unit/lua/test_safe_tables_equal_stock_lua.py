"""The sandbox's table and string functions give what Lua's own give, on plain tables and on objects."""

from __future__ import annotations

from importlib import resources
from typing import Any

import lupa.lua54
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

COMPARE = b"""
local stock, safe = ...
local function object(t) -- the same items behind metamethods, which the functions must honour
  return setmetatable({}, {
    __len = function() return #t end,
    __index = function(_, k) return t[k] end,
    __newindex = function(_, k, v) t[k] = v end,
  })
end
local function outcome(library, name, items, n, as_object, ...)
  local t = table.pack(table.unpack(items, 1, n))
  t.n = nil
  local subject = as_object and object(t) or t
  local r = table.pack(pcall(library[name], subject, ...))
  if not r[1] then return "error" end
  for i = 1, r.n do r[i] = rawequal(r[i], subject) and "the table" or tostring(r[i]) end
  local left = {}
  for k, v in next, t do left[#left + 1] = tostring(k) .. "=" .. tostring(v) end
  table.sort(left)
  return table.concat(r, "|", 1, r.n) .. " / " .. table.concat(left, "|")
end
return function(name, items, n, as_object, ...)
  return outcome(stock, name, items, n, as_object, ...), outcome(safe, name, items, n, as_object, ...)
end
"""

FUNCTIONS = ["concat", "insert", "remove", "move", "sort", "unpack"]
integers = st.integers(-(2**63), 2**63 - 1)
positions = st.one_of(st.integers(-3, 9), st.sampled_from([2**63 - 1, -(2**63)]))
ARGUMENTS = {
    "concat": st.tuples() | st.tuples(st.just(b",")) | st.tuples(st.just(b";"), st.integers(-1, 7), st.integers(-1, 7)),
    "insert": st.tuples(integers) | st.tuples(positions, st.just(7)) | st.tuples() | st.tuples(*[positions] * 3),
    "remove": st.tuples() | st.tuples(positions),
    "move": st.tuples(st.integers(-2, 6), st.integers(-2, 6), st.integers(-2, 9)) | st.tuples(*[positions] * 3),
    "sort": st.tuples(),
    "unpack": st.tuples() | st.tuples(st.integers(-2, 6)) | st.tuples(st.integers(-2, 6), st.integers(-2, 9)),
}
calls = st.sampled_from(FUNCTIONS).flatmap(lambda name: st.tuples(st.just(name), ARGUMENTS[name]))


def _huge_move(name: str, arguments: tuple[object, ...]) -> bool:
    """Moves of so many items run until a deadline, there as here."""
    numbers = [a for a in arguments[:2] if isinstance(a, int)]
    return name == "move" and len(numbers) == 2 and numbers[1] - numbers[0] > 1000


@pytest.fixture(scope="module")
def runtime() -> Any:
    return lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)


@pytest.fixture(scope="module")
def safe(runtime: Any) -> Any:
    def part(name: str) -> Any:
        return runtime.compile(resources.files("picloud.lua").joinpath("prelude", name).read_bytes())

    limit, trip, watch = part("interrupt.lua")()
    _, raw, _ = part("frozen.lua")()
    new_environment, _copy = part("sandbox.lua")(limit, trip, watch, raw, *part("pattern.lua")(watch))
    return new_environment()


@pytest.fixture(scope="module")
def compare(runtime: Any, safe: Any) -> Any:
    return runtime.compile(COMPARE)(runtime.globals().table, safe[b"table"])


@example(("insert", (1, 7)), [], False)
@example(("remove", (1,)), [], True)
@example(("remove", ()), [], True)
@given(calls, st.lists(st.integers(-5, 5), max_size=5), st.booleans())
def test_same_result(
    runtime: Any, compare: Any, call: tuple[str, tuple[Any, ...]], items: list[int], as_object: bool
) -> None:
    name, arguments = call
    if _huge_move(name, arguments):
        return
    stock, safe = compare(name.encode(), runtime.table_from(items), len(items), as_object, *arguments)
    assert safe == stock


@given(st.lists(st.binary(max_size=6), max_size=12))
def test_strings_sort_alike(runtime: Any, compare: Any, items: list[bytes]) -> None:
    stock, safe = compare(b"sort", runtime.table_from(items), len(items), False)
    assert safe == stock


@given(
    st.binary(max_size=3),
    st.one_of(st.integers(-2, 5), st.just(2.0), st.just(b"3"), st.just(1.5)),
    st.binary(max_size=2),
)
def test_rep_gives_the_same(runtime: Any, safe: Any, text: bytes, count: object, separator: bytes) -> None:
    run = runtime.eval(b"function(f, ...) local ok, r = pcall(f, ...) return ok and r or 'error' end")
    assert run(safe[b"string"][b"rep"], text, count, separator) == run(
        runtime.globals().string[b"rep"], text, count, separator
    )


@pytest.mark.parametrize("count", [b"x", None, float("inf"), float("nan"), 1.5])
def test_rep_refuses_what_is_no_count(safe: Any, count: object) -> None:
    with pytest.raises(lupa.lua54.LuaError):
        safe[b"string"][b"rep"](b"", count)
