"""Which names a cell sees: Lua's, the SDK's, its own, those of its modules and those of the session."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cached_property

from picloud.engine.interactive import Field, Interactive, Look
from picloud.errors import PicloudError
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind
from picloud.sdk import NAMESPACES
from picloud.sdk.spec import Function
from picloud.syntax.outline import Definition, function_at, outline, required_modules
from picloud_kernel.lua_names import BASE, CELL, ENDPOINT, LIBRARIES, REQUEST, RESPONSE, TEST, TRIGGER, Name

EXPECT_AT_END = re.compile(r"\bexpect[ \t]*\([^\n]*\)[ \t]*:(\w*)\Z")
"""The beginning of an expectation's name in a test."""
REQUIRE_AT_END = re.compile(r"""\brequire[ \t]*\(?[ \t]*["'](\w*)\Z""")
"""The beginning of a module's name."""

_MAGIC = re.compile(r"(?:[ \t]*(?:(?:--|#).*)?\n)*(%%\w+)(.*)")
_SEGMENT = re.compile(r"[:*](\w+)")
_log = logging.getLogger(__name__)


def _sdk_name(function: Function) -> Name:
    return Name("function", function.signature, function.description.split("\n\n")[0])


SDK: Mapping[str, Mapping[str, Name]] = {
    namespace.name: {name: _sdk_name(function) for name, function in namespace.functions.items()}
    | {name: Name("constant", item.name, item.description) for name, item in namespace.constants.items()}
    for namespace in NAMESPACES
}
"""The members of each namespace; those without one under the empty name."""

_EVERYWHERE = {
    **{name: Name("module", name, "") for name in (*LIBRARIES, *SDK) if name},
    **BASE,
    **SDK[""],
}


class Scope:
    """The names of one cell at one moment.

    `live` is the session, None when it cannot be asked: it is not opened yet, or a cell runs. `source_of` gives the
    text of a cell that has run.
    """

    def __init__(self, code: str, live: Interactive | None, source_of: Callable[[str], str | None]) -> None:
        self.code = code
        self._live = live
        self._source_of = source_of
        first = _MAGIC.match(code)
        self.magic = first[1] if first else ""
        """The cell magic the cell begins with, or nothing."""
        self._magic_arguments = first[2] if first else ""

    @cached_property
    def names(self) -> Mapping[str, Name]:
        """What can be written by itself, keywords and local names left out."""
        return {**self._globals, **_EVERYWHERE, **self._phase}

    def members(self, path: tuple[str, ...]) -> Mapping[str, Name]:
        """Return what can follow the path and a `.` or `:`."""
        if len(path) == 1 and (known := self._known_members(path[0])):
            return known
        if path == ("request", "params") and self.magic == "%%endpoint":
            return {name: Name("string", name, "") for name in _SEGMENT.findall(self._magic_arguments)}
        return {**self._fields(path), **self._exports(path)}

    def find(self, path: tuple[str, ...]) -> Name | None:
        """Return what is known of the path's last name."""
        return (self.members(path[:-1]) if path[1:] else self.names).get(path[-1])

    def _exports(self, path: tuple[str, ...]) -> Mapping[str, Name]:
        """Return the exports of the module that a variable of this cell holds."""
        module = self.module(self.required(path))
        if module is None:
            return {}
        return {name: _export_name(path[0], item) for name, item in outline(module.source).exports.items()}

    def required(self, path: tuple[str, ...]) -> str | None:
        """Return the module that a variable holds.

        The cell says so; in scratch code a variable of a module's name counts, since an earlier cell may have set it.
        """
        if len(path) != 1:
            return None
        return self._required.get(path[0], None if self.magic else path[0])

    def definition(self, path: tuple[str, ...]) -> tuple[str, Definition] | None:
        """Return what a path names in a module, or where the session's function of that name is written.

        Before it the name of the module, script or cell.
        """
        if not path:
            return None
        module = self.module(self.required(path[:-1]))
        if module is not None:
            found = outline(module.source).exports.get(path[-1])
            return None if found is None else (module.name, found)
        value = self.look(path)
        source = None if value is None or not value.script else self.source(value.script)
        if value is None or source is None or (function := function_at(source, value.line)) is None:
            return None
        return value.script, function

    def is_given(self, name: str) -> bool:
        """Tell whether a name is Lua's, the SDK's or the cell's kind's."""
        return name in _EVERYWHERE or name in self._phase

    def module(self, name: str | None) -> Script | None:
        """Return the module of this name."""
        script = self.scripts.get(name or "")
        return script if script is not None and script.kind is ScriptKind.MODULE else None

    def source(self, name: str) -> str | None:
        """Return the text of a cell or script."""
        script = self.scripts.get(name)
        return self._source_of(name) or (script.source if script is not None else None)

    def look(self, path: tuple[str, ...]) -> Look | None:
        """Return the session's value at the path; only scratch code sees those."""
        if self._live is None or self.magic:
            return None
        return self._live.look(*path)

    @property
    def scripts(self) -> Mapping[str, Script]:
        """The app's scripts by name, drafts first."""
        return self._view[0]

    @property
    def routes(self) -> tuple[Route, ...]:
        """The app's routes, drafts first."""
        return self._view[1]

    @cached_property
    def _view(self) -> tuple[Mapping[str, Script], tuple[Route, ...]]:
        if self._live is None:
            return {}, ()
        try:
            return self._live.view()
        except PicloudError as error:  # the database is down: the cell itself will say so
            _log.debug("Nothing is known of the app's scripts: %s", error)
            return {}, ()

    @cached_property
    def _required(self) -> Mapping[str, str]:
        return required_modules(self.code)

    @cached_property
    def _globals(self) -> Mapping[str, Name]:
        found = self.look(())
        return {} if found is None else _field_names("", found.fields)

    @cached_property
    def _phase(self) -> Mapping[str, Name]:
        phases = {"": CELL, "%%endpoint": ENDPOINT, "%%trigger": TRIGGER, "%%test": TEST}
        return phases.get(self.magic, {})

    def _known_members(self, name: str) -> Mapping[str, Name]:
        if self.magic == "%%endpoint" and name in ENDPOINT:
            return REQUEST if name == "request" else RESPONSE
        return SDK.get(name) or LIBRARIES.get(name, {})

    def _fields(self, path: tuple[str, ...]) -> Mapping[str, Name]:
        found, prefix = self.look(path), ".".join(path)
        return _written_fields(self.code, prefix) if found is None else _field_names(f"{prefix}.", found.fields)


def _export_name(variable: str, item: Definition) -> Name:
    kind = "constant" if item.parameters is None else "function"
    return Name(kind, f"{variable}.{item.name}{item.parameters or ''}", item.comment)


def _field_names(prefix: str, fields: Mapping[str, Field]) -> Mapping[str, Name]:
    return {
        name: Name(field.type, f"{prefix}{name}{field.parameters}", field.text)
        for name, field in fields.items()
        if not name.startswith("__")
    }


def _written_fields(code: str, prefix: str) -> Mapping[str, Name]:
    """Return the fields the cell itself names: it has not run yet."""
    written = re.findall(rf"(?<![\w.:]){re.escape(prefix)}[.:](\w+)\b(?!\Z)", code)
    return {name: Name("field", f"{prefix}.{name}", "") for name in written}
