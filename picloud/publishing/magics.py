"""The magics of a PiCloud notebook: one table, from which the parser, `%help` and the reference page are made."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from picloud.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Magic:
    """One magic as an author sees it."""

    name: str
    """With its percent signs: `%%module`, `%call`."""
    arguments: str
    """What follows the name; brackets mark what may be left out."""
    help: str
    """One line for `%help`."""
    details: str
    """What the reference page says beyond the one line."""
    example: str

    @property
    def usage(self) -> str:
        """The whole line as it is written."""
        return f"{self.name} {self.arguments}".rstrip()

    @property
    def is_cell(self) -> bool:
        """Whether the magic owns the whole cell."""
        return self.name.startswith("%%")


MAGICS = (
    Magic(
        "%%module",
        "NAME",
        'Define a module: Lua that other cells load with require("NAME").',
        "A module holds functions, constants, `require` of a literal name and a final `return`; nothing else. "
        "Its name has 1 to 64 letters, digits and `_` and does not start with a digit.",
        '%%module greet\nlocal M = {}\n\nfunction M.hello(name)\n  return "hello " .. name\nend\n\nreturn M',
    ),
    Magic(
        "%%endpoint",
        "NAME METHOD PATH [auth=public|token] [timing=on]",
        "Define an endpoint: Lua that runs once per request and returns the answer.",
        "PATH is below the app. `:name` matches one segment, `*name` at the end matches the rest; both arrive in "
        "`request.params`. `auth=token` asks callers for a token; "
        "`timing=on` tells them what the run used, as the header `Server-Timing`. "
        "A name with blanks goes in double quotes.",
        '%%endpoint hello GET /hello/:name\nlocal greet = require("greet")\n\n'
        "return { message = greet.hello(request.params.name) }",
    ),
    Magic(
        "%%trigger",
        "NAME KIND [SOURCE] [retries=N] [backoff=S] [timeout=S]",
        "Define a trigger: Lua that runs when something happens in the app.",
        "KIND and SOURCE are `kv PATTERN` (keys, in which `*` stands for anything), `docs COLLECTION`, `queue QUEUE`, "
        '`topic TOPIC`, `cron "SCHEDULE"` or `dead_letter`. `on=set,delete` (kv) and `on=insert,update,delete` '
        "(docs) choose operations. "
        "`retries=` counts runs after the first; `backoff=`, `backoff_max=` and `timeout=` are seconds; `jitter=` is "
        "the part of each pause that is drawn at random; for queues `batch=` and `wait=` gather messages; "
        "for cron there are `tz=`, `catch_up=`, `late_max=` and `overlap=`. What happened is in `event`.",
        '%%trigger welcome kv user:* on=set\nqueue.send("mails", { to = event.value.mail })',
    ),
    Magic(
        "%%test",
        "NAME [--coverage]",
        "Define a test and run it at once; every publish runs it again.",
        "Use `assert(...)`, `expect(value):equals(...)` and `call(METHOD, PATH)`. A test ends with the first assertion "
        "that does not hold, and shows what was expected and what came. A failed test stops the notebook and every "
        "publish. `--coverage` lists the scripts the test loads, and the lines of them it does not reach.",
        '%%test greets\nexpect(call("GET", "/hello/ada").json.message):equals("hello ada")',
    ),
    Magic(
        "%%python",
        "",
        "Run the cell as Python, through IPython; it is never published.",
        "For plots and widgets beside the Lua cells. Python and Lua share no variables; the object `picloud` connects "
        "them. `picloud.lua(SOURCE, name=value, ...)` runs Lua where scratch cells run, with the values as locals, and "
        "returns what it returns: JSON in both directions, several values as a tuple. "
        "`picloud.call(METHOD, PATH, json=None, headers=None)` sends a request as `%call` does and returns an answer "
        "with `status`, `headers`, `body` and `json`. What fails raises a `PicloudError`.",
        '%%python\nfrom ipywidgets import interact\n\ninteract(lambda n: picloud.lua("return n * n", n=n), n=(1, 20))',
    ),
    Magic(
        "%app",
        "NAME",
        "Choose the app this notebook works on; it is created by the first %publish.",
        "The name is part of every URL: 1 to 63 of `a-z`, `0-9` and `-`. Each app has its own variables and drafts, "
        "which are still there after a change to another app and back.",
        "%app welcome",
    ),
    Magic(
        "%call",
        "[--release NUMBER] METHOD PATH [JSON]",
        "Send a request to the app, drafts included, and show the answer.",
        "Nothing needs to be published for it. PATH may have a query. What follows it is the JSON body. "
        "`--release 3` asks release 3 instead: its scripts, modules and routes, without drafts, on the data of today.",
        '%call POST /greetings {"name": "ada"}',
    ),
    Magic(
        "%test",
        "[TEXT]",
        "Run this session's tests, or those whose names hold TEXT, and show a row for each.",
        "Tests run against the drafts, in the order of their names; one that fails does not stop the others, but what "
        "comes after the cell.",
        "%test greets",
    ),
    Magic(
        "%coverage",
        "",
        "Run the tests of this session and show which lines of the app's scripts they reach.",
        "Drafts come before what is live; a script that no test loads has 0 %. Lines on which a statement begins "
        "count; a function that stands on one line is reached where it is defined, called or not. Below the "
        "table is each script's text, lines that were reached marked green, others red. `%publish` measures nothing.",
        "%coverage",
    ),
    Magic(
        "%plan",
        "",
        "Show what %publish would change, and what those changes reach.",
        "Nothing is changed. `+` is added, `~` changed, `-` removed, `>` requires what changes, `?` is a test that "
        "will run, with the changed scripts it is known to reach. Triggers that change say when they retry and tick "
        "next. Below are the differences, entry by entry. After it, `%publish` is refused when somebody else has "
        "published in between.",
        "%plan",
    ),
    Magic(
        "%publish",
        "[-m MESSAGE] [--remove] [--force --reason TEXT]",
        "Run the tests, then make this session's cells live as a new release.",
        "The app then consists of exactly the module, endpoint and test cells run in this session. When that would "
        "take something away from the app, because its cell was deleted or not run, `%publish` refuses and names it; "
        "`--remove` confirms. All or nothing: when a test fails, nothing changes. `--force` publishes all the same; "
        "the release keeps the reason and what failed. When somebody else has published since this session's last "
        "`%plan`, `%publish` or `%rollback`, it refuses and says what they changed: `%plan` shows how things stand.",
        '%publish -m "greet in capitals"',
    ),
    Magic(
        "%releases",
        "[NUMBER]",
        "List the app's releases, newest first, or show one with what it changed.",
        "Every publish and every rollback makes one. A release never changes.",
        "%releases 2",
    ),
    Magic(
        "%rollback",
        "NUMBER [--force --reason TEXT]",
        "Publish an earlier release again, as a new one.",
        "The notebook's drafts stay as they are, in front of what is live. The release's tests run again; `--force` "
        "rolls back although one fails.",
        "%rollback 1",
    ),
    Magic(
        "%scripts",
        "",
        "List the app's modules and endpoints: drafts and live.",
        "Says for each whether it is live, a draft not yet published, or changed here since.",
        "%scripts",
    ),
    Magic(
        "%routes",
        "",
        "List the app's routes: drafts and live.",
        "Says for each which endpoint answers and who may call it.",
        "%routes",
    ),
    Magic(
        "%triggers",
        "",
        "List the app's triggers: drafts and live.",
        "Says for each what it takes and whether it is live.",
        "%triggers",
    ),
    Magic(
        "%deadletters",
        "[TRIGGER] [--state=STATE] [--kind=KIND] [--code=CODE] [--text=TEXT]",
        "List the events no trigger could take, newest first.",
        "Those nobody has decided over yet; `--state=` asks for `redriven`, `discarded` or `all`. `--code=` is the "
        "code of the last error, `--text=` a part of its message, in capitals or not; what has blanks goes in double "
        'quotes: `--text="no luck"`.',
        "%deadletters mails --text=timeout",
    ),
    Magic(
        "%deadletter",
        "ID",
        "Show a dead letter: its input and every attempt with error, traceback, logs and what it used.",
        "The first eight characters of the id will do when no other letter begins with them.",
        "%deadletter 0193f4a8",
    ),
    Magic(
        "%redrive",
        "ID [JSON] | --all [TRIGGER] [--kind=KIND] [--code=CODE] [--text=TEXT]",
        "Let the trigger that failed take a dead letter again, as it is live now.",
        "Publish the mended script first. The letter leaves the list; when the trigger fails again, it is a new one. "
        "JSON takes the place of the input: message, value of the entry or document. `--all` redrives all letters, or "
        "those meant, oldest first.",
        '%redrive 0193f4a8 {"to": "ada@example.org"}',
    ),
    Magic(
        "%discard",
        "ID | --all [TRIGGER] [--kind=KIND] [--code=CODE] [--text=TEXT]",
        "Leave a dead letter as it is, off the list.",
        "It is kept as discarded for a while. `--all` discards all letters, or those meant.",
        "%discard 0193f4a8",
    ),
    Magic(
        "%runs",
        "[NAME] [--failed] [--limit N]",
        "List the newest runs of the app, or of the script or trigger NAME.",
        "These are the runs of what is live, requests and events; runs of cells, tests and `%call` are not kept. Each "
        "appears within a second or two of its end. `--failed` lists those that failed, `--limit` up to 500 instead of "
        "20. A row with `x40` stands for 40 runs that were alike; the first of them have rows of their own.",
        "%runs mailer --failed",
    ),
    Magic(
        "%logs",
        "[RUN|NAME]",
        "Show what the newest 20 runs logged, or one run, or those of the script or trigger NAME.",
        "RUN is an id from `%runs`. Each line has the time its run began, the run, the level, the message and the "
        "fields; the first 200 lines or 16 KiB of a run are kept. What ran last comes last.",
        "%logs mailer",
    ),
    Magic(
        "%replay",
        "RUN|NAME",
        "Run the draft on exactly what an earlier run was given, and show what changed since.",
        "RUN is an id from `%runs`; with a NAME it is the newest run of that script or trigger that failed. Without a "
        "draft it is the script as it is live. A request has the same id, parameters, headers and body, but for the "
        "values of headers that may be secrets, which are not kept; events have the same ids and attempts. All is one "
        "transaction, as in a test, and whatever the run stores or sends is taken back.",
        "%replay mailer",
    ),
    Magic(
        "%backfill",
        "NAME FROM TO [--again] [--dry-run]",
        "Run the ticks of the schedule NAME in a range after all, as it is live now.",
        "FROM and TO are both included and like `2026-03-01T00:00:00+01:00`; TO is not in the future. Ticks that ran "
        "are left out, but with `--again`. `--dry-run` only lists the ticks. At most 1000 are run.",
        "%backfill nightly 2026-03-01T00:00:00+01:00 2026-03-07T23:59:59+01:00 --dry-run",
    ),
    Magic(
        "%graph",
        "[NAME]",
        "Draw who requires whom, or all that reaches the script NAME.",
        "Drafts come before what is live, and are marked when they differ from it. Routes lead to endpoints, dashed "
        "lines to modules that are missing. What reaches a script is what a change of it touches; endpoints that tests "
        "`call` are not told.",
        "%graph greet",
    ),
    Magic(
        "%dashboard",
        "[APP]",
        "Show a panel to change the app: scripts, routes, triggers, releases, dead letters, runs.",
        "What it shows and changes is live: every save, every other change and every rollback is a release, and tests "
        "run first. Without APP it is this notebook's app. The notebook's drafts stay in front of what is live.",
        "%dashboard welcome",
    ),
    Magic(
        "%report",
        "on|off",
        "Show under each cell what its runs used: time, CPU time, memory, SDK calls; off at first.",
        "One line a run; a test that calls endpoints has several. Notebooks that are compared with their stored "
        "outputs leave it off, since no two runs take the same time.",
        "%report on",
    ),
    Magic(
        "%reset",
        "[--drafts]",
        "Forget the variables of the scratch cells; with --drafts also what cells defined.",
        "Of the app chosen by `%app` only. Nothing that is live changes. After `--drafts` the next `%publish` knows "
        "only the cells run since then.",
        "%reset",
    ),
    Magic("%help", "", "Show this list.", "It is made from the same table as this page.", "%help"),
)

BY_NAME = {magic.name: magic for magic in MAGICS}


def find_magic(name: str) -> Magic:
    """Return the magic of that name, percent signs included; raise `InvalidInput` that names the nearest one."""
    magic = BY_NAME.get(name)
    if magic is not None:
        return magic
    near = nearest(name)
    hint = f"did you mean '{near}'?" if near else "a cell of Lua code needs none."
    raise InvalidInput(f"There is no magic '{name[:40]}': {hint} '%help' lists them all.")


def nearest(name: str) -> str | None:
    """Return the magic an author most likely meant; percent signs and capitals do not count."""
    words = {magic.name.lstrip("%"): magic.name for magic in MAGICS}
    matches = difflib.get_close_matches(name.lstrip("%").lower(), words, n=1, cutoff=0.6)
    return words[matches[0]] if matches else None


def help_text() -> str:
    """Return the table as `%help` prints it, narrow enough for a notebook beside its sidebar."""
    entries = [f"{magic.usage}\n    {magic.help}" for magic in MAGICS]
    return "\n".join([*entries, "", "A cell without a magic is Lua that runs at once and is never published."])


def reference_page() -> str:
    """Return docs/reference/notebook.md."""
    rows = [f"| `{magic.usage.replace('|', '&#124;')}` | {magic.help} |" for magic in MAGICS]
    sections = [
        f"## `{magic.name}`\n\n{magic.help} {magic.details}\n\n```lua\n{magic.example}\n```" for magic in MAGICS
    ]
    return "\n\n".join([_INTRODUCTION, "| Magic | What it does |\n| --- | --- |\n" + "\n".join(rows), *sections]) + "\n"


_INTRODUCTION = """\
# Notebook reference

A PiCloud notebook is Lua. A cell that begins with a `%%` magic defines something; a cell of `%` magics gives
commands, one a line; any other cell is scratch code: it runs at once, shows the value of its last expression, keeps
its variables for the next cell and is never published. The text after a `%%` line is the script: its line 1 is the
line after the magic. Blank lines and lines that begin with `#` or `--` may stand before a magic.

A scratch cell keeps also what it declares as `local` outside of blocks and functions: such a name is one variable for
the whole session, which functions of all cells see, and a cell that declares it again gives it a new value. Variables
with `<close>`, and all locals of a cell that names `_ENV`, end with their cell. `display(value)` shows a value at
once, as the value of a cell is shown; what it returns has `:update(value)`, which shows another one in its place.
`clear_output([wait])` takes away what the cell has shown. Endpoints, modules and tests have neither.

What a cell defines is a draft: `require`, `%call` and tests use it at once, in front of what is live. Run again under
another name or as another kind, the cell takes back what it defined before. `%publish` makes the drafts live.
`picloud publish NOTEBOOK --app NAME` publishes the same cells from the notebook file.

A cell that is a name with a question mark shows help: `kv.set?`, `greet.hello?`, `%publish?`. Two question marks show
the source as well, where there is one.

`papermill notebook.ipynb out.ipynb -p name ada` sets parameters as global variables, in a cell of their own after the
one tagged `parameters`; `pip install picloud[papermill]` brings papermill.

A cell whose first line is `-- METHOD /path` and nothing else, as notebooks for Jupyter Kernel Gateway have it, is an
endpoint too, called `METHOD` and the path's segments with blanks in between: `-- GET /users/:id` makes `GET users :id`.
What it prints is the answer; when it prints nothing, what it returns is, as in an `%%endpoint`. `REQUEST` is JSON text
with `body` (read as JSON or as form fields when its `content-type` says so), `args` (the query, a list of one value
each), `path` (the parameters) and `headers`. A cell `-- ResponseInfo METHOD /path` prints a JSON object with `status`
and `headers` of the answer. Several cells of one annotation are one script, in their order. Unlike there, every request
starts afresh: what several cells share goes into a `%%module`.

Before the first `%app`, scratch cells run in an app called `scratch`, which is never created; all other magics ask for
an app.

This page is made from the table in `picloud/publishing/magics.py`."""
