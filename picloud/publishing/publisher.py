"""Publish a manifest: validate, plan, test, then one transaction that makes it live and records the release."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from picloud.engine.executor import Executor
from picloud.engine.testing import TestResult, run_test
from picloud.engine.validator import check_script, check_source
from picloud.errors import Conflict, InvalidInput, NotFound, TestsFailed
from picloud.model.app import App, check_app_name, unpublished
from picloud.model.release import Manifest, Release, TestSource
from picloud.model.route import check_route
from picloud.model.script import LinkedScript, ScriptKind
from picloud.modules.graph import ImportGraph
from picloud.modules.source import Snapshot
from picloud.storage.apps import AppRepository, create_app
from picloud.storage.database import Database
from picloud.storage.live import LiveApp, lock_app, read_live, replace_live
from picloud.storage.releases import ReleaseRepository, add_release, latest_release

MESSAGE_MAX = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing would do. Entries read like `module greet`, `route GET /hello/:name`, `test greets`."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    affected: tuple[str, ...]
    """Scripts, routes and tests that did not change themselves but require something that did, at any distance."""

    @property
    def changes_anything(self) -> bool:
        """Whether publishing would make a new release."""
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a publish."""

    release: Release
    """The new release, or the one already live when nothing would change."""
    plan: Plan
    created_app: bool
    tests: tuple[TestResult, ...] = ()


class Publisher:
    """Publishes whole manifests; each publish happens at once or not at all."""

    def __init__(
        self, database: Database, apps: AppRepository, releases: ReleaseRepository, executor: Executor
    ) -> None:
        self._database = database
        self._apps = apps
        self._releases = releases
        self._executor = executor

    def live(self, app_name: str) -> Manifest:
        """Return what is live, tests included. A missing app counts as empty."""
        _, live, tests = self._read(app_name)
        return Manifest(tuple(linked.script for linked in live.scripts), live.routes, tests)

    def graph(self, app_name: str) -> ImportGraph:
        """Return who requires whom in what is live. A missing app counts as empty."""
        _, live, tests = self._read(app_name)
        return ImportGraph.of({linked.script.name: linked for linked in live.scripts}, live.routes, tests)

    def plan(self, app_name: str, manifest: Manifest) -> Plan:
        """Return what publishing would do; raises `InvalidInput` as `publish` does. A missing app counts as empty."""
        linked = _validate(check_app_name(app_name), manifest)
        return make_plan(self.live(app_name), manifest, linked)

    def publish(
        self, app_name: str, manifest: Manifest, *, author: str, message: str = "", notebook: str | None = None,
        create: bool = False,
    ) -> Published:  # fmt: skip
        """Make the manifest all the app consists of.

        Runs the manifest's tests first and raises `TestsFailed` when one fails. Raises `InvalidInput` for a manifest
        that is not valid, `NotFound` when the app is not there and `create` is false, `Conflict` when somebody else
        published in the meantime. Nothing is written unless everything is.
        """
        app, before = self._live(check_app_name(app_name))
        return self._publish(
            app, app_name, before, manifest, author=author, message=message, notebook=notebook, create=create
        )

    def edit(
        self, app_name: str, change: Callable[[Manifest], Manifest], *, author: str, message: str = ""
    ) -> Published:
        """Publish the live manifest with a change; raises as `publish` does, and what `change` raises.

        `change` is applied to one revision, and only on that revision the result is published.
        """
        app, before = self._live(app_name)
        if app is None:
            raise NotFound(f"There is no app {app_name[:80]!r}.")
        return self._publish(app, app_name, before, change(before), author=author, message=message)

    def rollback(self, app_name: str, number: int, *, author: str) -> Published:
        """Publish the manifest of an earlier release again, as a new release; raises `NotFound` when there is none."""
        old = self._releases.get(self._apps.get(app_name).id, number)
        return self.publish(
            app_name, old.manifest, author=author, message=f"Roll back to release {number}", notebook=old.notebook
        )

    def _publish(
        self, app: App | None, app_name: str, before: Manifest, manifest: Manifest,
        *, author: str, message: str = "", notebook: str | None = None, create: bool = False,
    ) -> Published:  # fmt: skip
        """Publish onto the revision of `app` that `before` was read from; `create` makes an app that is not there."""
        linked = _validate(app_name, manifest)
        for text in (author, message, notebook or ""):
            _check_storable(text)
        if app is None and not create:
            raise NotFound(f"There is no app {app_name[:80]!r}: create it first.")
        plan = make_plan(before, manifest, linked)
        if app is not None and not plan.changes_anything and (latest := self._releases.latest(app.id)) is not None:
            return Published(latest, plan, False)
        tests = self._test(app, app_name, manifest, linked)
        release = self._write(
            app, app_name, manifest, linked, author=author, message=message[:MESSAGE_MAX], notebook=notebook
        )
        return Published(release, plan, app is None, tests)

    def _live(self, app_name: str) -> tuple[App | None, Manifest]:
        app, live, tests = self._read(app_name)
        return app, Manifest(tuple(linked.script for linked in live.scripts), live.routes, tests)

    def _read(self, app_name: str) -> tuple[App | None, LiveApp, tuple[TestSource, ...]]:
        """Return the app with what is live and its tests, all of one revision; None and nothing for no app."""
        try:
            app = self._apps.get(app_name)
        except NotFound:
            return None, LiveApp(0, (), ()), ()
        with self._database.connection() as connection:
            live = read_live(connection, app.id)  # whose lock on the app's row keeps publishes out until the end
            latest = latest_release(connection, app.id)
        return replace(app, revision=live.revision), live, latest.manifest.tests if latest else ()

    def _test(
        self, app: App | None, app_name: str, manifest: Manifest, linked: dict[str, LinkedScript]
    ) -> tuple[TestResult, ...]:
        app = app or unpublished(app_name)
        source = Snapshot(app, linked, manifest.routes)
        results = tuple(run_test(self._executor, app, source, manifest.routes, test) for test in manifest.tests)
        failed = [result for result in results if not result.passed]
        if failed:
            lines = [f"test {result.name}: {result.error.message if result.error else 'failed'}" for result in failed]
            raise TestsFailed(
                "\n".join((f"{len(failed)} of {len(results)} tests failed; nothing was published.", *lines))
            )
        return results

    def _write(
        self, app: App | None, app_name: str, manifest: Manifest, linked: dict[str, LinkedScript],
        *, author: str, message: str, notebook: str | None,
    ) -> Release:  # fmt: skip
        imports = {name: script.imports for name, script in linked.items()}
        with self._database.connection() as connection:
            locked = create_app(connection, app_name) if app is None else lock_app(connection, app_name)
            if locked is None or (app is not None and locked.id != app.id):
                raise Conflict(
                    f"Somebody made or deleted {app_name!r} in the meantime: look at the plan and publish again."
                )
            if app is not None and locked.revision != app.revision:
                raise Conflict(
                    f"Somebody published to {app_name!r} in the meantime: look at the plan and publish again."
                )
            replace_live(connection, locked.id, manifest, imports)
            return add_release(connection, locked.id, manifest, author=author, message=message, notebook=notebook)


def make_plan(before: Manifest, after: Manifest, linked: dict[str, LinkedScript]) -> Plan:
    """Compare two manifests; `linked` holds the scripts of the second with their imports."""
    old, new = entries_of(before), entries_of(after)
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    touched = {
        name.split(" ", 1)[1]
        for name in (changed | new.keys() ^ old.keys())
        if name.startswith(("module ", "endpoint "))
    }
    affected = ImportGraph.of(linked, after.routes, after.tests).reach(touched)
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    return Plan(
        added=_sorted(added),
        changed=_sorted(changed),
        removed=_sorted(removed),
        unchanged=_sorted(old.keys() & new.keys() - changed),
        affected=_sorted(affected - added - changed),
    )


def entries_of(manifest: Manifest) -> dict[str, object]:
    """Return what a plan compares of each part, by the name a plan gives it."""
    entries: dict[str, object] = {f"{script.kind} {script.name}": script.source for script in manifest.scripts}
    entries |= {f"route {r.method} {r.pattern}": (r.script, r.auth, r.timing) for r in manifest.routes}
    return entries | {f"test {test.name}": test.source for test in manifest.tests}


def _sorted(entries: Iterable[str]) -> tuple[str, ...]:
    order = {"module": 0, "endpoint": 1, "route": 2, "test": 3}
    return tuple(sorted(entries, key=lambda entry: (order[entry.split(" ", 1)[0]], entry)))


def _check_storable(text: str) -> None:
    """Raise `InvalidInput` for text that PostgreSQL cannot hold."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"{text[:80]!a} holds a NUL character or half of a surrogate pair; leave it out.")


def _validate(app_name: str, manifest: Manifest) -> dict[str, LinkedScript]:
    """Return the manifest's scripts with their imports; raise `InvalidInput` for what could not work."""
    linked: dict[str, LinkedScript] = {}
    for script in manifest.scripts:
        if script.name in linked:
            raise InvalidInput(f"{app_name}: two scripts are called {script.name!r}; give one another name.")
        linked[script.name] = LinkedScript(script, check_script(script).imports)
    shapes: dict[tuple[str, str], str] = {}
    for route in manifest.routes:
        check_route(route.method, route.pattern, route.script, route.auth, route.timing)
        other = shapes.get((route.method, route.shape))
        shapes[route.method, route.shape] = route.pattern
        if other is not None:
            raise InvalidInput(
                f"Routes {route.method} {other} and {route.method} {route.pattern} are ambiguous: every request "
                "that fits one fits the other. Change one of them."
            )
        target = linked.get(route.script)
        if target is None:
            raise InvalidInput(
                f"Route {route.method} {route.pattern}: there is no script {route.script!r} in this app."
            )
        if target.script.kind is ScriptKind.MODULE:
            raise InvalidInput(
                f"Route {route.method} {route.pattern}: {route.script!r} is a module; a route leads to an endpoint."
            )
    for test in manifest.tests:
        check_source(f"test {test.name}", ScriptKind.ENDPOINT, test.source)
        _check_storable(test.name)
    names = [test.name for test in manifest.tests]
    if len(set(names)) != len(names):
        raise InvalidInput(f"{app_name}: two tests have the same name; give each a name of its own.")
    return linked
