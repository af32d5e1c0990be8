"""What the sections of one panel share: the app as it was loaded, and the way to change it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from picloud.admin.edits import Edit
from picloud.errors import NotFound
from picloud.model.app import App
from picloud.model.dead_letter import DeadLetter, LetterFilter
from picloud.model.release import Manifest
from picloud.model.run import RunRecord
from picloud.model.script import LinkedScript, Script
from picloud.modules.graph import ImportGraph
from picloud.platform import Platform
from picloud.publishing.publisher import Plan, Published
from picloud.storage.kv import Content
from picloud.storage.releases import ReleaseInfo
from picloud.storage.runs import RunFilter, RunPage
from picloud.syntax.imports import imports_of
from picloud_kernel.commands import LETTERS_SHOWN_MAX, author, bases

NO_SCRIPTS = ImportGraph({}, {}, (), (), {})


class Desk:
    """One app, read by `load` and changed by releases; sections show what was loaded last."""

    def __init__(
        self, app_name: str, platform: Callable[[], Platform], *, server_url: str | None,
        draft: Callable[[str], Script | None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`platform` may open it, and raise; `draft` gives the notebook's own version of a script."""
        self.app_name = app_name
        self.draft = draft
        self.lock = threading.RLock()
        """Held by whoever uses the panel: JupyterLab has widgets answered in a thread beside that of the cells."""
        self.show: Callable[[], None] = self.load
        """Loads and shows; the panel sets it."""
        self.app: App | None = None
        """None: there is no such app yet."""
        self.live = Manifest()
        self.graph = NO_SCRIPTS
        self.releases: list[ReleaseInfo] = []
        """Newest first."""
        self.letters_wanted = LetterFilter()
        """Which dead letters are shown."""
        self.dead_letters: list[DeadLetter] = []
        """Those, newest first, at most `LETTERS_SHOWN_MAX`; without inputs and attempts."""
        self.more_letters = False
        """Whether there are older ones."""
        self._platform = platform
        self._server_url = server_url

    def load(self) -> None:
        """Read what is live and the releases; raises `PlatformError`."""
        platform = self._platform()
        try:
            self.app = platform.apps.get(self.app_name)
        except NotFound:
            self.app, self.live, self.graph = None, Manifest(), NO_SCRIPTS
            self.releases, self.dead_letters, self.more_letters = [], [], False
            return
        self.live = platform.publisher.live(self.app_name)
        self.releases = platform.releases.list(self.app.id)
        self.dead_letters, cursor = platform.dead_letters.page(
            self.app.id, self.letters_wanted, limit=LETTERS_SHOWN_MAX
        )
        self.more_letters = cursor is not None
        linked = {script.name: LinkedScript(script, imports_of(script.source)) for script in self.live.scripts}
        self.graph = ImportGraph.of(linked, self.live.routes, self.live.triggers, self.live.tests)

    def reload(self) -> None:
        """Show what is live now."""
        self.show()

    def is_stale(self) -> bool:
        """Tell whether something else is live than what was loaded."""
        return self._platform().publisher.live(self.app_name) != self.live

    def publish(self, change: Edit, message: str) -> str:
        """Publish the live manifest with a change; return what to say. Raises as `Publisher.edit`."""
        return _told(self._platform().publisher.edit(self.app_name, change, author=author(), message=message))

    def manifest_of(self, number: int) -> Manifest:
        """Return what a release published."""
        platform = self._platform()
        return platform.releases.get(platform.apps.get(self.app_name).id, number).manifest

    def plan(self, manifest: Manifest) -> Plan:
        """Return what publishing the manifest would do now."""
        return self._platform().publisher.plan(self.app_name, manifest)

    def roll_back(self, number: int) -> str:
        """Publish an earlier release again; return what to say."""
        return _told(self._platform().publisher.rollback(self.app_name, number, author=author()))

    def letter(self, letter: UUID) -> DeadLetter:
        """Return a dead letter with its input and attempts; raise `NotFound`."""
        platform = self._platform()
        return platform.dead_letters.get(platform.apps.get(self.app_name).id, letter)

    def redrive(self, letter: UUID, edited: Content | None) -> None:
        """Let a trigger take a dead letter again, perhaps with another input; raises as the use case does."""
        platform = self._platform()
        platform.dead_letters.redrive(platform.apps.get(self.app_name).id, letter, by=author(), edited=edited)

    def discard(self, letter: UUID) -> None:
        """Take a dead letter off the list; raises as the use case does."""
        platform = self._platform()
        platform.dead_letters.discard(platform.apps.get(self.app_name).id, letter, by=author())

    def redrive_shown(self) -> int:
        """Let triggers take again the letters that are shown and open; return how many."""
        platform = self._platform()
        wanted = replace(self.letters_wanted, ids=tuple(letter.id for letter in self.dead_letters))
        return platform.dead_letters.redrive_all(platform.apps.get(self.app_name).id, wanted, by=author())

    def runs(self, wanted: RunFilter, *, limit: int) -> RunPage:
        """Return the newest runs, without their inputs."""
        return RunPage() if self.app is None else self._platform().run_records.list(self.app.id, wanted, limit=limit)

    def run(self, identity: UUID) -> RunRecord:
        """Return a run with its input; raises `NotFound` when it is not kept any more."""
        platform = self._platform()
        return platform.run_records.get(platform.apps.get(self.app_name).id, str(identity))

    def addresses(self) -> list[str]:
        """Return the app's root URLs: on the data plane, and through Jupyter when that is known."""
        return [f"{base}/run/{self.app_name}" for base in bases(self._platform().settings, self._server_url)]


def _told(published: Published) -> str:
    if not published.plan.changes_anything:
        return f"Nothing changed: release {published.release.number} is live."
    tests = len(published.tests)
    passed = f" {tests} {'test' if tests == 1 else 'tests'} passed." if tests else ""
    return f"Release {published.release.number} is live.{passed}"
