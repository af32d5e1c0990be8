"""One script in the panel: its kind, its text, and everything that can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ipywidgets import HTML, Checkbox, Dropdown, HBox, Text, Textarea, VBox

from picloud.admin.edits import Edit
from picloud.errors import InvalidInput, PicloudError
from picloud.model.script import Script, ScriptKind
from picloud_kernel.dashboard import edits, markup
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.markup import Html, tag
from picloud_kernel.dashboard.notice import Confirm, Notice, button

SOURCE_ROWS = 18


@dataclass(frozen=True, slots=True)
class Editing:
    """A script as somebody edits it."""

    key: str
    """The name of the script that was chosen, live or deleted since; "" for a new one."""
    base: Script | None
    """What was live when it was loaded; None for a new script."""
    name: str
    kind: ScriptKind
    source: str
    is_overtaken: bool = False
    """Whether somebody else published the script since it was first loaded."""

    @property
    def is_typed(self) -> bool:
        """Whether there is something to lose."""
        if self.base is None:
            return bool(self.name or self.source)
        return (self.kind, self.source) != (self.base.kind, self.base.source)

    def rebased(self, now: Script | None) -> Editing:
        """Return the same text, made from what is live now."""
        if now == self.base:
            return self
        return replace(self, base=now, is_overtaken=True)


NEW = Editing("", None, "", ScriptKind.MODULE, "")


class ScriptEditor:
    """Shows one script at a time. What was typed and not saved is kept when another one is shown."""

    def __init__(self, desk: Desk, published: Callable[[str | None], None]) -> None:
        """`published` gets the name of the script to show after a release, None for none."""
        self._desk = desk
        self._published = published
        self._current: Editing | None = None
        self._typed: dict[str, Editing] = {}
        """By key."""
        self.notice = Notice(desk)
        self._title = HTML()
        self.name = Text(description="Name", placeholder="greet", continuous_update=False)
        self.kind = Dropdown(description="Kind", options=list(ScriptKind), layout={"width": "220px"})
        # What is typed is the value at once: a message that is under way to the page writes the value over the text.
        self.source = Textarea(rows=SOURCE_ROWS, placeholder="Lua", description="Source")
        self.source.add_class("picloud-source")
        self.save = button("Save", self.notice.guard(self._save), style="primary")
        self.revert = button("Revert", self.notice.guard(self._revert))
        self.delete = Confirm("Delete", self.notice, self._delete_question, self._delete)
        self.new_name = Text(description="New name", continuous_update=False)
        self.rewrite = Checkbox(description="Rewrite importers", value=True, indent=False, layout={"width": "auto"})
        self.rename = button("Rename", self.notice.guard(self._rename))
        self._renaming = HBox([self.new_name, self.rewrite, self.rename])
        self._told = HTML()
        self.kind.observe(self.notice.guard(self._check_kind), "value")
        texts = HBox([self.source, self.notice.widget])
        texts.add_class("picloud-texts")
        buttons = HBox([self.save, self.revert, self.delete.widget])
        self.widget = VBox([self._title, self.name, self.kind, texts, buttons, self._told, self._renaming])
        self.widget.add_class("picloud-detail")
        self._display()

    @property
    def shown(self) -> str | None:
        """The name of the script that was chosen; None for none and for a new one."""
        return (self._current.key or None) if self._current is not None else None

    @property
    def told(self) -> str:
        """What is said below the text, as HTML."""
        return str(self._told.value)

    @property
    def typed(self) -> dict[str, ScriptKind]:
        """The scripts with text that is not saved, with their kinds; also those that somebody deleted."""
        return {key: editing.kind for key, editing in self._typed.items() if key}

    def open(self, name: str) -> None:
        """Show a live script, with what was typed for it before."""
        self._keep()
        base = edits.script_of(self._desk.live, name)
        self._start(self._typed.get(name, _loaded(base) if base is not None else None))

    def open_new(self) -> None:
        """Show what a new script needs, with what was typed for it before."""
        self._keep()
        self._start(self._typed.get("", NEW))

    def refresh(self) -> None:
        """Show what is live now; text that is not saved stays, and is compared with it."""
        self._keep()
        for key, typed in self._typed.items():
            if key:
                self._typed[key] = typed.rebased(edits.script_of(self._desk.live, key))
        current = self._current
        if current is not None and current.key in self._typed:
            self._current = self._typed[current.key]
        elif self.shown is not None:
            base = edits.script_of(self._desk.live, self.shown)
            self._current = _loaded(base) if base is not None else None
        self._display()

    def _keep(self) -> None:
        """Remember what is in the fields."""
        if self._current is None:
            return
        name = self._current.name if self._current.base else self.name.value
        self._current = replace(self._current, name=name, kind=self.kind.value, source=self.source.value)
        self._forget()
        if self._current.is_typed:
            self._typed[self._current.key] = self._current

    def _forget(self) -> None:
        self._typed.pop(self.shown or "", None)

    def _start(self, editing: Editing | None) -> None:
        self.notice.clear()
        self._current = editing
        self.delete.reset()
        self.new_name.value = ""
        self._display()

    def _display(self) -> None:
        current = self._current
        _visible(self.widget, current is not None)
        if current is None:
            return
        self.name.value, self.source.value = current.name, current.source
        self.kind.value = current.kind
        is_live = current.base is not None
        _visible(self.name, not is_live)
        _visible(self._renaming, is_live)
        _visible(self.delete.widget, is_live)
        _visible(self.rewrite, is_live and current.base is not None and current.base.kind is ScriptKind.MODULE)
        self._title.value = self._headline(current)
        self._told.value = markup.join(self._remarks(current))

    def _headline(self, current: Editing) -> Html:
        if current.base is None:
            return tag("h3", "New script")
        return tag("h3", current.base.name, " ", markup.badge(current.base.kind))

    def _remarks(self, current: Editing) -> list[Html]:
        base = current.base
        remarks = []
        if current.is_overtaken:
            remarks += _overtaken(current)
        if base is None:
            remarks.append(markup.hint("Scripts require a module. An endpoint answers requests, once it has a route."))
            return remarks
        draft = self._desk.draft(base.name)
        if draft is not None and draft != base:
            remarks += [
                tag("p", "This notebook has a draft of ", tag("b", base.name), " that differs from what is live. ",
                    tag("code", "%call"), " and tests here use the draft, ", tag("code", "%publish"),
                    " would publish it: change its cell, too.", class_="picloud-warning"),
                markup.details("What the draft changes", markup.diff(base.source, draft.source)),
            ]  # fmt: skip
        return [*remarks, self._relations(base.name)]

    def _relations(self, name: str) -> Html:
        graph = self._desk.graph
        requires = [i if graph.has_module(i) else f"{i} (no such module)" for i in sorted(graph.imports.get(name, ()))]
        scripts = [f"{graph.kinds[other]} {other}" for other, imports in graph.imports.items() if name in imports]
        tests = [f"test {test}" for test, imports in graph.tests.items() if name in imports]
        routes = [f"{route.method} {route.pattern}" for route in graph.routes if route.script == name]
        rows = [("Requires", requires)]
        rows.append(("Required by", scripts + tests) if graph.has_module(name) else ("Routes", routes))
        terms = [part for term, found in rows for part in (tag("dt", term), tag("dd", ", ".join(found) or "nothing"))]
        return tag("dl", *terms, class_="picloud-relations")

    def _check_kind(self) -> None:
        """Refuse a kind at once that could not be saved, and put the old one back."""
        current = self._current
        if current is None or current.base is None or self.kind.value == current.base.kind:
            return
        wished = Script(current.base.name, self.kind.value, self.source.value)
        try:
            edits.save_script(current.base, wished)(self._desk.live)
        except PicloudError:
            self.kind.value = current.base.kind
            raise

    def _save(self) -> str:
        self._keep()
        current = self._current
        if current is None:
            raise InvalidInput("Choose a script first.")
        script = Script(current.name, current.kind, current.source)
        verb = "Put" if current.base else "Add"
        change = edits.save_script(current.base, script)
        return self._publish(change, f"{verb} {script.kind} {script.name}", script.name)

    def _revert(self) -> None:
        name = self.shown
        self._forget()
        self._current = None
        self._published(name)
        if name is None:
            self._start(NEW)

    def _rename(self) -> str:
        base, new = self._base(), self.new_name.value
        if (self.kind.value, self.source.value) != (base.kind, base.source):
            raise InvalidInput("Save or revert what you typed first, then rename.")
        change = edits.rename_script(base, new, rewrite_importers=self.rewrite.value)
        return self._publish(change, f"Rename {base.name} to {new}"[:200], new)

    def _delete_question(self) -> str:
        base = self._base()
        typed = " and what you typed" if (self.kind.value, self.source.value) != (base.kind, base.source) else ""
        return f"Delete the {base.kind} {base.name}{typed}? Releases keep what was published."

    def _delete(self) -> str:
        base = self._base()
        return self._publish(edits.delete_script(base), f"Delete {base.kind} {base.name}", None)

    def _base(self) -> Script:
        if self._current is None or self._current.base is None:
            raise InvalidInput("Choose a script first.")
        return self._current.base

    def _publish(self, change: Edit, message: str, then: str | None) -> str:
        """Publish, then show the script `then`; what was typed is kept when that fails."""
        said = self._desk.publish(change, message)
        self._forget()
        self._current = None
        self._published(then)
        return said


def _loaded(base: Script) -> Editing:
    return Editing(base.name, base, base.name, base.kind, base.source)


def _overtaken(current: Editing) -> list[Html]:
    if current.base is None:
        return [tag("p", "Somebody deleted this script. Your text is still here: saving makes it again.",
                    class_="picloud-warning")]  # fmt: skip
    return [
        tag("p", "Somebody published another version since you began. Your text is still here: saving replaces "
            "theirs, reverting takes it.", class_="picloud-warning"),
        markup.details("What your text changes", markup.diff(current.base.source, current.source)),
    ]  # fmt: skip


def _visible(widget: Any, is_visible: bool) -> None:
    widget.layout.display = None if is_visible else "none"
