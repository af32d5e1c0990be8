"""What to do about an error of a script, in plain words: a table of what goes wrong often. Pure functions of texts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from picloud.lua.names import FUNCTIONS, KEYWORDS, MEMBERS
from picloud.sdk import NAMESPACES
from picloud.syntax.caret import SDK_ARGUMENT, VARIABLE, base_of, names_in, required_as

SourceOf = Callable[[str], str | None]
"""The text of a script by its name, None when it is not at hand."""

SDK: Final = {space.name: frozenset([*space.functions, *space.constants]) for space in NAMESPACES if space.name}
GLOBALS: Final = frozenset(
    {*FUNCTIONS, *MEMBERS, *SDK, *(name for space in NAMESPACES if not space.name for name in space.functions)}
)

FOREIGN: Final = {
    "null": "Lua's word for nothing is nil; the null of JSON is json.null.",
    "None": "Lua's word for nothing is nil; the null of JSON is json.null.",
    "undefined": "Lua's word for nothing is nil.",
    "True": "Lua writes it true.",
    "False": "Lua writes it false.",
    "console": "Lua writes it print(...); log.info(...) goes to the log.",
    "this": "Lua has no 'this': a function defined with a colon, function M:name(), has self.",
    "len": "The length of a string or a list is #value.",
    "str": "Lua writes it tostring(value).",
    "int": "Lua writes it math.tointeger(value), or math.floor(value) for a fraction.",
    "parseInt": "Lua writes it tonumber(text).",
    "JSON": "Here it is json.encode(value) and json.decode(text).",
    "range": "A loop over numbers is: for i = 1, 10 do ... end",
    "try": "Lua writes it: local ok, problem = pcall(function() ... end)",
    "throw": 'Lua writes it error("what went wrong").',
    "raise": 'Lua writes it error("what went wrong").',
    "request": "There is a request in endpoints only; in a test, call(method, path) makes one.",
    "response": "There is a response in endpoints only.",
    "expect": "There is expect in %%test cells only.",
    "call": "There is call in %%test cells only; in a notebook, '%call GET /path' makes a request.",
}
"""Globals that people bring from elsewhere; each is nil in Lua unless a script sets it."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What a hint is made from."""

    message: str
    """Lua's, without the place."""
    line: str = ""
    """The line it names; empty when it is not at hand."""
    number: int = 0
    """Its number."""
    source: str = ""
    """The script it is in."""
    variables: frozenset[str] = frozenset()
    """Globals that other cells of the session define."""
    modules: frozenset[str] = frozenset()
    source_of: SourceOf = lambda _name: None


_SYNTAX: Final[tuple[tuple[str, str, str], ...]] = (
    # What the message holds, what the line holds, the hint. The first that fits is taken.
    (r"near", r"\bfor\s*\(", "A loop over numbers is: for i = 1, 10 do ... end"),
    (r"near '!'", r"!=", "Lua writes 'is not equal' as ~=."),
    (r"near '!'", r"!", "Lua writes 'not' as a word: not x."),
    (r"near '&'", r"&&", "Lua writes 'and' as a word: a and b."),
    (r"near '\|'", r"\|\|", "Lua writes 'or' as a word: a or b."),
    (r"near '\?'", r"\?\.", "Lua has no '?.': write a and a.b."),
    (r"near '\?'", r"", "Lua has no '? :': write condition and a or b."),
    (r"near", r"(\w+)\s*\+\+", "Lua has no '++': write x = x + 1."),
    (r"near", r"[\w\]]\s*(\+|-|\*|/|\.\.|%)=(?!=)", "Lua has no '+=' and the like: write x = x + 1."),
    (r"near", r"===|!==", "Lua compares with == and ~=."),
    (r"near '>'", r"=>", "Lua writes a function as: function(x) return x end"),
    (r"near", r"^\s*(let|var|const)\s+\w", "Lua declares a variable with local: local x = 1"),
    (r"near", r"^\s*(def|func|fn|fun|sub)\s+\w", "Lua declares a function as: local function name(x) ... end"),
    (r"near", r"^\s*async\s", "Lua functions need no async and no await: calls of the SDK return their result."),
    (r"near", r"\bawait\s", "Lua functions need no async and no await: calls of the SDK return their result."),
    (r"near", r"^\s*(elif|elsif|elseif\s*\()", "Lua's word is elseif: elseif x then"),
    (r"near", r"\belse\s+if\b", "Lua's word is elseif, in one: 'else if' opens a second if with an end of its own."),
    (r"near", r"^\s*(import|from|use|include)\s", 'Lua loads a module as: local name = require("name")'),
    (r"near", r"^\s*(class|interface|struct)\s", "Lua has no classes: a table of functions does it, see %%module."),
    (r"near", r"^\s*(switch|case|match)\b", "Lua has no switch: write if ... elseif ... else ... end."),
    (r"near", r"^\s*(try|catch|finally)\b", "Lua catches errors as: local ok, problem = pcall(function() ... end)"),
    (r"near", r"^\s*continue\b", "Lua has no continue: wrap the rest in an if, or goto a label at the loop's end."),
    (r"near", r"^\s*(//|/\*)", "A comment begins with --."),
    (r"near", r"^\s*#", "A comment begins with --."),
    (r"near", r"\bfunction\s*\w*\s*\([^)]*\)\s*(=>|\{)", "A function's body has no braces: function f() ... end"),
    (r"near '\['", r"[=(,{]\s*\[", "A list has braces: { 1, 2, 3 }"),
    (r"near ':'", r"[{,]\s*[\"']?[\w ]*[\"']?\s*:", 'A table is written { name = 1 }, or { ["a name"] = 1 }.'),
    (r"near '<\\\d+>'", r"[\u2018-\u201f]", "These are typographic quotes: use \" or '."),
    (r"near '<\\\d+>'", r"", "Names have the letters a to z, digits and _ only; other letters go in strings."),
    (r"near '`'", r"", "A text with several lines is written [[...]]; values go in with .. or string.format."),
    (r"'then' expected near '='", r"", "A condition compares with ==; one = assigns."),
    (r"'then' expected", r"", "After the condition of an if comes then: if x == 1 then"),
    (r"'do' expected", r"", "After the head of a loop comes do: for i = 1, 3 do, while x do"),
    (r"'=' or 'in' expected", r"", "A loop is: for i = 1, 3 do, or for key, value in pairs(t) do"),
    (r"'\(' expected near '\.'", r"local\s+function", "A field of a table cannot be local: function M.name() ... end"),
    (r"<eof> expected near 'end'", r"", "There is one end too many, or what it should close is missing."),
    (r"<eof> expected near 'else'", r"", "This else has no if: its if was closed by an end already."),
    (r"<eof> expected near", r"^\s*return\b", "return is the last statement of its block."),
    (
        r"unfinished string",
        r"",
        "The text has no closing quote on its line; one of several lines is written [[...]].",
    ),
    (r"unfinished long (string|comment)", r"", "It opens with [[ and never ends: close it with ]]."),
    (r"<name> expected near", r"[.:]", 'A word of Lua is no field name after a dot: write t["end"].'),
    (r"<name> expected near", r"", "A name is expected here; words of Lua and numbers are none."),
    (r"function arguments expected", r"", "A colon is for calls: t:name(). A field is read with a dot: t.name."),
    (r"malformed number", r"", "A name cannot begin with a digit, and a number holds no letters."),
    (r"invalid escape sequence", r"", "A backslash in a text is written \\\\; in [[...]] it stands for itself."),
    (r"break outside", r"", "break leaves a loop; here is none. return leaves a function."),
    (r"attempt to assign to const", r"", "It was declared <const>: choose another name, or leave <const> away."),
    (r"'end' expected", r"", "Every function, if, for, while and do needs an end of its own."),
    (r"'\}' expected", r"", "A brace is not closed, or a comma is missing between two entries."),
    (r"'\)' expected", r"", "A parenthesis is not closed, or a comma is missing."),
    (r"syntax error near", r"", "A line of Lua is an assignment or a call: x = 1, print(x)."),
)

_RUNTIME: Final[tuple[tuple[str, str, str], ...]] = (
    (r"\(field 'integer index'\)", r"\[0\]", "Lists begin at 1: t[1] is the first entry."),
    (r"\(field 'integer index'\)", r"", "There is nothing at this index; #t is the number of entries of a list."),
    (r"\(for iterator", r"", "A loop over a table is: for key, value in pairs(t) do, or ipairs(t) for a list."),
    (r"attempt to add a 'string'", r"", "Texts are joined with ..; tonumber(text) makes a number of a text."),
    (r"arithmetic on a string value", r"\+", "Texts are joined with ..; tonumber(text) makes a number of a text."),
    (
        r"attempt to \w+ a 'string' with|with a 'string'",
        r"",
        "One is a text: tonumber(text) makes a number of it.",
    ),
    (r"attempt to compare (number with string|string with number)", r"", "tonumber(text) makes a number of a text."),
    (r"attempt to compare .*\bnil\b", r"", "One of them is nil: give it a value first, for example x or 0."),
    (r"attempt to compare two table", r"", "Tables have no order; compare a field: a.age < b.age."),
    (r"concatenate a nil", r"", 'One of them is nil: give it a value first, for example x or "".'),
    (
        r"concatenate a (table|boolean|function)",
        r"",
        "tostring(x) makes a text, json.encode(x) one of a table.",
    ),
    (r"arithmetic on a nil", r"\btonumber\s*\(", "tonumber gives nil for a text that is not a number."),
    (r"arithmetic on a nil", r"", "It is nil: give it a value first, for example x or 0."),
    (r"get length of a nil", r"", "It is nil: give it a value first, for example #(t or {})."),
    (r"get length of a number", r"", "A number has no length: #tostring(n) counts its digits."),
    (r"no integer representation", r"", "It has a fraction: math.floor(x) makes an integer, // divides to one."),
    (r"attempt to divide by zero|'n%%0'", r"", "Integers cannot be divided by 0: check before."),
    (r"table index is nil", r"", "A key is nil: only a value can be a key."),
    (r"calling '[^']*' on bad self", r"", "Call it with a colon: value:name(), not value.name()."),
    (r"this table is read-only", r"", "Copy it first: local mine = {} for k, v in pairs(t) do mine[k] = v end"),
    (
        r"not valid JSON",
        r"",
        "Catch it where it may happen: local ok, value = pcall(json.decode, text)",
    ),
    (r"stack overflow", r"", "A function calls itself without end."),
)

_LIMITS: Final = {
    "time_limit_exceeded": "Look for a loop without end, or do less per run; PICLOUD_RUN_TIMEOUT_S is the limit.",
    "cpu_limit_exceeded": "Look for a loop without end, or do less per run; PICLOUD_RUN_CPU_S is the limit.",
    "memory_limit_exceeded": "Look for a table that grows or a function that calls itself without end, or keep less at "
    "once; PICLOUD_RUN_MEMORY_MB is the limit.",
    "call_limit_exceeded": "Do more with one call, as kv.get_many does; PICLOUD_RUN_CALLS_MAX is the limit.",
    "response_too_large": "Answer with a part, page by page; PICLOUD_RESPONSE_MAX_MB is the limit.",
    "import_cycle": "Move what both need into a third module.",
    "import_too_deep": "PICLOUD_MODULE_IMPORT_DEPTH_MAX is the limit.",
}


def hint_for(code: str, mistake: Mistake) -> str | None:
    """Return what to do about an error with this code, None when nothing certain can be said."""
    if code in _LIMITS:
        return _LIMITS[code]
    if code == "module_not_found":
        return _missing_module(mistake)
    if code in ("script_syntax_error", "invalid_script"):
        return _braces(mistake) or _unclosed(mistake) or _first(_SYNTAX, mistake)
    if code == "expectation_failed":
        return _comparison(mistake)
    return _colon(mistake) or _variable(mistake) or _first(_RUNTIME, mistake)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant."""
    others = {other.lower(): other for other in sorted(known) if other != name}
    found = difflib.get_close_matches(name.lower(), others, n=1, cutoff=0.65)
    return others[found[0]] if found else None


def _first(table: tuple[tuple[str, str, str], ...], mistake: Mistake) -> str | None:
    code = _without_texts(mistake.line) if table is _SYNTAX else mistake.line
    for message, line, hint in table:
        if re.search(message, mistake.message) and (not line or re.search(line, code)):
            return hint
    return None


def _without_texts(line: str) -> str:
    """Return a line with its comments and the content of its strings taken out."""
    return re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|--.*', lambda m: '""' if m[0][0] in "\"'" else "", line)


def _braces(mistake: Mistake) -> str | None:
    """Tell of a block in braces; its first line may be the one before: `(x) { return` begins like a call."""
    lines = mistake.source.split("\n")[max(0, mistake.number - 2) : mistake.number]
    if any(re.search(r"\b(if|while|for|else)\b.*\{\s*$", _without_texts(line)) for line in lines):
        return "Blocks have no braces: if x then ... end, while x do ... end, for i = 1, 3 do ... end."
    return None


def _unclosed(mistake: Mistake) -> str | None:
    opened = re.search(r"\(to close '([^']+)' at line (\d+)\)", mistake.message)
    other = next((f"line {n} has '{word}'" for n, word in _foreign_branches(mistake.source)), None)
    if other and "'end' expected" in mistake.message:
        return f"Lua's word is elseif, and {other}."
    return f"The '{opened[1]}' of line {opened[2]} is not closed." if opened else None


def _foreign_branches(source: str) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(source.split("\n"), 1):
        if found := re.search(r"\belse\s+if\b|^\s*elif\b|^\s*elsif\b", _without_texts(line)):
            yield number, found[0].strip()


def _missing_module(mistake: Mistake) -> str | None:
    found = re.search(r"no module '([^']*)'", mistake.message)
    if found is None:
        return None
    name = found[1]
    if name in GLOBALS:
        return f"{name} needs no require: it is there already."
    near = nearest(name, mistake.modules)
    if near:
        return f"Did you mean '{near}'?"
    return (
        f"A cell that begins with '%%module {name}' makes one; run it before this cell."
        if name.isidentifier()
        else None
    )


def _comparison(mistake: Mistake) -> str | None:
    compared = re.search(r"\bassert\s*\(?.*(==|~=)", mistake.line)
    return "expect(a):equals(b) shows both values when they differ." if compared else None


def _colon(mistake: Mistake) -> str | None:
    """Tell of a function of the SDK called as a method: its first argument is then the namespace."""
    found = SDK_ARGUMENT.match(mistake.message)
    if found is None or "." not in found["function"]:
        return None
    space, _, name = found["function"].partition(".")
    wrong = re.search(rf"\b{re.escape(space)}\s*:\s*{re.escape(name)}\b", mistake.line)
    return f"Functions of the SDK are called with a dot: {space}.{name}(...)." if wrong else None


def _variable(mistake: Mistake) -> str | None:
    found = VARIABLE.search(mistake.message)
    if found is None:
        return None
    kind, name, deed, type_ = found["kind"], found["name"], found["deed"], found["type"]
    if type_ != "nil":
        return f"{name} is a {type_}, which cannot be called." if deed == "call" and kind != "for" else None
    if kind == "global":
        return _unknown_global(mistake, name)
    if kind in ("field", "method") and name.isidentifier():
        return _unknown_field(mistake, name, is_method=kind == "method", deed=deed)
    if deed == "index" and kind in ("local", "upvalue"):
        return f"{name} is nil here: check it before, for example if {name} then ... end."
    return None


def _unknown_global(mistake: Mistake, name: str) -> str | None:
    if name in FOREIGN:
        return FOREIGN[name]
    known = GLOBALS | mistake.variables | names_in(mistake.source)[0]
    if near := nearest(name, known - KEYWORDS):
        return f"Did you mean '{near}'?"
    if name in mistake.modules:
        return f'{name} is a module: local {name} = require("{name}")'
    return f"Nothing has set {name} so far; a local of another function or block is not seen here."


def _unknown_field(mistake: Mistake, name: str, *, is_method: bool, deed: str) -> str | None:
    base = base_of(mistake.source, mistake.number, name)
    where = f" in {base}" if base else ""
    if near := nearest(name, _fields(mistake, base, is_method)):
        return f"Did you mean '{base}{':' if is_method else '.'}{near}'?" if base else f"Did you mean '{near}'?"
    if base is not None and (base in SDK or base in MEMBERS):
        return f"{base} has {', '.join(sorted(_fields(mistake, base, is_method)))}."
    if deed == "index":
        return f"There is no '{name}'{where}: check it before, for example if {base or 't'}.{name} then ... end."
    return f"There is no '{name}'{where}."


def _fields(mistake: Mistake, base: str | None, is_method: bool) -> frozenset[str]:
    if base is not None and (members := SDK.get(base) or MEMBERS.get(base)):
        return members
    module = required_as(mistake.source, base) if base else None
    if module is not None and (text := mistake.source_of(module)) is not None:
        variables, fields = names_in(text)
        return fields or variables
    return names_in(mistake.source)[1] | (MEMBERS["string"] if is_method else frozenset())
