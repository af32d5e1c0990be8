"""Where a run's modules come from: the published snapshot, with a session's drafts in front of it in the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from picloud.errors import NotFound
from picloud.model.app import App
from picloud.model.route import Route
from picloud.model.script import LinkedScript


class ScriptSource(Protocol):
    """Finds the scripts of one app, all of one moment."""

    def find(self, name: str) -> LinkedScript | None:
        """Return the script of this name, endpoint or module, or None."""


def routed_script(source: ScriptSource, name: str) -> LinkedScript:
    """Return the script a route leads to; raise `NotFound` when it is gone."""
    script = source.find(name)
    if script is None:
        raise NotFound(f"The route's script {name!r} is gone.")
    return script


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The published scripts and routes of one app at one revision. Never changes."""

    app: App
    scripts: Mapping[str, LinkedScript]
    routes: tuple[Route, ...]

    def find(self, name: str) -> LinkedScript | None:
        """Return the published script of this name."""
        return self.scripts.get(name)


@dataclass(frozen=True, slots=True)
class DraftOverlay:
    """Scripts of a session in front of another source."""

    drafts: Mapping[str, LinkedScript]
    behind: ScriptSource

    def find(self, name: str) -> LinkedScript | None:
        """Return the draft of this name, else what is behind."""
        return self.drafts.get(name) or self.behind.find(name)
