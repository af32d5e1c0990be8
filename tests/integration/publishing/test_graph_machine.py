"""The stored import graph equals the one parsed afresh, whatever is done and wherever a connection ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import SecretStr

from picloud.admin.edits import delete_script, put_script, rename_script
from picloud.engine.validator import check_script
from picloud.errors import CallerError, DatabaseUnavailable
from picloud.model.release import Manifest
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from tests.integration.publishing.test_histories import NAMES, manifests, script, stored_edges

names = st.sampled_from(NAMES)
scripts = st.builds(script, names, st.sampled_from(ScriptKind), st.frozensets(names, max_size=3))
crashes = st.one_of(st.none(), st.integers(1, 25))
"""The statement of the change before which its connection ends, if any."""


@contextmanager
def crash(database_url: str, at: int | None) -> Iterator[None]:
    """End the server's process of a connection just before the statement of this number, counted over all."""
    execute = psycopg.Connection.execute
    count = 0

    def counted(connection: psycopg.Connection, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            with psycopg.connect(database_url, autocommit=True) as other, other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
        return execute(connection, *arguments, **options)

    with patch.object(psycopg.Connection, "execute", counted):
        yield


class Histories(RuleBasedStateMachine):
    """One app; the model is the manifest that is live and those of all releases."""

    database_url: ClassVar[str]

    @initialize()
    def open(self) -> None:
        self._stack = ExitStack()
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        opened = open_platform(Settings(home=home, database_url=SecretStr(self.database_url)))
        self.platform: Platform = self._stack.enter_context(opened)
        self.live = Manifest()
        self.releases = [self.platform.publisher.publish("app", self.live, author="test", create=True).release]

    def teardown(self) -> None:
        self.platform.apps.delete("app")
        self._stack.close()

    def change(self, at: int | None, call: Any, *arguments: Any, **options: Any) -> None:
        """Do it; refused or crashed, nothing may have changed."""
        try:
            with crash(self.database_url, at):
                published = call("app", *arguments, author="test", **options)
        except CallerError:
            return
        except DatabaseUnavailable:
            found = self.platform.releases.latest(self.platform.apps.get("app").id)
            assert found == self.releases[-1]
            return
        if published.release.number > self.releases[-1].number:
            self.releases.append(published.release)
        self.live = published.release.manifest

    @rule(manifest=manifests, at=crashes)
    def publish(self, manifest: Manifest, at: int | None) -> None:
        self.change(at, self.platform.publisher.publish, manifest)

    @rule(saved=scripts, at=crashes)
    def save(self, saved: Script, at: int | None) -> None:
        self.change(at, self.platform.publisher.edit, put_script(saved))

    @rule(old=names, new=names, rewrite=st.booleans(), at=crashes)
    def rename(self, old: str, new: str, rewrite: bool, at: int | None) -> None:
        self.change(at, self.platform.publisher.edit, rename_script(old, new, rewrite_importers=rewrite))

    @rule(name=names, at=crashes)
    def delete(self, name: str, at: int | None) -> None:
        self.change(at, self.platform.publisher.edit, delete_script(name))

    @rule(data=st.data(), at=crashes)
    def roll_back(self, data: st.DataObject, at: int | None) -> None:
        release = data.draw(st.sampled_from(self.releases))
        self.change(at, self.platform.publisher.rollback, release.number)

    @invariant()
    def what_is_stored_is_what_was_done_last_whole(self) -> None:
        app = self.platform.apps.get("app")
        assert self.platform.live.manifest(app.id) == self.live
        assert len(self.platform.releases.list(app.id)) == len(self.releases)
        modules = {s.name for s in self.live.scripts if s.kind is ScriptKind.MODULE}
        parsed = {(s.name, name) for s in self.live.scripts for name in check_script(s).imports if name in modules}
        assert stored_edges(self.platform, "app") == parsed
        unresolved = {
            (linked.script.name, name)
            for linked in self.platform.live.read(app.id).scripts
            for name in linked.imports
            if name not in modules
        }
        everything = {(s.name, name) for s in self.live.scripts for name in check_script(s).imports}
        assert unresolved == everything - parsed


@pytest.mark.timeout(300)
def test_the_graph_is_that_of_the_live_sources_after_any_history(database_url: str) -> None:
    class Here(Histories):
        pass

    Here.database_url = database_url
    case = Here.TestCase
    case.settings = settings(
        max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()
