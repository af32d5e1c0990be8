"""Publish a manifest: validate, plan, test, then one transaction that makes it live and records the release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from picloud.engine.testing import TestResult
from picloud.engine.validator import check_script, check_source
from picloud.errors import Conflict, InvalidInput, InvalidScript, InvalidTrigger, NotFound
from picloud.model.app import App, AppId, check_app_name, unpublished
from picloud.model.release import Forced, Manifest, Release
from picloud.model.route import check_route
from picloud.model.script import LinkedScript, ScriptKind
from picloud.model.trigger import Trigger, TriggerKind, check_trigger
from picloud.modules.graph import ImportGraph
from picloud.modules.source import Snapshot
from picloud.publishing.annotated import is_annotated
from picloud.publishing.diff import Change, changes
from picloud.publishing.gate import Gate, Verdict
from picloud.publishing.reach import PlannedTest, planned_tests
from picloud.storage.apps import AppRepository, create_app
from picloud.storage.database import Database
from picloud.storage.live import lock_app, read_live, replace_live
from picloud.storage.releases import ReleaseRepository, add_release, latest_release
from picloud.syntax.imports import imports_of

MESSAGE_MAX = 2000
NEWER_SHOWN_MAX = 5
ENTRIES_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing would do. Entries read like `module greet`, `route GET /hello/:name`, `trigger nightly`."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    affected: tuple[str, ...]
    """Scripts, routes and tests that did not change themselves but require something that did, at any distance."""
    tests: tuple[PlannedTest, ...] = ()
    """The tests that will run: all of the app as it would be."""
    base: int = 0
    """Number of the release that is live now; 0: none."""
    annotated: tuple[str, ...] = ()
    """The endpoints that annotated cells made, in the manner of Jupyter Kernel Gateway."""
    before: Manifest = field(default=Manifest(), repr=False)
    """What is live now."""
    after: Manifest = field(default=Manifest(), repr=False)
    """What would be."""

    @property
    def changes_anything(self) -> bool:
        """Whether publishing would make a new release."""
        return bool(self.added or self.changed or self.removed)

    def triggers(self) -> tuple[Trigger, ...]:
        """Return the triggers that would be added or changed, by name."""
        named = {*self.added, *self.changed}
        return tuple(trigger for trigger in self.after.triggers if f"trigger {trigger.name}" in named)

    def changes(self) -> tuple[Change, ...]:
        """Return what differs, entry by entry: changed ones first, then added, then removed."""
        return changes(_texts(self.before), _texts(self.after), (*self.changed, *self.added, *self.removed))


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a publish."""

    release: Release
    """The new release, or the one already live when nothing would change."""
    plan: Plan
    created_app: bool
    tests: tuple[TestResult, ...] = ()


@dataclass(frozen=True, slots=True)
class _Live:
    """What is live in an app, all of one revision; `app` is None and the rest empty when there is no app."""

    app: App | None
    manifest: Manifest
    release: Release | None


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a publish says of itself."""

    author: str
    message: str = ""
    notebook: str | None = None
    force: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)


class Publisher:
    """Publishes whole manifests; each publish happens at once or not at all."""

    def __init__(self, database: Database, apps: AppRepository, releases: ReleaseRepository, gate: Gate) -> None:
        self._database = database
        self._apps = apps
        self._releases = releases
        self._gate = gate

    def live(self, app_name: str) -> Manifest:
        """Return what is live, tests included. A missing app counts as empty."""
        return self._read(app_name).manifest

    def graph(self, app_name: str) -> ImportGraph:
        """Return who requires whom in what is live. A missing app counts as empty."""
        live = self.live(app_name)
        linked = {script.name: LinkedScript(script, imports_of(script.source)) for script in live.scripts}
        return ImportGraph.of(linked, live.routes, live.triggers, live.tests)

    def plan(self, app_name: str, manifest: Manifest, *, places: Mapping[str, str] | None = None) -> Plan:
        """Return what publishing would do; raises `InvalidInput` as `publish` does. A missing app counts as empty."""
        linked = _validate_placed(check_app_name(app_name), manifest, places or {})
        return _plan(self._read(app_name), manifest, linked)

    def publish(
        self, app_name: str, manifest: Manifest, *, author: str, message: str = "", notebook: str | None = None,
        create: bool = False, base: int | None = None, force: str | None = None,
        places: Mapping[str, str] | None = None,
    ) -> Published:  # fmt: skip
        """Make the manifest all the app consists of.

        Runs the manifest's tests first and raises `TestsFailed` when one fails; `force` is the reason to publish all
        the same, which the release keeps. `base` is the number of the release the manifest was made from, 0 for none:
        when another one is live, nobody's work is overwritten unseen. `places` says of entries which cell they are.

        Raises `InvalidInput` for a manifest that is not valid, `NotFound` when the app is not there and `create` is
        false, `Conflict` when somebody else published in the meantime. Nothing is written unless everything is.
        """
        live = self._read(check_app_name(app_name))
        if base is not None:
            self._check_base(app_name, live, base)
        origin = _Origin(author, message, notebook, force, places or {})
        return self._publish(app_name, live, manifest, origin, create=create)

    def edit(
        self, app_name: str, change: Callable[[Manifest], Manifest], *, author: str, message: str = ""
    ) -> Published:
        """Publish the live manifest with a change; raises as `publish` does, and what `change` raises.

        `change` is applied to one revision, and only on that revision the result is published.
        """
        live = self._read(app_name)
        if live.app is None:
            raise NotFound(f"There is no app {app_name[:80]!r}.")
        return self._publish(app_name, live, change(live.manifest), _Origin(author, message))

    def rollback(self, app_name: str, number: int, *, author: str, force: str | None = None) -> Published:
        """Publish the manifest of an earlier release again, as a new release; raises `NotFound` when there is none."""
        old = self._releases.get(self._apps.get(app_name).id, number)
        message = f"Roll back to release {number}"
        return self.publish(app_name, old.manifest, author=author, message=message, notebook=old.notebook, force=force)

    def difference(self, app_id: AppId, number: int) -> tuple[Change, ...]:
        """Return what a release changed: how it differs from the one before. Raises `NotFound`."""
        before = self._releases.get(app_id, number - 1).manifest if number > 1 else Manifest()
        after = self._releases.get(app_id, number).manifest
        old, new = entries_of(before), entries_of(after)
        differing = _sorted(entry for entry in old.keys() | new.keys() if old.get(entry) != new.get(entry))
        return changes(_texts(before), _texts(after), differing)

    def _publish(
        self, app_name: str, live: _Live, manifest: Manifest, origin: _Origin, *, create: bool = False
    ) -> Published:
        """Publish onto the revision that was read; `create` makes an app that is not there."""
        linked = _validate_placed(app_name, manifest, origin.places)
        for text in (origin.author, origin.message, origin.notebook or ""):
            _check_storable(text)
        reason = None if origin.force is None else _check_reason(origin.force)
        if live.app is None and not create:
            raise NotFound(f"There is no app {app_name[:80]!r}: create it first.")
        plan = _plan(live, manifest, linked)
        if live.release is not None and not plan.changes_anything:
            return Published(live.release, plan, False)
        app = live.app or unpublished(app_name)
        verdict = self._gate.test(app, Snapshot(app, linked, manifest.routes), manifest)
        if verdict.failures and reason is None:
            raise verdict.refusal({test.name: test.reaches for test in plan.tests}, origin.places)
        release = self._write(app_name, live, manifest, linked, origin, _forced(reason, verdict))
        if release is None:
            raise self._lost(app_name, live)
        return Published(release, plan, live.app is None, verdict.results)

    def _read(self, app_name: str) -> _Live:
        try:
            app = self._apps.get(app_name)
        except NotFound:
            return _Live(None, Manifest(), None)
        with self._database.connection() as connection:
            live = read_live(connection, app.id)  # whose lock on the app's row keeps publishes out until the end
            latest = latest_release(connection, app.id)
        tests = latest.manifest.tests if latest else ()
        return _Live(replace(app, revision=live.revision), live.manifest(tests), latest)

    def _write(
        self, app_name: str, live: _Live, manifest: Manifest, linked: dict[str, LinkedScript],
        origin: _Origin, forced: Forced | None,
    ) -> Release | None:  # fmt: skip
        """Make the manifest live in one transaction; None when the app is not at the revision read any more."""
        imports = {name: script.imports for name, script in linked.items()}
        with self._database.connection() as connection:
            locked = create_app(connection, app_name) if live.app is None else lock_app(connection, app_name)
            if locked is None:
                return None
            if live.app is not None and (locked.id, locked.revision) != (live.app.id, live.app.revision):
                return None
            replace_live(connection, locked.id, manifest, imports)
            return add_release(
                connection, locked.id, manifest,
                author=origin.author, message=origin.message[:MESSAGE_MAX], notebook=origin.notebook, forced=forced,
            )  # fmt: skip

    def _check_base(self, app_name: str, live: _Live, base: int) -> None:
        number = live.release.number if live.release else 0
        if number > base:
            raise Conflict(_conflict(app_name, self._newer(live.app, base)))
        if number < base:
            raise Conflict(
                f"This was made from release {base}, and the last release of {app_name!r} is {number}: the app was "
                "made anew. Look at the plan and publish again."
            )

    def _lost(self, app_name: str, live: _Live) -> Conflict:
        """Return the error of a publish that another one came before."""
        now = self._read(app_name)
        if now.app is None or (live.app is not None and now.app.id != live.app.id):
            return Conflict(f"Somebody deleted {app_name!r} in the meantime: look at the plan and publish again.")
        return Conflict(_conflict(app_name, self._newer(now.app, live.release.number if live.release else 0)))

    def _newer(self, app: App | None, base: int) -> list[str]:
        """Say of the releases after `base` whose they are and what they changed, oldest first."""
        if app is None:
            return []
        newer = [release for release in reversed(self._releases.list(app.id)) if release.number > base]
        told = []
        for release in newer[:NEWER_SHOWN_MAX]:
            entries = [change.entry for change in self.difference(app.id, release.number)]
            shown = ", ".join(entries[:ENTRIES_SHOWN_MAX]) or "nothing"
            more = f" and {len(entries) - ENTRIES_SHOWN_MAX} more" if len(entries) > ENTRIES_SHOWN_MAX else ""
            told.append(f"release {release.number} by {release.author} changed {shown}{more}")
        if len(newer) > NEWER_SHOWN_MAX:
            told.append(f"and {len(newer) - NEWER_SHOWN_MAX} releases more")
        return told


def _conflict(app_name: str, newer: list[str]) -> str:
    what = f": {'; '.join(newer)}" if newer else ""
    return (
        f"Somebody published to {app_name!r} in the meantime{what}. Look at the plan, which compares with what is live "
        "now, take over what you want to keep, and publish again."
    )


def _forced(reason: str | None, verdict: Verdict) -> Forced | None:
    return Forced(reason, verdict.failures) if reason is not None and verdict.failures else None


def _check_reason(reason: str) -> str:
    _check_storable(reason)
    if not reason.strip():
        raise InvalidInput("Say why this is published although tests may fail: the reason is kept with the release.")
    return reason.strip()[:MESSAGE_MAX]


def _plan(live: _Live, manifest: Manifest, linked: dict[str, LinkedScript]) -> Plan:
    plan = make_plan(live.manifest, manifest, linked)
    return replace(plan, base=live.release.number if live.release else 0)


def _texts(manifest: Manifest) -> dict[str, str]:
    """Return each entry as the text a diff compares."""
    return {
        entry: content if isinstance(content, str) else ", ".join(map(str, content))
        for entry, content in entries_of(manifest).items()
    }


def make_plan(before: Manifest, after: Manifest, linked: dict[str, LinkedScript]) -> Plan:
    """Compare two manifests; `linked` holds the scripts of the second with their imports."""
    old, new = entries_of(before), entries_of(after)
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    touched = {
        name.split(" ", 1)[1]
        for name in (changed | new.keys() ^ old.keys())
        if name.startswith(("module ", "endpoint "))
    }
    graph = ImportGraph.of(linked, after.routes, after.triggers, after.tests)
    affected = graph.reach(touched)
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    return Plan(
        added=_sorted(added),
        changed=_sorted(changed),
        removed=_sorted(removed),
        unchanged=_sorted(old.keys() & new.keys() - changed),
        affected=_sorted(affected - added - changed),
        tests=planned_tests(graph, after, touched),
        annotated=tuple(f"{script.kind} {script.name}" for script in after.scripts if is_annotated(script)),
        before=before,
        after=after,
    )


def entries_of(manifest: Manifest) -> dict[str, str | tuple[object, ...]]:
    """Return what a plan compares of each part, by the name a plan gives it."""
    entries: dict[str, str | tuple[object, ...]] = {f"{s.kind} {s.name}": s.source for s in manifest.scripts}
    entries |= {
        f"route {r.method} {r.pattern}": (r.script, f"auth={r.auth}", f"timing={'on' if r.timing else 'off'}")
        for r in manifest.routes
    }
    entries |= {f"trigger {t.name}": (t.describe(), t.script, *t.describe_options()) for t in manifest.triggers}
    return entries | {f"test {test.name}": test.source for test in manifest.tests}


def _sorted(entries: Iterable[str]) -> tuple[str, ...]:
    order = {"module": 0, "endpoint": 1, "route": 2, "trigger": 3, "test": 4}
    return tuple(sorted(entries, key=lambda entry: (order[entry.split(" ", 1)[0]], entry)))


def _check_storable(text: str) -> None:
    """Raise `InvalidInput` for text that PostgreSQL cannot hold."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"{text[:80]!a} holds a NUL character or half of a surrogate pair; leave it out.")


def _validate_placed(app_name: str, manifest: Manifest, places: Mapping[str, str]) -> dict[str, LinkedScript]:
    """Return what `validate_manifest` does; its error about a script says which cell that is, when it is known."""
    try:
        return validate_manifest(app_name, manifest)
    except InvalidScript as error:
        entries = (error.name, f"module {error.name}", f"endpoint {error.name}")
        place = next((places[entry] for entry in entries if entry in places), None)
        raise InvalidScript(error.name, error.diagnostics, place) from error


def validate_manifest(app_name: str, manifest: Manifest) -> dict[str, LinkedScript]:
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
    _check_triggers(app_name, manifest.triggers, linked)
    for test in manifest.tests:
        check_source(f"test {test.name}", ScriptKind.ENDPOINT, test.source)
        _check_storable(test.name)
    names = [test.name for test in manifest.tests]
    if len(set(names)) != len(names):
        raise InvalidInput(f"{app_name}: two tests have the same name; give each a name of its own.")
    return linked


def _check_triggers(app_name: str, triggers: tuple[Trigger, ...], linked: Mapping[str, LinkedScript]) -> None:
    queues: dict[str, str] = {}
    for trigger in triggers:
        check_trigger(trigger)
        target = linked.get(trigger.script)
        if target is None:
            raise InvalidTrigger(f"trigger {trigger.name}: there is no script {trigger.script!r} in this app.")
        if target.script.kind is ScriptKind.MODULE:
            raise InvalidTrigger(
                f"trigger {trigger.name}: {trigger.script!r} is a module; a trigger runs an endpoint's script."
            )
        if trigger.kind is TriggerKind.QUEUE:
            other = queues.setdefault(trigger.source, trigger.name)
            if other != trigger.name:
                raise InvalidTrigger(
                    f"Triggers {other} and {trigger.name} both take the queue {trigger.source}, and a message goes to "
                    "one only: use a topic for several."
                )
    names = [trigger.name for trigger in triggers]
    if len(set(names)) != len(names):
        raise InvalidTrigger(f"{app_name}: two triggers have the same name; give each a name of its own.")
