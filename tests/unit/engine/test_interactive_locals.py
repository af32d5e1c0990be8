"""Locals of a scratch cell stay: cells are a chunk cut into pieces, which share the variables of its top level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picloud.engine.dispatcher import Published
from picloud.engine.executor import Executor
from picloud.engine.interactive import Interactive
from picloud.errors import MemoryLimitExceeded, NotFound, ScriptRuntimeError, ScriptSyntaxError
from picloud.model.script import Script, ScriptKind
from picloud.platform import limits_of
from picloud.settings import Settings

EXECUTOR = Executor(limits_of(Settings(run_memory_mb=8)))


def nothing_published(_name: str) -> Published:
    raise NotFound


def start() -> tuple[Interactive, list[str]]:
    printed: list[str] = []
    return Interactive(nothing_published, EXECUTOR, "shop", printed.append), printed


def after(*cells: str) -> list[str]:
    """Return what the last of the cells shows."""
    session, _ = start()
    *before, last = cells
    for cell in before:
        session.run(cell)
    return [echo.text for echo in session.run(last)]


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["local x = 41", "x + 1"], ["42"]),
        (["local a, b, c = 1, 2", "return a, b, c == nil"], ["1", "2", "true"]),
        (["local _, _, third = 1, 2, 3", "return _, third"], ["2", "3"]),
        (["local x = 1\nlocal x = x + 1", "x"], ["2"]),
        (["local x = 1", "local x = x", "x"], ["1"]),
        (["local x = 1", "local x", "x == nil"], ["true"]),
        (["local x <const> = 1", "x"], ["1"]),
        (["local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end", "fib(20)"], ["6765"]),
        (["local x = 1 do local x = 2 end", "x"], ["1"]),
        (["local x = 1\nx", "x"], ["1"]),
        (["local x = 0\n::again::\nx = x + 1\nif x < 5 then goto again end", "x"], ["5"]),
        (
            ["local t = setmetatable({}, { __close = function() print() end })\nlocal c <close> = t", "c == nil"],
            ["true"],
        ),
    ],
)
def test_locals_stay(cells: list[str], shown: list[str]) -> None:
    assert after(*cells) == shown


def test_a_function_and_later_cells_see_one_variable() -> None:
    session, printed = start()
    session.run("local n = 1\nlocal function bump() n = n + 1 end\nlocal function look() return n end")
    session.run("n = 10 bump()")
    session.run("print(n, look())")
    session.run("local n = 20")
    session.run("print(n, look())")
    assert printed == ["11\t11\n", "20\t20\n"]


@pytest.mark.parametrize(
    "attempt", ["x = 2", "x, y = 1", "function x() end", "do x = 3 end", "local f = function() x = 4 end"]
)
def test_a_constant_cannot_be_assigned_to_in_its_cell_or_a_later_one(attempt: str) -> None:
    session, _ = start()
    session.run("local x <const> = 1")
    for source in (f"local x <const> = 1 {attempt}", attempt, f"\n{attempt}"):
        with pytest.raises(ScriptSyntaxError, match="attempt to assign to const variable 'x'") as refused:
            session.run(source, name="cell")
            assert refused.value.message.startswith(f"cell:{1 + source.count(chr(10))}:")
    assert [echo.text for echo in session.run("x")] == ["1"]


@pytest.mark.parametrize(
    "cell", ["local x = 2", "local x <const> = 2", "do local x = 5 x = 6 end local x = 2", "local x x = 2"]
)
def test_a_constant_can_be_declared_again(cell: str) -> None:
    assert after("local x <const> = 1", cell, "x") == ["2"]


def test_a_constant_declared_again_is_what_it_is_declared_then() -> None:
    assert after("local x <const> = 1", "local x = 2", "x = 3", "x") == ["3"]


def test_an_error_half_way_keeps_what_was_assigned_before() -> None:
    session, _ = start()
    with pytest.raises(ScriptRuntimeError) as failed:
        session.run("local before = 1\nerror('stop')\nlocal behind = 2", name="cell")
    assert failed.value.line == 2
    assert [echo.text for echo in session.run("return before, behind == nil")] == ["1", "true"]


def test_a_cell_that_runs_out_of_memory_loses_what_it_declared_and_no_more() -> None:
    session, _ = start()
    session.run("local kept = 7")
    with pytest.raises(MemoryLimitExceeded, match="forgotten: hoard, never"):
        session.run("local hoard <const> = {} while true do hoard[#hoard + 1] = { 1 } end local never")
    assert [echo.text for echo in session.run("return kept, hoard == nil")] == ["7", "true"]
    session.run("hoard = 1")


def test_a_local_with_a_name_of_the_sdk_is_the_cells_own_affair() -> None:
    session, _ = start()
    session.define(Script("m", ScriptKind.MODULE, "return { f = function() return json.encode({ 1 }) end }"))
    session.run("local json, print, require_ = 5, nil, require")
    assert [echo.text for echo in session.run("return json, require_('m').f()")] == ["5", "[1]"]
    assert [echo.text for echo in session.run("return { 2 }")] == ["{\n  2,\n}"]


def test_a_session_has_as_many_locals_as_it_likes_and_a_cell_what_lua_allows() -> None:
    session, _ = start()
    for cell in range(4):
        session.run("\n".join(f"local v{cell}_{n} = {n}" for n in range(150)))
    assert [echo.text for echo in session.run("return v0_0 + v3_149")] == ["149"]
    with pytest.raises(ScriptSyntaxError, match="too many local variables"):
        session.run("\n".join(f"local w{n} = {n}" for n in range(201)))


def test_a_label_cannot_be_jumped_to_into_the_scope_of_a_local() -> None:
    with pytest.raises(ScriptSyntaxError, match="jumps into the scope"):
        start()[0].run("goto done\nlocal x = 1\n::done::\nprint(x)")


# a chunk and its pieces ------------------------------------------------------------------------------------------


@dataclass
class Program:
    """A random program of statements that can be cut anywhere between them.

    One rule it keeps: a name that a function uses is not declared again, since that would be another variable in a
    chunk, and is the same one in a session.
    """

    draw: Callable[[st.SearchStrategy[str]], str]
    variables: dict[str, bool] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    statements: list[str] = field(default_factory=list)

    def one_of(self, choices: list[str]) -> str:
        return self.draw(st.sampled_from(choices))

    def value(self) -> str:
        terms = ["1", "7", *self.variables]
        return f"({self.one_of(terms)} {self.one_of(['+', '-', '*'])} {self.one_of(terms)}) % 1000"

    def declare(self) -> None:
        free = [name for name in ("a", "b", "c", "d", "json") if name not in self.used]
        if not free:
            return
        names = [self.one_of(free) for _ in range(int(self.one_of(["1", "1", "2", "3"])))]
        constant = self.one_of(["", "", " <const>"])
        values = ", ".join(self.value() for _ in names)
        self.statements.append(f"local {', '.join(name + constant for name in names)} = {values}")
        self.variables |= dict.fromkeys(names, bool(constant))

    def assign(self) -> None:
        if names := [name for name, constant in self.variables.items() if not constant]:
            self.statements.append(f"{self.one_of(names)} = {self.value()}")

    def function(self) -> None:
        if not (names := [name for name, constant in self.variables.items() if not constant]):
            return
        target, name = self.one_of(names), f"f{len(self.functions)}"
        self.used |= self.variables.keys()
        calls = f" {self.one_of(self.functions)}()" if self.functions else ""
        self.statements.append(f"local function {name}() {target} = {self.value()}{calls} return {self.value()} end")
        self.functions.append(name)

    def block(self) -> None:
        loop = self.one_of(["do", "for i = 1, 2 do", "if true then"])
        self.statements.append(f"{loop} local a = {self.value()} local b <const> = a a = b + 1 print(a, b) end")

    def show(self) -> None:
        values = ", ".join([*self.variables, *(f"{name}()" for name in self.functions)] or ["'nothing'"])
        self.statements.append(f"print({values})")


@st.composite
def programs(draw: st.DrawFn) -> list[str]:
    program = Program(draw)
    steps = [program.declare, program.assign, program.function, program.block, program.show]
    for _ in range(draw(st.integers(1, 12))):
        steps[draw(st.integers(0, len(steps) - 1))]()
    program.show()
    return program.statements


@settings(max_examples=200, deadline=None)
@given(programs(), st.data())
def test_cells_print_what_the_whole_chunk_prints(statements: list[str], data: st.DataObject) -> None:
    """The reference is stock Lua: inside of a function nothing is rewritten."""
    whole, expected = start()
    whole.run("(function(...)\n" + "\n".join(statements) + "\nend)()")
    cut, printed = start()
    ends = sorted(data.draw(st.sets(st.integers(1, len(statements)))) | {len(statements)})
    for first, last in zip([0, *ends], ends, strict=False):
        cut.run("\n".join(statements[first:last]))
    assert printed == expected
