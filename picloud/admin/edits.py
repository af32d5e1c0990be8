"""Changes to one script, route or trigger, as pure functions of a manifest.

`Publisher.edit` applies and releases them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from picloud.errors import Conflict, NotFound
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script, ScriptKind, check_script_name
from picloud.model.trigger import Trigger, check_trigger
from picloud.syntax.imports import imports_of, rename_import

Edit: TypeAlias = Callable[[Manifest], Manifest]


def put_script(script: Script) -> Edit:
    """Add the script or put it in the place of the one of its name.

    An endpoint that routes or triggers lead to cannot become a module.
    """
    check_script_name(script.name, script.kind)

    def edit(manifest: Manifest) -> Manifest:
        if script.kind is ScriptKind.MODULE:
            _refuse_uses(manifest, script.name, "become a module")
        others = [other for other in manifest.scripts if other.name != script.name]
        return replace(manifest, scripts=tuple(sorted((*others, script), key=lambda s: s.name)))

    return edit


def delete_script(name: str) -> Edit:
    """Remove the script; refuse while routes or triggers lead to it or scripts require it."""

    def edit(manifest: Manifest) -> Manifest:
        script = find_script(manifest, name)
        _refuse_uses(manifest, name, "be deleted")
        if script.kind is ScriptKind.MODULE:  # nothing can require an endpoint
            _refuse_importers(manifest, name, "be deleted", "Change or delete them first.")
        return replace(manifest, scripts=tuple(s for s in manifest.scripts if s.name != name))

    return edit


def rename_script(old: str, new: str, *, rewrite_importers: bool) -> Edit:
    """Give the script another name; its routes and triggers follow.

    A module that scripts or tests require is refused, or with `rewrite_importers` their `require` is changed with it.
    """

    def edit(manifest: Manifest) -> Manifest:
        script = find_script(manifest, old)
        check_script_name(new, script.kind)
        if new != old and any(other.name == new for other in manifest.scripts):
            raise Conflict(f"There is a script {new!r} already: choose another name.")
        if script.kind is ScriptKind.MODULE and not rewrite_importers:
            _refuse_importers(manifest, old, "be renamed", "Change them first, or rename with rewrite_importers.")
        scripts = [replace(other, name=new) if other.name == old else other for other in manifest.scripts]
        tests = manifest.tests
        if script.kind is ScriptKind.MODULE:  # nothing can require an endpoint
            scripts = [replace(other, source=rename_import(other.source, old, new)) for other in scripts]
            tests = tuple(replace(test, source=rename_import(test.source, old, new)) for test in tests)
        triggers = (replace(t, script=new) if t.script == old else t for t in manifest.triggers)
        return Manifest(
            tuple(sorted(scripts, key=lambda s: s.name)),
            tuple(sorted(replace(route, script=new) if route.script == old else route for route in manifest.routes)),
            tests,
            tuple(triggers),
        )

    return edit


def put_route(route: Route) -> Edit:
    """Add the route or put it in the place of the one of its method and shape; its script must be an endpoint."""

    def edit(manifest: Manifest) -> Manifest:
        if find_script(manifest, route.script).kind is ScriptKind.MODULE:
            raise Conflict(f"{route.script!r} is a module: a route leads to an endpoint.")
        others = [other for other in manifest.routes if _key(other) != _key(route)]
        return replace(manifest, routes=tuple(sorted((*others, route))))

    return edit


def delete_route(method: str, pattern: str) -> Edit:
    """Remove the route of this method and pattern."""

    def edit(manifest: Manifest) -> Manifest:
        remaining = tuple(r for r in manifest.routes if (r.method, r.pattern) != (method, pattern))
        if len(remaining) == len(manifest.routes):
            raise NotFound(f"There is no route {method} {pattern}."[:200])
        return replace(manifest, routes=remaining)

    return edit


def put_trigger(trigger: Trigger) -> Edit:
    """Add the trigger or put it in the place of the one of its name; its script must be an endpoint."""
    check_trigger(trigger)

    def edit(manifest: Manifest) -> Manifest:
        if find_script(manifest, trigger.script).kind is ScriptKind.MODULE:
            raise Conflict(f"{trigger.script!r} is a module: a trigger runs an endpoint's script.")
        others = [other for other in manifest.triggers if other.name != trigger.name]
        return replace(manifest, triggers=tuple(sorted((*others, trigger), key=lambda t: t.name)))

    return edit


def delete_trigger(name: str) -> Edit:
    """Remove the trigger of this name."""

    def edit(manifest: Manifest) -> Manifest:
        remaining = tuple(trigger for trigger in manifest.triggers if trigger.name != name)
        if len(remaining) == len(manifest.triggers):
            raise NotFound(f"There is no trigger {name[:80]!r}.")
        return replace(manifest, triggers=remaining)

    return edit


def find_script(manifest: Manifest, name: str) -> Script:
    """Return the script of this name, else raise `NotFound`."""
    for script in manifest.scripts:
        if script.name == name:
            return script
    raise NotFound(f"The app has no script {name[:80]!r}.")


def _key(route: Route) -> tuple[str, str]:
    return route.method, route.shape


def _refuse_uses(manifest: Manifest, name: str, change: str) -> None:
    uses = [f"{route.method} {route.pattern}" for route in manifest.routes if route.script == name]
    uses += [f"trigger {trigger.name}" for trigger in manifest.triggers if trigger.script == name]
    if uses:
        raise Conflict(
            f"{name!r} cannot {change} while routes or triggers lead to it: {', '.join(uses[:5])}. Delete them first."
        )


def _refuse_importers(manifest: Manifest, name: str, change: str, advice: str) -> None:
    importers = sorted(s.name for s in manifest.scripts if s.name != name and name in imports_of(s.source))
    importers += [f"test {test.name}" for test in manifest.tests if name in imports_of(test.source)]
    if importers:
        raise Conflict(f"{name!r} cannot {change} while scripts require it: {', '.join(importers[:5])}. {advice}")
