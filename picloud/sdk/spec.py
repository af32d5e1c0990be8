"""How a namespace describes itself: the one source of argument checks, reference pages, completion and editor stubs.

A function of a namespace is a Python function. Its signature says what scripts pass and get, `Annotated` says what each
argument means, its docstring what it does; keyword-only parameters are fields of an options table, which comes last.
A first parameter called `run` gets the `Run` and is no argument.

Only scalars cross between Lua and Python, so a type says how a value crosses:

    annotation          scripts see   Python gets
    str                 string        text; a string that is not UTF-8 is refused
    bytes               string        bytes
    int                 integer       an integer of 64 bits; 2.0 counts as 2
    float               number        a float
    bool                boolean       a bool
    Value               any           any value JSON can hold, as its text
    Data                any           any value JSON can hold, or a string of any bytes, as a `Data`
    list[T]             table         a list of T, one of str, bytes, Data
    dict[bytes, Data]   table         a table with strings as keys
    Row, Rows           table         a table, a list of tables; for results only
    T | None            optional      None when it is nil or left out
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, NewType, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

Value = NewType("Value", str)
"""The JSON text of any value JSON can hold."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Data:
    """What can be stored: a value as JSON, or a string as the bytes it has."""

    is_json: bool
    content: bytes
    """JSON in UTF-8, or the string itself."""


Cell = str | bytes | int | float | bool | Data | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Many results of one form."""

    columns: tuple[str, ...]
    """The fields of each, with a `*` at the end where they are `Data`."""
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One result with fields."""

    columns: tuple[str, ...]
    """As those of `Rows`."""
    cells: tuple[Cell, ...]


class Type(StrEnum):
    """A type of arguments and results, by the name its annotation has above."""

    TEXT = "str"
    BYTES = "bytes"
    INTEGER = "int"
    NUMBER = "float"
    BOOLEAN = "bool"
    VALUE = "Value"
    DATA = "Data"
    TEXTS = "list[str]"
    STRINGS = "list[bytes]"
    DATA_LIST = "list[Data]"
    DATA_MAP = "dict[bytes, Data]"
    ROWS = "Rows"
    ROW = "Row"
    FUNCTION = "Callable"


LUA_NAMES: Final[Mapping[Type, str]] = {
    Type.TEXT: "string",
    Type.BYTES: "string",
    Type.INTEGER: "integer",
    Type.NUMBER: "number",
    Type.BOOLEAN: "boolean",
    Type.VALUE: "any",
    Type.DATA: "any",
    Type.TEXTS: "string[]",
    Type.STRINGS: "string[]",
    Type.DATA_LIST: "any[]",
    Type.DATA_MAP: "table<string, any>",
    Type.ROWS: "table[]",
    Type.ROW: "table",
    Type.FUNCTION: "function",
}
"""As LuaCATS has them (https://luals.github.io/wiki/annotations/)."""

_TYPES: Final[Mapping[Any, Type]] = {
    str: Type.TEXT,
    bytes: Type.BYTES,
    int: Type.INTEGER,
    float: Type.NUMBER,
    bool: Type.BOOLEAN,
    Value: Type.VALUE,
    Data: Type.DATA,
    list[str]: Type.TEXTS,
    list[bytes]: Type.STRINGS,
    list[Data]: Type.DATA_LIST,
    dict[bytes, Data]: Type.DATA_MAP,
    Rows: Type.ROWS,
    Row: Type.ROW,
    Callable: Type.FUNCTION,
}


class Phase(StrEnum):
    """When a script runs."""

    ENDPOINT = "endpoint"
    TEST = "test"
    CELL = "cell"
    TRIGGER = "trigger"


EVERYWHERE: Final = frozenset(Phase)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument, or one field of the options table."""

    name: str
    type: Type
    description: str
    optional: bool
    default: object
    """What it is when it is left out; None says nothing about it."""
    keyword: str
    """Its name in Python, where `in` and the like are taken."""


@dataclass(frozen=True, slots=True)
class Result:
    """One value returned."""

    type: Type
    optional: bool
    """Whether it may be nil."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function scripts can call."""

    name: str
    """With its namespace: `kv.get`."""
    description: str
    parameters: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    results: tuple[Result, ...]
    returns: str
    """What the results are; empty for none."""
    errors: Mapping[str, str]
    """Codes of errors with what they mean, beyond `invalid_input` for arguments of the wrong type."""
    phases: frozenset[Phase]
    example: str
    """Lua that runs as it stands; `--> value` after an expression says what it gives."""
    call: Callable[..., Any]
    wants_run: bool
    lua: str | None
    """The Lua expression that makes it, when it is not a call of Python; empty when the prelude has it."""

    @property
    def signature(self) -> str:
        """How it is called: `kv.set(key, value, [options])`."""
        names = [f"[{p.name}]" if p.optional else p.name for p in self.parameters]
        if self.options:
            names.append("[options]" if all(option.optional for option in self.options) else "options")
        return f"{self.name}({', '.join(names)})"


@dataclass(frozen=True)
class Constant:
    """One value of a namespace that is no function."""

    name: str
    description: str
    example: str


@dataclass
class Namespace:
    """What scripts reach under one name; an empty name for what they reach without one."""

    name: str
    description: str
    """What it is for; Markdown."""
    functions: dict[str, Function] = field(default_factory=dict)
    """By their names within the namespace."""
    constants: dict[str, Constant] = field(default_factory=dict)
    primitives: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """What the namespace's own Lua calls, by name: gets the `Run` and scalars, returns scalars."""
    lua: str = ""
    """Lua that comes before the functions made in Lua, which see its locals."""

    def primitive(self, name: str) -> Callable[[F], F]:
        """Let the namespace's own Lua call the decorated function as `host(name, ...)`; scripts cannot."""

        def register(call: F) -> F:
            self.primitives[name] = call
            return call

        return register

    def function(
        self, *, example: str, returns: str = "", errors: Mapping[str, str] | None = None,
        phases: frozenset[Phase] = EVERYWHERE, lua: str | None = None, name: str | None = None,
    ) -> Callable[[F], F]:  # fmt: skip
        """Make the decorated function one of the namespace's; raises `TypeError` when it does not describe itself."""

        def register(call: F) -> F:
            own = name or call.__name__.rstrip("_")
            full = f"{self.name}.{own}" if self.name else own
            parameters, options, wants_run = _parameters(full, call)
            results = tuple(_results(full, call))
            description = inspect.cleandoc(call.__doc__ or "")
            if not description or not example.strip() or bool(results) != bool(returns):
                raise TypeError(
                    f"{full}: a docstring, an example and, if it returns something, what that is are needed"
                )
            self.functions[own] = Function(
                full, description, parameters, options, results, returns, dict(errors or {}), phases,
                inspect.cleandoc(example), call, wants_run, lua,
            )  # fmt: skip
            return call

        return register

    def constant(self, name: str, description: str, *, example: str) -> None:
        """Describe a constant, which the prelude makes."""
        self.constants[name] = Constant(f"{self.name}.{name}", description, inspect.cleandoc(example))


def made_in_lua(*_arguments: object) -> NoReturn:
    """Be the body of a function that Lua makes: its signature and docstring describe it, and nobody calls it here."""
    raise AssertionError("made in Lua")


def _parameters(full: str, call: Callable[..., Any]) -> tuple[tuple[Parameter, ...], tuple[Parameter, ...], bool]:
    hints = get_type_hints(call, include_extras=True)
    positional: list[Parameter] = []
    options: list[Parameter] = []
    wants_run = False
    for number, parameter in enumerate(inspect.signature(call).parameters.values()):
        if number == 0 and parameter.name == "run":
            wants_run = True
            continue
        hint = hints[parameter.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{full}: {parameter.name} needs Annotated[type, 'what it is']")
        inner, description = get_args(hint)[:2]
        kind, optional = _type(full, inner)
        has_default = parameter.default is not inspect.Parameter.empty
        default = parameter.default if has_default else None
        name = parameter.name.rstrip("_")
        found = Parameter(name, kind, description, optional or has_default, default, parameter.name)
        (options if parameter.kind is inspect.Parameter.KEYWORD_ONLY else positional).append(found)
    return tuple(positional), tuple(options), wants_run


def _results(full: str, call: Callable[..., Any]) -> Iterator[Result]:
    hint = get_type_hints(call)["return"]
    if hint is type(None):
        return
    arms = [arm for arm in get_args(hint) if get_origin(arm) is tuple]
    if arms and get_origin(hint) in (Union, types.UnionType):  # several results, or none
        hint = arms[0]
    for inner in get_args(hint) if get_origin(hint) is tuple else (hint,):
        kind, optional = _type(full, inner)
        yield Result(kind, optional)


def _type(full: str, hint: Any) -> tuple[Type, bool]:
    optional = False
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arm for arm in get_args(hint) if arm is not type(None)]
        optional = len(inner) < len(get_args(hint))
        if len(inner) != 1:
            raise TypeError(f"{full}: {hint} is none of the types a script can pass")
        hint = inner[0]
    if hint not in _TYPES:
        raise TypeError(f"{full}: {hint} is none of the types a script can pass")
    return _TYPES[hint], optional
