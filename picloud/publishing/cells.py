"""Reads one notebook cell: which kind it is and what it asks for. Pure: text in, frozen values out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from picloud.errors import InvalidInput
from picloud.model.app import check_app_name
from picloud.model.backfill import BackfillRange
from picloud.model.dead_letter import LetterFilter, LetterState
from picloud.model.identity import id_range
from picloud.model.release import TestSource
from picloud.model.rfc3339 import moment
from picloud.model.route import METHODS, Route, check_route
from picloud.model.script import SCRIPT_NAME, Script, ScriptKind, check_script_name
from picloud.model.trigger import Trigger, TriggerKind, split_trigger, trigger_of
from picloud.publishing.magics import BY_NAME, find_magic

_WORD = re.compile(r'((?:--\w+=)?)"([^"]*)"|(\S+)')
_HELP = re.compile(r"\s*(?:\?{1,2}([%\w.:]+)|([%\w.:]+?)\?{1,2})\s*")
_OPTION = re.compile(r"(-m|--reason|--remove|--force)(?:\s+|$)")
_TEXT = re.compile(r"""(?:"[^"]*"|'[^']*')(?:\s+|$)|.+?(?=\s--(?:remove|force|reason)(?:\s|$)|$)\s*""")
"""Quoted, or all up to the next option."""
_ANNOTATION = re.compile(rf"--[ \t]+(ResponseInfo[ \t]+)?({'|'.join(METHODS)})[ \t]+(/\S*)[ \t]*(?:\n|$)")
"""With nothing after the path, so that a comment stays one."""
_MAGIC_LINE = re.compile(r"(%%?[^\s%]*)[ \t]*(.*)")
_WITH_NAMES = frozenset(
    {
        "%%endpoint",
        "%%trigger",
        "%%test",
        "%graph",
        "%runs",
        "%logs",
        "%replay",
        "%deadletters",
        "%redrive",
        "%discard",
        "%backfill",
    }
)


RUNS_SHOWN: Final = 20
RUNS_SHOWN_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class ScratchCell:
    """Lua that runs at once and is never published."""

    source: str


@dataclass(frozen=True, slots=True)
class HelpCell:
    """`NAME?`, alone in its cell."""

    name: str
    with_source: bool
    """Asked with `??`."""


@dataclass(frozen=True, slots=True)
class PythonCell:
    """Python for IPython."""

    source: str


@dataclass(frozen=True, slots=True)
class ModuleCell:
    """A module draft."""

    script: Script


@dataclass(frozen=True, slots=True)
class EndpointCell:
    """An endpoint draft and the route to it."""

    script: Script
    route: Route


@dataclass(frozen=True, slots=True)
class AnnotatedCell:
    """A cell that begins with `-- METHOD /path` or `-- ResponseInfo METHOD /path`, as Jupyter Kernel Gateway has it."""

    method: str
    pattern: str
    is_response_info: bool
    source: str
    """All of it, the annotation included."""


@dataclass(frozen=True, slots=True)
class TriggerCell:
    """A trigger draft and the script it runs."""

    script: Script
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class TestCell:
    """A test draft."""

    __test__ = False  # not a pytest class

    test: TestSource
    coverage: bool = False
    """Whether to tell which lines it reaches."""


@dataclass(frozen=True, slots=True)
class UseApp:
    """`%app NAME`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`%call [--release NUMBER] METHOD PATH [JSON]`."""

    method: str
    target: str
    """Path with its query."""
    body: bytes | None
    """JSON text; None sends no body."""
    release: int | None = None
    """The release that answers; None: the drafts and what is live."""


@dataclass(frozen=True, slots=True)
class Publish:
    """`%publish [-m MESSAGE] [--remove] [--force --reason TEXT]`."""

    message: str
    remove: bool
    """Whether what this session has not defined may be taken away from the app."""
    force: str | None = None
    """Why to publish although tests fail; None: do not."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """`%rollback NUMBER [--force --reason TEXT]`."""

    number: int
    force: str | None = None
    """Why to publish although tests fail; None: do not."""


@dataclass(frozen=True, slots=True)
class Releases:
    """`%releases [NUMBER]`."""

    number: int | None
    """The release to show with what it changed; None: list all."""


@dataclass(frozen=True, slots=True)
class Report:
    """`%report on|off`."""

    shown: bool


@dataclass(frozen=True, slots=True)
class Cover:
    """`%coverage`."""


@dataclass(frozen=True, slots=True)
class Reset:
    """`%reset [--drafts]`."""

    drafts: bool
    """Whether the drafts are forgotten, too."""


@dataclass(frozen=True, slots=True)
class Show:
    """A line magic without arguments: `%plan`, `%scripts`, `%routes`, `%triggers` or `%help`."""

    name: str
    """With its percent sign."""


@dataclass(frozen=True, slots=True)
class Graph:
    """`%graph [NAME]`."""

    name: str | None
    """The script whose importers are asked for; None: all."""


@dataclass(frozen=True, slots=True)
class ListLetters:
    """`%deadletters [TRIGGER] [--state=STATE] ...`."""

    wanted: LetterFilter


@dataclass(frozen=True, slots=True)
class ShowLetter:
    """`%deadletter ID`."""

    letter: str
    """Its id, or how that begins."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """`%redrive ID [JSON]`."""

    letter: str
    """Its id, or how that begins."""
    edited: bytes | None = None
    """Another input, as JSON."""


@dataclass(frozen=True, slots=True)
class Discard:
    """`%discard ID`."""

    letter: str
    """Its id, or how that begins."""


@dataclass(frozen=True, slots=True)
class DecideAll:
    """`%redrive --all [TRIGGER] ...` or `%discard --all [TRIGGER] ...`."""

    redrives: bool
    wanted: LetterFilter


@dataclass(frozen=True, slots=True)
class Runs:
    """`%runs [NAME] [--failed] [--limit N]`."""

    name: str | None
    """The script or trigger; None: any."""
    failed: bool = False
    limit: int = RUNS_SHOWN


@dataclass(frozen=True, slots=True)
class Logs:
    """`%logs [RUN|NAME]`."""

    of: str | None
    """A run's id, a script or a trigger; None: the newest runs."""


@dataclass(frozen=True, slots=True)
class Replay:
    """`%replay RUN|NAME`."""

    run: str
    """A run's id, or the script or trigger whose newest failed run is meant."""


@dataclass(frozen=True, slots=True)
class RunBackfill:
    """`%backfill NAME FROM TO [--again] [--dry-run]`."""

    trigger: str
    wanted: BackfillRange
    again: bool
    """Whether ticks that ran are run again."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RunTests:
    """`%test [TEXT]`."""

    text: str
    """What the names of the tests to run hold; empty: all."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`%dashboard [APP]`."""

    app: str | None
    """None: the app the notebook works on."""


Command = (
    UseApp
    | Call
    | RunTests
    | Publish
    | Rollback
    | Releases
    | Report
    | Graph
    | Cover
    | ListLetters
    | ShowLetter
    | Redrive
    | Runs
    | Logs
    | Replay
    | Discard
    | DecideAll
    | RunBackfill
    | Reset
    | Dashboard
    | Show
)


@dataclass(frozen=True, slots=True)
class CommandCell:
    """Line magics, in their order."""

    commands: tuple[Command, ...]


Cell = (
    ScratchCell
    | HelpCell
    | PythonCell
    | ModuleCell
    | EndpointCell
    | AnnotatedCell
    | TriggerCell
    | TestCell
    | CommandCell
)


def parse_cell(source: str) -> Cell:
    """Return what the cell is.

    Raises `InvalidInput` (or its kind `InvalidRoute`) with a sentence that says what to change. The Lua text itself is
    not looked at.
    """
    source = source.replace("\r\n", "\n")
    if asked := _HELP.fullmatch(source):
        return HelpCell(asked[1] or asked[2], "??" in source)
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if not _is_skipped(line)), None)
    if first is None or not lines[first].startswith("%"):
        return _annotated(source) or ScratchCell(source)
    if lines[first].startswith("%%"):
        return _cell_magic(lines[first], "\n".join(lines[first + 1 :]))
    return CommandCell(tuple(_command(line) for line in lines[first:] if not _is_skipped(line)))


def _annotated(source: str) -> AnnotatedCell | None:
    text = source.lstrip("\n")
    found = _ANNOTATION.match(text)
    if found is None:
        return None
    route = check_route(found[2], found[3], "")
    return AnnotatedCell(route.method, route.pattern, found[1] is not None, text)


def _is_skipped(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "--"))


def _split_magic(line: str) -> tuple[str, str]:
    """Return the magic's name, known, and the text after it."""
    match = _MAGIC_LINE.fullmatch(line.rstrip())
    if match is None:
        raise InvalidInput(f"There is no magic '{line[:40]}': '%help' lists them all.")
    return find_magic(match[1]).name, match[2]


def _cell_magic(line: str, source: str) -> Cell:
    name, rest = _split_magic(line)
    words = _words(rest)
    if name == "%%module":
        return ModuleCell(_script(ScriptKind.MODULE, _only(name, words), source))
    if name == "%%endpoint":
        return _endpoint(words, source)
    if name == "%%trigger":
        return _trigger(words, source)
    if name == "%%test":
        return _test(words, source)
    if words:
        raise _usage(name)
    return PythonCell(source)


def _endpoint(words: list[str], source: str) -> EndpointCell:
    if len(words) < 3:
        raise _usage("%%endpoint")
    name, method, pattern, *rest = words
    options = dict(option.split("=", 1) for option in rest if "=" in option)
    if len(options) != len(rest) or not options.keys() <= {"auth", "timing"} or options.get("timing", "on") != "on":
        raise _usage("%%endpoint")
    script = _script(ScriptKind.ENDPOINT, name, source)
    route = check_route(method, pattern, name, options.get("auth", "public"), "timing" in options)
    return EndpointCell(script, route)


def _trigger(words: list[str], source: str) -> TriggerCell:
    if len(words) < 2:
        raise _usage("%%trigger")
    name, kind, *rest = words
    if (parts := split_trigger(kind, rest)) is None:
        raise _usage("%%trigger")
    script = _script(ScriptKind.ENDPOINT, name, source)
    return TriggerCell(script, trigger_of(name, kind, parts[0], name, parts[1]))


def _test(words: list[str], source: str) -> TestCell:
    names = [word for word in words if word != "--coverage"]
    if len(words) > len(names) + 1:
        raise _usage("%%test")
    return TestCell(TestSource(_check_test_name(_only("%%test", names)), source), len(names) < len(words))


def _script(kind: ScriptKind, name: str, source: str) -> Script:
    return Script(check_script_name(name, kind), kind, source)


def _check_test_name(name: str) -> str:
    if not SCRIPT_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a test: use 1 to 128 characters without '/' or control characters."
        )
    return name


def _command(line: str) -> Command:
    if not line.startswith("%"):
        raise InvalidInput(
            f"{line.strip()[:60]!r} stands among line magics: a cell holds either line magics, one a line, or Lua."
        )
    name, rest = _split_magic(line)
    if BY_NAME[name].is_cell:
        raise InvalidInput(f"'{name}' takes the whole cell: put it on the first line of a cell of its own.")
    if name == "%app":
        return UseApp(check_app_name(_only(name, _words(rest))))
    if name == "%call":
        return _call(rest)
    if name == "%test":
        return RunTests(" ".join(_words(rest)))
    if name == "%publish":
        return _publish(rest)
    if name == "%report":
        return _report(rest)
    if name == "%deadletters":
        return ListLetters(_letter_filter(name, _words(rest)))
    if name == "%deadletter":
        return ShowLetter(_only(name, _words(rest)))
    if name in ("%redrive", "%discard"):
        return _decision(name, rest)
    if name == "%runs":
        return _runs(_words(rest))
    if name == "%logs":
        return Logs(_whose(_only(name, _words(rest))) if rest else None)
    if name == "%replay":
        return Replay(_whose(_only(name, _words(rest))))
    if name == "%backfill":
        return _backfill(_words(rest))
    if name == "%reset":
        return _reset(rest)
    if name == "%rollback":
        return _rollback(rest)
    if name == "%releases":
        return Releases(_number(name, rest) if rest else None)
    if name == "%graph":
        return Graph(_only(name, _words(rest)) if rest else None)
    if name == "%dashboard":
        return Dashboard(check_app_name(_only(name, _words(rest))) if rest else None)
    if rest:
        raise _usage(name)
    return Cover() if name == "%coverage" else Show(name)


def _call(rest: str) -> Call:
    release = re.match(r"--release(?:\s+(\S+))?(?:\s+|$)", rest)
    parts = rest[release.end() if release else 0 :].split(None, 2)
    if len(parts) < 2:
        raise _usage("%call")
    method, target = parts[0].upper(), parts[1]
    if method not in METHODS:
        raise InvalidInput(f"{method[:40]!r} is not a method '%call' knows: use one of {', '.join(METHODS)}.")
    if not target.startswith("/"):
        raise InvalidInput(f"{target[:80]!r} is not a path: write it below the app, starting with '/'.")
    body = _json("The body of '%call'", parts[2]) if len(parts) == 3 else None
    return Call(method, target, body, _number("%call", release[1] or "") if release else None)


def _json(what: str, text: str) -> bytes:
    try:
        json.loads(text)
        return text.strip().encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f'{what} is not JSON ({error}): write it like {{"name": "ada"}}.') from None


def _publish(rest: str) -> Publish:
    options = _options("%publish", rest, "-m", "--remove", "--force", "--reason")
    return Publish(options.get("-m", ""), "--remove" in options, _force("%publish", options))


def _options(magic: str, rest: str, *known: str) -> dict[str, str]:
    """Return the options of a line: `-m` and `--reason` with their text, which may be quoted, the others with none."""
    options: dict[str, str] = {}
    while rest:
        option = _OPTION.match(rest)
        if option is None or option[1] not in known or option[1] in options:
            raise _usage(magic)
        rest, name, text = rest[option.end() :], option[1], ""
        if name in ("-m", "--reason"):
            value = _TEXT.match(rest)
            if value is None:
                raise _usage(magic)
            rest, text = rest[value.end() :], value[0].strip()
        options[name] = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    return options


def _force(magic: str, options: dict[str, str]) -> str | None:
    if "--force" not in options and "--reason" not in options:
        return None
    if "--force" not in options or not options.get("--reason"):
        raise InvalidInput(f"'{magic} --force' needs a reason, which is kept: --force --reason \"TEXT\".")
    return options["--reason"]


def _report(rest: str) -> Report:
    if rest not in ("on", "off"):
        raise _usage("%report")
    return Report(rest == "on")


def _decision(name: str, rest: str) -> Redrive | Discard | DecideAll:
    if not rest:
        raise _usage(name)
    first, *more = rest.split(None, 1)
    if first == "--all":
        return DecideAll(name == "%redrive", _letter_filter(name, _words(*more) if more else []))
    id_range(first, "dead letter")
    if name == "%redrive":
        return Redrive(first, _json("The input of '%redrive'", more[0]) if more else None)
    return Discard(_only(name, [first, *more]))


def _letter_filter(magic: str, words: list[str]) -> LetterFilter:
    """Return which letters a line means: those of a trigger, and what `--kind=kv` and the like say."""
    names = [word for word in words if not word.startswith("--")]
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    known = {"kind", "code", "text"} | ({"state"} if magic == "%deadletters" else set())
    if len(names) > 1 or len(names) + len(options) < len(words) or not options.keys() <= known:
        raise _usage(magic)
    state, kind = options.get("state", LetterState.OPEN), options.get("kind")
    try:
        return LetterFilter(
            state=None if state == "all" else LetterState(state),
            trigger=names[0] if names else None,
            kind=None if kind is None else TriggerKind(kind),
            code=options.get("code"),
            text=options.get("text"),
        )
    except ValueError:
        raise InvalidInput(
            f"--state= is one of {', '.join(LetterState)}, all; --kind= is one of {', '.join(TriggerKind)}."
        ) from None


def _runs(words: list[str]) -> Runs:
    names, failed, limit = [], False, RUNS_SHOWN
    left = iter(words)
    for word in left:
        if word == "--failed":
            failed = True
        elif word == "--limit":
            limit = _number("%runs", next(left, ""))
        else:
            names.append(word)
    if len(names) > 1 or any(name.startswith("--") for name in names):
        raise _usage("%runs")
    if limit > RUNS_SHOWN_MAX:
        raise InvalidInput(f"'%runs' shows {RUNS_SHOWN_MAX} runs at most.")
    return Runs(_whose(names[0]) if names else None, failed, limit)


def _whose(name: str) -> str:
    """Return what may be a run's id or what a script or trigger may be called."""
    if not SCRIPT_NAME.fullmatch(name):
        raise InvalidInput(f"{name[:80]!r} is neither a run's id nor the name of a script or trigger.")
    return name


def _backfill(words: list[str]) -> RunBackfill:
    options = {word for word in words if word.startswith("--")}
    named = [word for word in words if word not in options]
    if len(named) != 3 or len(named) + len(options) != len(words) or not options <= {"--again", "--dry-run"}:
        raise _usage("%backfill")
    trigger, start, end = named
    wanted = BackfillRange(moment(start), moment(end))
    return RunBackfill(trigger, wanted, "--again" in options, "--dry-run" in options)


def _reset(rest: str) -> Reset:
    if rest not in ("", "--drafts"):
        raise _usage("%reset")
    return Reset(rest == "--drafts")


def _rollback(rest: str) -> Rollback:
    number, _, options = rest.partition(" ")
    found = _options("%rollback", options.strip(), "--force", "--reason")
    return Rollback(_number("%rollback", number), _force("%rollback", found))


def _number(magic: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise _usage(magic)
    return int(text)


def _words(text: str) -> list[str]:
    """Split at blanks; double quotes, also behind `--option=`, keep what has blanks together."""
    return [f"{option}{quoted}" or plain for option, quoted, plain in _WORD.findall(text)]


def _only(name: str, words: list[str]) -> str:
    if len(words) != 1:
        raise _usage(name)
    return words[0]


def _usage(name: str) -> InvalidInput:
    blanks = " (a name with blanks goes in double quotes)" if name in _WITH_NAMES else ""
    return InvalidInput(f"Write it as: {BY_NAME[name].usage}{blanks}")
