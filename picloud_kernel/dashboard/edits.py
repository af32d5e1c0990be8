"""What the panel does to a manifest: the edits of the admin API, refused when what they were made from is not live."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from picloud.admin import edits
from picloud.errors import Conflict
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.script import Script

Item = TypeVar("Item", Script, Route)


def save_script(base: Script | None, script: Script) -> edits.Edit:
    """Put the script in the place of `base`; with None it must be new."""
    put = edits.put_script(script)

    def edit(manifest: Manifest) -> Manifest:
        if base is None and script_of(manifest, script.name) is not None:
            raise Conflict(f"There is a script {script.name!r} already: choose another name, or change that one.")
        _require_live(base, manifest.scripts, "save again")
        return put(manifest)

    return edit


def delete_script(base: Script) -> edits.Edit:
    """Remove the script if it is still what was shown."""
    return _checked(base, lambda manifest: manifest.scripts, edits.delete_script(base.name), "delete it then")


def rename_script(base: Script, new: str, *, rewrite_importers: bool) -> edits.Edit:
    """Give the script another name if it is still what was shown."""
    rename = edits.rename_script(base.name, new, rewrite_importers=rewrite_importers)
    return _checked(base, lambda manifest: manifest.scripts, rename, "rename it then")


def save_route(base: Route | None, route: Route) -> edits.Edit:
    """Put the route in the place of `base`; with None it must be new. Another route's place is not taken."""

    def edit(manifest: Manifest) -> Manifest:
        _require_live(base, manifest.routes, "save again")
        for other in manifest.routes:
            if other != base and (other.method, other.shape) == (route.method, route.shape):
                raise Conflict(f"There is a route {other.method} {other.pattern} already: choose it to change it.")
        freed = edits.delete_route(base.method, base.pattern)(manifest) if base else manifest
        return edits.put_route(route)(freed)

    return edit


def delete_route(base: Route) -> edits.Edit:
    """Remove the route if it is still what was shown."""
    delete = edits.delete_route(base.method, base.pattern)
    return _checked(base, lambda manifest: manifest.routes, delete, "delete it then")


def script_of(manifest: Manifest, name: str) -> Script | None:
    """Return the script of this name, None without one."""
    return next((script for script in manifest.scripts if script.name == name), None)


def _checked(base: Item, items: Callable[[Manifest], tuple[Item, ...]], then: edits.Edit, advice: str) -> edits.Edit:
    def edit(manifest: Manifest) -> Manifest:
        _require_live(base, items(manifest), advice)
        return then(manifest)

    return edit


def _require_live(base: Item | None, items: tuple[Item, ...], advice: str) -> None:
    if base is None or base in items:
        return
    name = repr(base.name) if isinstance(base, Script) else f"the route {base.method} {base.pattern}"
    raise Conflict(
        f"Somebody changed {name} since it was loaded here, and nothing was published. What you typed is kept: "
        f"reload to see what is live now, and {advice}."
    )
