"""Completion: what may come at the cursor, with its type and how it is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from picloud.errors import PicloudError
from picloud.lua.names import KEYWORDS
from picloud.model.dead_letter import LetterFilter, LetterState
from picloud.model.route import METHODS
from picloud.model.script import ScriptKind
from picloud.model.trigger import TriggerKind
from picloud.publishing.magics import MAGICS
from picloud_kernel.lua_names import EXPECTATIONS, Name
from picloud_kernel.scope import EXPECT_AT_END, REQUIRE_AT_END, Scope
from picloud_kernel.session import Session

MATCHES_MAX = 1000
LETTERS_OFFERED_MAX = 50
_RUNS_OPTIONS = ("--failed", "--limit")
_LETTER_OPTIONS = ("--code=", *(f"--kind={kind}" for kind in TriggerKind), "--text=")
_STATE_OPTIONS = tuple(f"--state={state}" for state in (*LetterState, "all"))

_MAGIC_AT_END = re.compile(r"(?:^|\n)(%{1,2}\w*)\Z")
_ARGUMENT_AT_END = re.compile(r"(?:^|\n)(%{1,2}\w+)[ \t]+((?:[^\n]*[ \t])?)([^ \t\n]*)\Z")
_MEMBER_AT_END = re.compile(r"(?<![\w.:\"')\]])([A-Za-z_]\w*(?:\.\w+)*)([.:])(\w*)\Z")
_NAME_AT_END = re.compile(r"(?<![\w.:])[A-Za-z_]\w*\Z")
_NAME = re.compile(r"[A-Za-z_]\w*")

Found = tuple[str, Mapping[str, Name]]
"""What is typed of the name so far, and what it may become."""


class Completion:
    """Completes cells of one session, whose platform is not opened for it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def reply(self, code: str, cursor: int, scope: Scope) -> dict[str, Any]:
        """Return Jupyter's complete_reply; the cursor is a position in code points."""
        typed, candidates = self._candidates(code[:cursor], scope)
        found = {text: name for text, name in candidates.items() if text.startswith(typed)}
        matches = list(found)[:MATCHES_MAX]
        start = cursor - len(typed)
        types = [
            {"start": start, "end": cursor, "text": text, "type": found[text].type, "signature": _call_of(found[text])}
            for text in matches
        ]
        return {
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": cursor,
            "metadata": {"_jupyter_types_experimental": types},
        }

    def _candidates(self, before: str, scope: Scope) -> Found:
        if magic := _MAGIC_AT_END.search(before):
            return magic[1], {item.name: Name("magic", item.usage, item.help) for item in MAGICS}
        if argument := _ARGUMENT_AT_END.search(before):
            return argument[3], self._arguments(argument[1], argument[2].split(), scope)
        if required := REQUIRE_AT_END.search(before):
            return required[1], _scripts(scope, ScriptKind.MODULE)
        if scope.magic == "%%test" and (expectation := EXPECT_AT_END.search(before)):
            return expectation[1], EXPECTATIONS
        if member := _MEMBER_AT_END.search(before):
            return member[3], _members(scope, tuple(member[1].split(".")), member[2])
        if name := _NAME_AT_END.search(before):
            return name[0], _names(scope, before.removesuffix(name[0]))
        return "", {}

    def _arguments(self, magic: str, given: list[str], scope: Scope) -> Mapping[str, Name]:
        """Return what may be the next argument of a magic, after those given."""
        position = len(given)
        arguments: dict[tuple[str, int], Callable[[], Mapping[str, Name]]] = {
            ("%app", 0): self._apps,
            ("%dashboard", 0): self._apps,
            ("%rollback", 0): self._releases,
            ("%releases", 0): self._releases,
            ("%report", 0): lambda: _words("on", "off"),
            ("%graph", 0): lambda: _scripts(scope),
            ("%logs", 0): lambda: _scripts(scope),
            ("%replay", 0): lambda: _scripts(scope),
            ("%runs", 0): lambda: {**_scripts(scope), **_words(*_RUNS_OPTIONS)},
            ("%call", 0): lambda: _words(*METHODS),
            ("%call", 1): lambda: _paths(scope, given[0].upper()),
            ("%%endpoint", 1): lambda: _words(*METHODS),
            ("%%trigger", 1): lambda: _words(*TriggerKind),
            ("%reset", 0): lambda: _words("--drafts"),
            ("%backfill", 0): lambda: _scripts(scope, ScriptKind.ENDPOINT),
            ("%deadletter", 0): self._letters,
            ("%redrive", 0): lambda: {**_words("--all"), **self._letters()},
            ("%discard", 0): lambda: {**_words("--all"), **self._letters()},
        }
        if (magic, position) in arguments:
            return arguments[magic, position]()
        if magic == "%publish":
            return _words("-m", "--remove", "--force", "--reason")
        if magic == "%runs":
            return _words(*_RUNS_OPTIONS)
        if magic == "%deadletters":
            return {**_scripts(scope, ScriptKind.ENDPOINT), **_words(*_LETTER_OPTIONS, *_STATE_OPTIONS)}
        if magic in ("%redrive", "%discard") and given[0] == "--all":
            return {**_scripts(scope, ScriptKind.ENDPOINT), **_words(*_LETTER_OPTIONS)}
        if magic == "%%endpoint" and position > 2:
            return _words("auth=public", "auth=token", "timing=on")
        return {}

    def _apps(self) -> Mapping[str, Name]:
        return _words(*self._known(lambda: [app.name for app in self._session.platform.apps.list()]), kind="app")

    def _releases(self) -> Mapping[str, Name]:
        def newest_first() -> list[str]:
            platform = self._session.platform
            return [str(item.number) for item in platform.releases.list(platform.apps.get(self._session.app_name).id)]

        return _words(*self._known(newest_first), kind="release")

    def _letters(self) -> Mapping[str, Name]:
        def newest_first() -> list[str]:
            platform = self._session.platform
            app_id = platform.apps.get(self._session.app_name).id
            letters, _ = platform.dead_letters.page(app_id, LetterFilter(), limit=LETTERS_OFFERED_MAX)
            return [str(letter.id) for letter in letters]

        return _words(*self._known(newest_first), kind="dead letter")

    def _known(self, ask: Callable[[], Iterable[str]]) -> Iterable[str]:
        if self._session.live is None:
            return []
        try:
            return ask()
        except PicloudError:  # no app is chosen, it is not published, the database is down: nothing to offer
            return []


def _call_of(name: Name) -> str:
    """Return the arguments of a function, which front ends show behind its name."""
    return name.signature[name.signature.find("(") :] if name.type == "function" and "(" in name.signature else ""


def _words(*words: str, kind: str = "argument") -> Mapping[str, Name]:
    return {word: Name(kind, word, "") for word in words}


def _scripts(scope: Scope, kind: ScriptKind | None = None) -> Mapping[str, Name]:
    return {
        name: Name(str(script.kind), name, "")
        for name, script in sorted(scope.scripts.items())
        if kind in (None, script.kind)
    }


def _paths(scope: Scope, method: str) -> Mapping[str, Name]:
    return _words(*sorted({route.pattern for route in scope.routes if route.method == method}), kind="route")


def _members(scope: Scope, path: tuple[str, ...], separator: str) -> Mapping[str, Name]:
    found = _sorted(scope.members(path).items())
    if separator == ".":
        return found
    return {text: name for text, name in found.items() if name.type in ("function", "field")}


def _names(scope: Scope, before: str) -> Mapping[str, Name]:
    written = {text: Name("variable", text, "") for text in _NAME.findall(before)}
    return _sorted({**written, **{word: Name("keyword", word, "") for word in KEYWORDS}, **scope.names}.items())


def _sorted(names: Iterable[tuple[str, Name]]) -> Mapping[str, Name]:
    return dict(sorted(names))
