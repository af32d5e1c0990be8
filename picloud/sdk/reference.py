"""What people and editors read of the SDK, made from its own description: reference pages and a stub file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from picloud.sdk import NAMESPACES
from picloud.sdk.spec import EVERYWHERE, LUA_NAMES, Constant, Function, Namespace, Parameter, Result

STUB_FILE = "picloud.lua"
INDEX_FILE = "README.md"
_BASE_PAGE = "base"


def files() -> Mapping[str, str]:
    """Return the texts of `docs/reference/sdk/` by file name."""
    pages = {f"{page_name(namespace)}.md": page(namespace) for namespace in NAMESPACES}
    return {**pages, INDEX_FILE: index(), STUB_FILE: stubs()}


def page_name(namespace: Namespace) -> str:
    """Return the name of a namespace's page, without an ending."""
    return namespace.name or _BASE_PAGE


def index() -> str:
    """Return the page that lists all functions."""
    lines = [
        "# The SDK",
        "",
        "What scripts can call beyond Lua's own functions. These pages are made from `picloud/sdk/`; so are the checks",
        f"of arguments, completion in notebooks, and [`{STUB_FILE}`]({STUB_FILE}), which tells editors with a Lua",
        "language server (LuaCATS annotations) what there is.",
        "",
        "A wrong argument raises `invalid_input` with a sentence that names it. Errors are tables with `code` and",
        "`message`; `pcall` catches them. A function takes its options as a table, last.",
        "",
        "| function | what it does |",
        "|---|---|",
    ]
    for namespace in NAMESPACES:
        for function in namespace.functions.values():
            link = f"{page_name(namespace)}.md#{_anchor(function.signature)}"
            lines.append(f"| [`{function.name}`]({link}) | {_first_sentence(function.description)} |")
    return "\n".join(lines) + "\n"


def page(namespace: Namespace) -> str:
    """Return the reference page of a namespace."""
    parts = [f"# {namespace.name or 'Without a namespace'}", "", namespace.description, ""]
    for constant in namespace.constants.values():
        parts += [f"## `{constant.name}`", "", constant.description, "", *_example(constant.example)]
    for function in namespace.functions.values():
        parts += _section(function)
    return "\n".join(parts).rstrip() + "\n"


def hover(function: Function) -> str:
    """Return what the kernel shows of a function, as Markdown."""
    return "\n".join(_section(function)).rstrip()


def stubs() -> str:
    """Return the stub file: the SDK as a language server for Lua understands it."""
    lines = ["---@meta", "-- Made from picloud/sdk/: do not edit.", ""]
    for namespace in NAMESPACES:
        if namespace.name:
            lines += [*_comment(namespace.description), f"{namespace.name} = {{}}", ""]
        for constant in namespace.constants.values():
            lines += _constant_stub(constant)
        for function in namespace.functions.values():
            lines += _function_stub(function)
    return "\n".join(lines).rstrip() + "\n"


def _section(function: Function) -> list[str]:
    lines = [f"## `{function.signature}`", "", function.description, ""]
    if function.phases != EVERYWHERE:
        lines += [f"In {' and '.join(sorted(f'{phase}s' for phase in function.phases))} only.", ""]
    if function.parameters:
        lines += _table("argument", function.parameters)
    if function.options:
        lines += _table("option", function.options)
    if function.results:
        lines += [f"Returns {function.returns}.", ""]
    if function.errors:
        lines += ["Errors: " + "; ".join(f"`{code}`: {meaning}" for code, meaning in function.errors.items()) + ".", ""]
    return [*lines, *_example(function.example)]


def _table(kind: str, parameters: Iterable[Parameter]) -> list[str]:
    rows = [
        f"| `{parameter.name}` | {_type(parameter)} | {_default(parameter)} | {parameter.description} |"
        for parameter in parameters
    ]
    return [f"| {kind} | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def _type(parameter: Parameter) -> str:
    return LUA_NAMES[parameter.type]


def _default(parameter: Parameter) -> str:
    if not parameter.optional:
        return "needed"
    match parameter.default:
        case None:
            return ""
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case bytes() as data:
            return f'`"{data.decode()}"`'
        case str() as text:
            return f'`"{text}"`'
    return f"`{parameter.default}`"


def _example(example: str) -> list[str]:
    return ["```lua", example, "```", ""]


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n", 1)[0].split()).split(". ", 1)[0].rstrip(".") + "."


def _anchor(signature: str) -> str:
    """Return the anchor a heading has on a page, as GitHub makes it."""
    kept = "".join(c for c in signature.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def _comment(text: str) -> list[str]:
    return [f"---{' ' + line if line else ''}" for line in text.splitlines()]


def _constant_stub(constant: Constant) -> list[str]:
    return [*_comment(constant.description), f"{constant.name} = nil", ""]


def _function_stub(function: Function) -> list[str]:
    lines: list[str] = []
    options_class = "".join(part.capitalize() for part in function.name.replace("_", ".").split(".")) + "Options"
    if function.options:
        lines += [f"---@class {options_class}"]
        lines += [f"---@field {_field(option)}" for option in function.options]
        lines.append("")
    lines += _comment(function.description)
    lines += [f"---@param {_field(parameter)}" for parameter in function.parameters]
    if function.options:
        mark = "?" if all(option.optional for option in function.options) else ""
        lines.append(f"---@param options{mark} {options_class}")
    lines += [f"---@return {result}" for result in _results(function.results, function.returns)]
    names = [parameter.name for parameter in function.parameters] + ["options"] * bool(function.options)
    return [*lines, f"function {function.name}({', '.join(names)}) end", ""]


def _field(parameter: Parameter) -> str:
    return f"{parameter.name}{'?' if parameter.optional else ''} {_type(parameter)} {parameter.description}"


def _results(results: tuple[Result, ...], returns: str) -> Iterator[str]:
    for number, result in enumerate(results):
        kind = LUA_NAMES[result.type] + ("?" if result.optional else "")
        yield f"{kind} #{returns}" if number == 0 else kind
