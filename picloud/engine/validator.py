"""Decide whether a script may be stored and run."""

from __future__ import annotations

from dataclasses import dataclass

from picloud.errors import Diagnostic, InvalidScript
from picloud.lua.compiler import syntax_error
from picloud.model.script import SOURCE_MAX_BYTES, Script, ScriptKind, check_script_name
from picloud.syntax.constant import is_constant
from picloud.syntax.imports import find_imports
from picloud.syntax.module_shape import check_module_shape
from picloud.syntax.tree import parse


@dataclass(frozen=True, slots=True)
class ValidatedScript:
    """What the validator learned about a valid script."""

    imports: tuple[str, ...]
    """Modules it requires, in order of first use."""
    exports: tuple[str, ...]
    """What a module sets at its top level; empty for an endpoint."""
    constant: bool
    """Whether it is a data module: loaded once, shared between runs, read-only."""


def check_script(script: Script) -> ValidatedScript:
    """Return the script's imports and exports; raise `InvalidScript` with everything that is wrong, in source order."""
    check_script_name(script.name, script.kind)
    return check_source(script.name, script.kind, script.source)


def check_source(name: str, kind: ScriptKind, source: str) -> ValidatedScript:
    """Check a text as `check_script` does; the name is only told in the error."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise InvalidScript(name, (Diagnostic(1, 1, "the text holds half of a surrogate pair"),)) from None
    if size > SOURCE_MAX_BYTES:
        raise InvalidScript(name, (Diagnostic(1, 1, f"the text is longer than {SOURCE_MAX_BYTES} bytes"),))
    if "\0" in source:
        line = source[: source.index("\0")].count("\n") + 1
        raise InvalidScript(name, (Diagnostic(line, 1, "the text holds a NUL character; write \\0 in a string"),))
    error = syntax_error(source)
    if error is not None:
        raise InvalidScript(name, (Diagnostic(error[0], 1, error[1]),))
    root = parse(source)
    imports, wrong = find_imports(root)
    exports: tuple[str, ...] = ()
    constant = False
    if kind is ScriptKind.MODULE:
        exports, shape = check_module_shape(root)
        constant = is_constant(root)
        wrong += shape
    if wrong:
        raise InvalidScript(name, tuple(sorted(wrong, key=lambda d: (d.line, d.column))))
    return ValidatedScript(imports, exports, constant)
