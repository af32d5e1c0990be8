"""The lines that can run, and that counters on them change nothing else: held against Lua's own idea of its lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lupa.lua54
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.syntax.coverage import executable_lines, with_counters
from tests.unit.syntax.bytecode import active_lines

ATTACKS = sorted((Path(__file__).parents[2] / "attacks" / "scripts").rglob("*.lua"))

WITHOUT_CODE = re.compile(r"function\b|while true do$|break$|[({=]$|\[\[")
"""Lines Lua does not list: a function is made where its text ends, and `while true` is nothing to do."""

RUNNER = b"""
local hits = {}
string.hits = hits
return function(text, hooked)
  for line in pairs(hits) do hits[line] = nil end
  local seen, trace, steps = {}, {}, 0
  local function note(_, line)
    if debug.getinfo(2, "S").source == "=program" then seen[line] = true end
  end
  local env = { pcall = pcall, error = error, ipairs = ipairs, select = select, setmetatable = setmetatable }
  env.yield = coroutine.yield
  function env.t(value) -- returns itself, so that a call may follow any call
    steps = steps + 1
    if steps > 500 then error("enough", 2) end
    trace[#trace + 1] = type(value) == "function" and "f" or tostring(value)
    return env.t
  end
  function env.each(f)
    local co = coroutine.create(f)
    if hooked then debug.sethook(co, note, "l") end
    repeat
      local ok, value = coroutine.resume(co)
      if not ok then error(value, 0) end
      env.t(value)
    until coroutine.status(co) == "dead"
  end
  local main = assert(load(text, "=program", "t", env))
  if hooked then debug.sethook(note, "l") end
  local ok, value = pcall(main)
  debug.sethook()
  trace[#trace + 1] = ok and "returned" or tostring(value)
  local lines = {}
  for line in pairs(hooked and seen or hits) do lines[#lines + 1] = line end
  return table.concat(trace, " "), table.concat(lines, " ")
end
"""


def counter(line: int) -> str:
    return f';("").hits[{line}]=1;'


@pytest.fixture(scope="module")
def run() -> Any:
    lua = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    return lua.execute(RUNNER)


def ran(run: Any, source: str, *, hooked: bool) -> tuple[bytes, set[int]]:
    """Return the trace of a program, and the lines a line hook saw, or the lines counted when there is none."""
    text = source if hooked else with_counters(source, counter)
    trace, lines = run(text.encode(), hooked)
    return trace, {int(line) for line in lines.split()}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", ()),
        ("\n-- nothing\n--[[ x = 1\ny = 2 ]]\n", ()),
        ("x = 1\n\ny = 2 -- more\n", (1, 3)),
        ("local a\nlocal b, c\nlocal d <const> = 1\nlocal e = nil", (3, 4)),
        ("if a then\n  b()\nelseif c then\n  d()\nelse\n  e()\nend", (1, 2, 4, 6)),
        ("if a then b() else c() end", (1,)),
        ("for i = 1, 2 do\n  f(i)\nend\nfor k in pairs(t) do\n  g(k)\nend", (1, 2, 4, 5)),
        ("while true do\n  break\nend", (1, 2)),
        ("repeat\n  x()\nuntil y", (2,)),
        ("do\n  local x = 1\nend", (2,)),
        ("::top::\nif a then\n  goto top\nend\n;", (2, 3)),
        (
            "local function f(a)\n  return a\nend\nfunction M.g() end\nfunction M:h()\n  return self\nend",
            (1, 2, 4, 5, 6),
        ),
        ("return {\n  a = 1,\n  b = function()\n    return 2\n  end,\n}", (1, 4)),
        ("return {\n  a = function() return 1 end,\n}", (1, 2)),
        ("f(\n  1,\n  2\n)", (1,)),
        ("local s = [[\nx = 1\n]]\ny = 2", (1, 4)),
        ("a = b\n(f or g)()\nc = 1\n(f)()", (1, 3, 4)),
        ("return\n  f()", (1,)),
        ("obj\n  :a()\n  :b(function()\n    c()\n  end)", (1, 4)),
        ("x = = 1\ny = 2", ()),
    ],
)
def test_the_lines_that_can_run(source: str, lines: tuple[int, ...]) -> None:
    assert executable_lines(source) == lines
    counted = re.findall(r"hits\[(\d+)\]", with_counters(source, counter))
    assert sorted(set(map(int, counted))) == list(lines)


def test_a_line_has_a_counter_for_each_way_to_get_there() -> None:
    source = "if a then\nx() y() end z() ::on:: u()"
    assert with_counters(source, lambda line: f"<{line}>") == "<1>if a then\n<2>x() y() end <2>z() ::on:: <2>u()"


def test_text_of_any_language_stays_as_it_is() -> None:
    assert with_counters('x = "größe 😀"\ny = 1', lambda line: f"<{line}>") == '<1>x = "größe 😀"\n<2>y = 1'


def test_what_a_counter_stands_in_may_be_as_deep_as_lua_allows() -> None:
    source = "do " * 190 + "x = 1" + " end" * 190 + "\ny = 1" + " + 1" * 20_000
    assert executable_lines(source) == (1, 2)


def test_a_function_with_as_many_upvalues_and_locals_as_lua_allows_still_compiles(run: Any) -> None:
    first, second = ([f"{letter}{n}" for n in range(199)] for letter in "uv")
    declared = ["\n".join(f"local {name} = 1" for name in names) for names in (first, second, first)]
    uses = " + ".join([*first, *second[:56]])
    inner = f"return function()\nlocal x = {uses}\n{declared[2]}\nend"
    source = f"{declared[0]}\nlocal function f()\n{declared[1]}\n{inner}\nend\nf()()"
    with pytest.raises(lupa.lua54.LuaError, match="too many upvalues"):
        ran(run, source.replace("local x = ", "local x = t + "), hooked=True)
    trace, lines = ran(run, source, hooked=False)
    assert trace == b"returned"
    assert lines == set(executable_lines(source))


@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_hostile_scripts_compile_with_counters_and_can_run_where_lua_says_they_can(path: Path) -> None:
    source = path.read_text()
    assert active_lines(with_counters(source, counter))
    lines = source.split("\n")
    others = [lines[line - 1] for line in sorted(set(executable_lines(source)) - active_lines(source))]
    assert [line for line in others if not WITHOUT_CODE.search(line)] == []


LONG = ("wide", "function", "method", "table", "co", "repeat")


class Program:
    """Draws a program that ends and tells what it does by calls of `t`."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.names = 0
        self.functions: list[str] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def condition(self) -> str:
        return str(self.pick("true", "false", "nil", "t == t", "t == nil", "not t", "#'ab' > 1"))

    def block(self, depth: int, *, loop: bool = False) -> list[str]:
        """Return lines. Statements share one unless the hook would see another there: a statement of several lines,
        which may do its work on the last, or a `local` that has no code or does not count.
        """
        lines: list[str] = []
        known, is_open = len(self.functions), True
        for _ in range(self.draw(st.integers(0, 4))):
            kind = self.pick(*self.kinds(depth, loop=loop))
            statement: list[str] = getattr(self, f"make_{kind}")(depth, loop)
            if not is_open and kind not in (*LONG, "declare", "const") and self.pick(True, False, False):
                lines[-1] += f" {statement.pop(0)}"
            lines += statement
            is_open = kind in (*LONG, "paren", "comment")
        del self.functions[known:]
        return lines

    def function(self, head: str, depth: int, tail: str = "end") -> list[str]:
        """Return a function on one line, or with lines of its own for both ends: the hook sees it made at its `end`."""
        if self.pick(True, False, False):
            return [f"{head} t(6) {tail}"]
        return [head, *self.block(depth - 1), tail]

    def around(self, head: str, body: list[str], tail: str) -> list[str]:
        """Return a block with what opens and what closes it, on lines of their own or not."""
        if body and self.pick(True, False):
            head, body = f"{head} {body[0]}", body[1:]
        lines = [head, *body]
        if len(lines) > 2 or "--" in lines[-1] or self.pick(True, False):
            return [*lines, tail]
        return [*lines[:-1], f"{lines[-1]} {tail}"]

    def kinds(self, depth: int, *, loop: bool) -> list[str]:
        simple = ["call", "paren", "local", "declare", "const", "nothing", "comment", "use", "error", "wide", "return"]
        nested = ["if", "elseif", "for", "in", "while", "repeat", "do", "function", "method", "table", "co"]
        return [*simple, *(nested if depth else ()), *(("break", "skip") if loop else ())]

    def make_call(self, _depth: int, _loop: bool) -> list[str]:
        return [f"t({self.draw(st.integers(0, 99))})"]

    def make_paren(self, _depth: int, _loop: bool) -> list[str]:
        return [self.pick("(t)(0)", "(t or nil)('s')", ";(t)(1)")]

    def make_local(self, _depth: int, _loop: bool) -> list[str]:
        return [self.pick(f"local {self.name()} = t", f"{self.name()} = 7", "x = #'abc'")]

    def make_declare(self, _depth: int, _loop: bool) -> list[str]:
        return [f"local {self.name()}"]

    def make_const(self, _depth: int, _loop: bool) -> list[str]:
        return [f"local {self.name()} <const> = {self.pick('5', 'nil', 't(3)')}"]

    def make_nothing(self, _depth: int, _loop: bool) -> list[str]:
        return [self.pick("", ";", "do end")]

    def make_comment(self, _depth: int, _loop: bool) -> list[str]:
        return ["-- a comment: t(1)"]

    def make_use(self, _depth: int, _loop: bool) -> list[str]:
        return [f"pcall({self.pick(*self.functions)}, 1)"] if self.functions else ["t(-1)"]

    def make_error(self, _depth: int, _loop: bool) -> list[str]:
        return [self.pick("pcall(error, 'x')", "if #'a' == 2 then error('no') end", "pcall(t.x)", "t()")]

    def make_wide(self, _depth: int, _loop: bool) -> list[str]:
        return ["t(", "  1", ")"]

    def make_if(self, depth: int, loop: bool) -> list[str]:
        return self.around(f"if {self.condition()} then", self.block(depth - 1, loop=loop), "end")

    def make_elseif(self, depth: int, loop: bool) -> list[str]:
        first = ["if " + self.condition() + " then", *self.block(depth - 1, loop=loop)]
        second = ["elseif " + self.condition() + " then", *self.block(depth - 1, loop=loop)]
        return [*first, *second, *self.around("else", self.block(depth - 1, loop=loop), "end")]

    def make_for(self, depth: int, _loop: bool) -> list[str]:
        return self.around(f"for {self.name()} = 1, {self.pick(0, 1, 3)} do", self.block(depth - 1, loop=True), "end")

    def make_in(self, depth: int, _loop: bool) -> list[str]:
        return self.around(f"for _, {self.name()} in ipairs({{1, 2}}) do", self.block(depth - 1, loop=True), "end")

    def make_while(self, depth: int, _loop: bool) -> list[str]:
        name = self.name()
        body = [f"{name} = {name} + 1", f"if {name} > 2 then", "  break", "end", *self.block(depth - 1, loop=True)]
        return [f"local {name} = 0", *self.around(f"while {self.pick('true', name + ' < 2')} do", body, "end")]

    def make_repeat(self, depth: int, _loop: bool) -> list[str]:
        name, done = self.name(), self.name()
        body = [f"{name} = {name} + 1", f"local {done} = {name} > 1", *self.block(depth - 1)]
        return [f"local {name} = 0", "repeat", *body, f"until {done}"]

    def make_do(self, depth: int, loop: bool) -> list[str]:
        return self.around("do", self.block(depth - 1, loop=loop), "end")

    def make_function(self, depth: int, _loop: bool) -> list[str]:
        name = self.name()
        head = self.pick(f"local function {name}(...)", f"local {name} = function(a, b)", f"function {name}(...)")
        lines = self.function(head, depth)
        self.functions.append(name)
        return lines

    def make_method(self, depth: int, _loop: bool) -> list[str]:
        name = self.name()
        lines = [f"local {name} = {{}}", *self.function(f"function {name}:m(a)", depth)]
        return [*lines, f"pcall({name}.m, {name})"]

    def make_table(self, depth: int, _loop: bool) -> list[str]:
        name = self.name()
        body = ["  f = function()", *self.block(depth - 1), "  end,"]
        return [f"local {name} = {{", "  1,", *body, "}", f"pcall({name}.f)"]

    def make_co(self, depth: int, _loop: bool) -> list[str]:
        return ["pcall(each, function()", *self.block(depth - 1), "yield(1)", *self.block(depth - 1), "end)"]

    def make_break(self, _depth: int, _loop: bool) -> list[str]:
        return [f"if {self.condition()} then break end"]

    def make_return(self, _depth: int, _loop: bool) -> list[str]:
        return [f"if {self.condition()} then return {self.pick('', 't(4)', '1, 2')} end"]

    def make_skip(self, _depth: int, _loop: bool) -> list[str]:
        label = self.name()
        return ["do", f"if {self.condition()} then goto {label} end", "t(5)", f"::{label}::", "end"]


@st.composite
def programs(draw: st.DrawFn) -> str:
    return "\n".join([*Program(draw).block(4), "t(9)"])


@given(source=programs())
@settings(max_examples=400, deadline=None)
def test_counters_change_nothing_and_count_what_a_line_hook_sees(run: Any, source: str) -> None:
    plain, hooked = ran(run, source, hooked=True)
    trace, counted = ran(run, source, hooked=False)
    assert trace == plain
    known = set(executable_lines(source)) & active_lines(source, jumps=False)
    assert counted <= set(executable_lines(source))
    assert counted & known == hooked & known
