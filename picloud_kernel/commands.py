"""The line magics that look at or change the app as published: plan, publish, rollback, lists, help."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import PurePath
from urllib.parse import quote

from picloud.errors import Conflict
from picloud.model.app import AppId
from picloud.model.dead_letter import LetterFilter
from picloud.model.release import Manifest, about
from picloud.model.route import Route
from picloud.model.script import Script
from picloud.publishing.annotated import is_annotated
from picloud.publishing.cells import (
    Command,
    DecideAll,
    Discard,
    Graph,
    ListLetters,
    Logs,
    Publish,
    Redrive,
    Releases,
    Report,
    Reset,
    Rollback,
    RunBackfill,
    Runs,
    Show,
    ShowLetter,
    UseApp,
)
from picloud.publishing.magics import help_text
from picloud.publishing.publisher import Plan, Published, entries_of
from picloud.settings import Settings
from picloud.storage.kv import Content
from picloud_kernel.display import Bundle, changes_bundle, columns, text
from picloud_kernel.graph import graph_bundle
from picloud_kernel.history import History
from picloud_kernel.letters import letter_bundle, letters_bundle
from picloud_kernel.session import Session

LETTERS_SHOWN_MAX = 200


class Commands:
    """Runs line magics on a session; each gives one output."""

    def __init__(self, session: Session, *, server_url: str | None) -> None:
        self._session = session
        self.server_url = server_url
        self.history = History(session)

    def run(self, command: Command) -> Bundle:
        """Return what the command shows; raises any `PicloudError`."""
        match command:
            case UseApp(name):
                self._session.use_app(name)
                return text(f"This notebook works on the app {name}.")
            case Report(shown):
                self._session.show_reports = shown
                return text(f"Reports of runs are {'shown' if shown else 'hidden'} from now on.")
            case ListLetters(wanted):
                return self._dead_letters(wanted)
            case ShowLetter(letter):
                letters, app_id = self._session.platform.dead_letters, self._app_id()
                return letter_bundle(letters.get(app_id, letters.resolve(app_id, letter)))
            case Redrive() | Discard() | DecideAll():
                return text(self._decide(command))
            case Runs():
                return self.history.runs(command)
            case Logs():
                return self.history.logs(command)
            case RunBackfill():
                return text(self._backfill(command))
            case Reset(drafts):
                return text(self._reset(drafts))
            case Publish():
                return text(self._publish(command))
            case Rollback():
                return text(self._rollback(command))
            case Releases(number):
                return text(self._releases()) if number is None else self._release(number)
            case Graph(name):
                return self._graph(name)
            case Show("%plan"):
                plan = self._plan()
                self._session.saw_live(plan.base)
                return plan_bundle(plan)
            case Show(name):
                return text(self._show(name))
        raise AssertionError(command)

    def _reset(self, drafts: bool) -> str:
        app = self._session.scratch
        forgotten = app.reset(drafts=drafts)
        what = f"drafts ({', '.join(forgotten) or 'it has none'})"
        return f"Forgot the variables{f' and the {what}' if drafts else ''} of the app {app.app_name}."

    def _show(self, name: str) -> str:
        match name:
            case "%help":
                return help_text()
            case "%scripts":
                return self._scripts()
            case "%triggers":
                return self._triggers()
            case "%routes":
                return self._routes()
        raise AssertionError(name)

    def _plan(self) -> Plan:
        return self._session.platform.publisher.plan(self._session.app_name, self._session.app.manifest())

    def _publish(self, command: Publish) -> str:
        manifest, plan, seen = self._session.app.manifest(), self._plan(), self._session.base
        base = plan.base if seen is None else seen
        if plan.removed and not command.remove and base == plan.base:
            raise Conflict(
                f"This would remove {', '.join(plan.removed)} from the app {self._session.app_name}, because no cell "
                "of this session defines it. Run all cells first, or say '%publish --remove' to remove it."
            )
        published = self._session.platform.publisher.publish(
            self._session.app_name,
            manifest,
            author=author(),
            message=command.message,
            notebook=_notebook(),
            create=True,
            base=base,
            force=command.force,
        )
        self._session.saw_live(published.release.number)
        return "\n\n".join(filter(None, [self._published_text(published), self._urls(published.release.manifest)]))

    def _published_text(self, published: Published) -> str:
        release = published.release
        is_new = "; the app is new" if published.created_app else ""
        tests = len(published.tests)
        failures = release.forced.failures if release.forced and published.plan.changes_anything else ()
        passed = f"\n{tests} {'test' if tests == 1 else 'tests'} passed." if tests and not failures else ""
        passed += "".join(f"\n  ! test {failure.test} failed: {failure.message}" for failure in failures)
        return (
            f"Release {release.number} of the app {self._session.app_name} is live{is_new}.\n"
            f"{plan_text(published.plan)}{passed}"
        )

    def _urls(self, manifest: Manifest) -> str:
        """Return each route's URLs: on the data plane, and through Jupyter when the kernel knows where that is."""
        app = self._session.app_name
        return columns(
            (route.method, f"{base}/run/{app}{url_path(route)}")
            for base in bases(self._session.platform.settings, self.server_url)
            for route in manifest.routes
        )

    def _rollback(self, command: Rollback) -> str:
        published = self._session.platform.publisher.rollback(
            self._session.app_name, command.number, author=author(), force=command.force
        )
        self._session.saw_live(published.release.number)
        return f"Release {command.number} is published again.\n{self._published_text(published)}"

    def _release(self, number: int) -> Bundle:
        platform, app_name = self._session.platform, self._session.app_name
        app_id = platform.apps.get(app_name).id
        release = platform.releases.get(app_id, number)
        facts = [
            f"Release {number} of the app {app_name}, by {release.author}",
            release.notebook,
            about(release.message, release.forced),
        ]
        failures = release.forced.failures if release.forced else ()
        facts += [f"  ! test {failure.test} failed: {failure.message}" for failure in failures]
        return changes_bundle("\n".join(filter(None, facts)), platform.publisher.difference(app_id, number))

    def _releases(self) -> str:
        platform = self._session.platform
        releases = platform.releases.list(platform.apps.get(self._session.app_name).id)
        if not releases:
            return f"The app {self._session.app_name} has no release yet."
        newest_first = sorted(releases, key=lambda release: release.number, reverse=True)
        return columns(
            [
                ("release", "published", "by", "notebook", "message"),
                *(
                    (
                        str(release.number),
                        release.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                        release.author,
                        release.notebook or "",
                        about(release.message, release.forced),
                    )
                    for release in newest_first
                ),
            ]
        )

    def _live(self) -> Manifest:
        return self._session.platform.publisher.live(self._session.app_name)

    def _graph(self, name: str | None) -> Bundle:
        live = self._live()
        graph, published = self._session.app.graph(live), entries_of(live)
        here = entries_of(self._session.app.manifest())
        drafts = {entry for entry, content in here.items() if published.get(entry) != content}
        return graph_bundle(graph if name is None else graph.reaching(name), drafts)

    def _scripts(self) -> str:
        live, draft = self._live(), self._session.app.manifest()
        rows = states(
            {(_kind(script), script.name): script.version for script in live.scripts},
            {(_kind(script), script.name): script.version for script in draft.scripts},
        )
        return (
            columns(rows)
            if rows
            else "No scripts yet: begin a cell with '%%module NAME' or '%%endpoint NAME METHOD PATH'."
        )

    def _routes(self) -> str:
        live, draft = self._live(), self._session.app.manifest()
        rows = states(
            {(route.method, route.pattern): f"{route.script}, {route.auth}" for route in live.routes},
            {(route.method, route.pattern): f"{route.script}, {route.auth}" for route in draft.routes},
        )
        return columns(rows) if rows else "No routes yet: begin a cell with '%%endpoint NAME METHOD PATH'."

    def _app_id(self) -> AppId:
        return self._session.platform.apps.get(self._session.app_name).id

    def _dead_letters(self, wanted: LetterFilter) -> Bundle:
        letters, cursor = self._session.platform.dead_letters.page(self._app_id(), wanted, limit=LETTERS_SHOWN_MAX)
        if letters:
            return letters_bundle(letters, more=cursor is not None)
        such = "no dead letters" if wanted == LetterFilter() else "no such dead letters"
        return text(f"The app {self._session.app_name} has {such}.")

    def _decide(self, decision: Redrive | Discard | DecideAll) -> str:
        letters, app_id = self._session.platform.dead_letters, self._app_id()
        match decision:
            case Redrive(begin, edited):
                letter, content = letters.resolve(app_id, begin), None if edited is None else Content(True, edited)
                event = letters.redrive(app_id, letter, by=author(), edited=content)
                return (
                    f"The dead letter {letter} is on its way to its trigger again, as event {event}: "
                    "'%runs' shows how it ends."
                )
            case Discard(begin):
                letter = letters.resolve(app_id, begin)
                letters.discard(app_id, letter, by=author())
                return f"The dead letter {letter} is off the list."
            case DecideAll(redrives, wanted):
                decide = letters.redrive_all if redrives else letters.discard_all
                count = decide(app_id, wanted, by=author())
                done = "on the way to its trigger again" if redrives else "off the list"
                if not count:
                    return "No open dead letter is meant: nothing was done."
                return f"{count} dead letter{'s: each is' if count > 1 else ' is'} {done}."

    def _backfill(self, command: RunBackfill) -> str:
        platform = self._session.platform
        made = platform.schedules.backfill(
            platform.apps.get(self._session.app_name).id,
            command.trigger,
            command.wanted,
            by=author(),
            again=command.again,
            dry_run=command.dry_run,
        )
        return "\n".join([*(tick.isoformat(" ") for tick in made.ticks), made.describe(dry_run=command.dry_run)])

    def _triggers(self) -> str:
        live, draft = self._live(), self._session.app.manifest()
        rows = states(
            {(trigger.name, trigger.describe()): trigger.retry.schedule() for trigger in live.triggers},
            {(trigger.name, trigger.describe()): trigger.retry.schedule() for trigger in draft.triggers},
        )
        return columns(rows) if rows else "No triggers yet: begin a cell with '%%trigger NAME KIND SOURCE'."


def _kind(script: Script) -> str:
    return f"{script.kind}, annotated" if is_annotated(script) else str(script.kind)


def states(live: dict[tuple[str, str], str], draft: dict[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    """Say of each entry whether it is live as it is here."""

    def state(key: tuple[str, str]) -> str:
        if key not in draft:
            return "live, not run in this session"
        if key not in live:
            return "draft, not published yet"
        return "live" if live[key] == draft[key] else "live, changed here"

    return [(*key, state(key)) for key in sorted(live.keys() | draft.keys())]


def plan_text(plan: Plan) -> str:
    """Return a plan as `%plan` and `%publish` show it: + added, ~ changed, - removed, > affected."""
    if not plan.changes_anything:
        return "Nothing changes: what is live is what this notebook defines."
    mark = dict.fromkeys(plan.annotated, " (annotated)")
    marked = [
        *(f"  + {entry}{mark.get(entry, '')}" for entry in plan.added),
        *(f"  ~ {entry}{mark.get(entry, '')}" for entry in plan.changed),
        *(f"  - {entry}" for entry in plan.removed),
        *(f"  > {entry}, which requires what changes" for entry in plan.affected),
    ]
    return "\n".join(marked)


def plan_bundle(plan: Plan) -> Bundle:
    """Return a plan as `%plan` shows it: what changes, what triggers will do, which tests run, and the differences."""
    if not plan.changes_anything:
        return text(plan_text(plan))
    tests = [
        f"  ? test {test.name}" + (f", which reaches {', '.join(test.reaches)}" if test.reaches else "")
        for test in plan.tests
    ]
    triggers = [
        f"  trigger {trigger.name}: {line}"
        for trigger in plan.triggers()
        for line in trigger.outlook(datetime.now(UTC))
    ]
    return changes_bundle("\n".join([plan_text(plan), *triggers, *tests]), plan.changes())


def url_path(route: Route) -> str:
    """Return the route's pattern as part of a URL, its parameters left for the reader to fill in."""
    return quote(route.pattern, safe="/:*!$&'()+,;=@%~")


def data_plane(settings: Settings) -> str:
    """Return the data plane's URL as this machine reaches it."""
    everywhere = settings.host in ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)
    host = "localhost" if everywhere else f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def bases(settings: Settings, server_url: str | None) -> list[str]:
    """Return the URLs `/run` is below: the data plane's, and Jupyter's when the kernel knows it."""
    through_jupyter = [] if server_url is None else [f"{server_url.rstrip('/')}/picloud"]
    return [data_plane(settings), *through_jupyter]


def author() -> str:
    """Return who works at this notebook."""
    try:
        return f"jupyter:{os.environ.get('JUPYTERHUB_USER') or getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return f"jupyter:{os.getuid()}"


def _notebook() -> str | None:
    """Return the notebook's file name, which Jupyter Server tells its kernels."""
    return PurePath(os.environ.get("JPY_SESSION_NAME", "")).name or None
