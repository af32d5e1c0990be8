"""Resolve `require`, bound to one run: its app, its pinned source, its scripts' own literal imports."""

from __future__ import annotations

from picloud.errors import ModuleNotFound
from picloud.model.script import LinkedScript, ScriptKind
from picloud.modules.source import ScriptSource


class Resolver:
    """Finds the modules of one run.

    There is no way to name another app: the source holds the scripts of the run's app only.
    """

    __slots__ = ("_source", "used")

    def __init__(self, source: ScriptSource) -> None:
        self._source = source
        self.used: dict[bytes, LinkedScript] = {}
        """The scripts this run uses, by version key."""

    def enter(self, script: LinkedScript) -> LinkedScript:
        """Note the script a run starts with."""
        self.used[script.key] = script
        return script

    def resolve(self, name: str, importer: bytes) -> LinkedScript:
        """Return the module that the script of version `importer` requires; raise `ModuleNotFound` otherwise.

        A name the importer's text does not require literally is refused: no computed name gets here unnoticed. Scratch
        code has no stored text and passes an empty importer.
        """
        if importer and (parent := self.used.get(importer)) is not None and name not in parent.imports:
            raise ModuleNotFound(
                f"require: {name[:80]!r} is not among the names this script requires literally; "
                'write require("NAME") with the name itself.'
            )
        found = self._source.find(name)
        if found is None:
            raise ModuleNotFound(f"There is no module {name[:80]!r} in this app.")
        if found.script.kind is not ScriptKind.MODULE:
            raise ModuleNotFound(f"{name[:80]!r} is an endpoint: only modules can be required.")
        return self.enter(found)
