"""What the admin API takes and gives, as JSON. Unknown fields and wrong types are refused, never guessed at."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from picloud.model.app import App
from picloud.model.backfill import Backfill, BackfillRange
from picloud.model.release import Forced, Manifest, Release, TestSource
from picloud.model.rfc3339 import moment
from picloud.model.route import PATTERN_MAX_LENGTH, Route, RouteAuth, check_route
from picloud.model.schedule import CatchUp
from picloud.model.script import SOURCE_MAX_BYTES, Script, ScriptKind, check_script_name
from picloud.model.trigger import OPERATIONS, Overlap, RetryPolicy, Trigger, TriggerKind, check_trigger
from picloud.publishing.notebook import Authored, author

if TYPE_CHECKING:
    from picloud.modules.graph import ImportGraph
    from picloud.publishing.diff import Change
    from picloud.publishing.publisher import Plan, Published
    from picloud.storage.releases import ReleaseInfo
    from picloud.storage.schedules import TickEntry

MESSAGE_MAX_LENGTH = 2000
NAME_MAX_LENGTH = 200
"""Of what is looked at as a name; what a name may be is the model's to say."""
MANIFEST_ENTRIES_MAX = 10_000
NOTEBOOKS_MAX = 1000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character U+0000")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, Field(max_length=NAME_MAX_LENGTH)]
Source = Annotated[
    Text, Field(max_length=SOURCE_MAX_BYTES, description="Lua 5.4 text, without the notebook's magic line.")
]
Message = Annotated[Text, Field(max_length=MESSAGE_MAX_LENGTH, description="What the release is about.")]


class Model(BaseModel):
    """The rules all share."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AppBody(Model):
    """A new app."""

    name: Name = Field(description="1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'.")


class AppView(Model):
    """An app."""

    name: str
    revision: int = Field(description="Grows with every change of the app's scripts and routes.")
    created_at: datetime

    @classmethod
    def of(cls, app: App) -> Self:
        """Return the view of an app."""
        return cls(name=app.name, revision=app.revision, created_at=app.created_at)


class AppList(Model):
    """The apps the token may see."""

    apps: list[AppView]


class ScriptBody(Model):
    """The new text of a script."""

    kind: ScriptKind
    source: Source
    message: Message = ""

    def script(self, name: str) -> Script:
        """Return the script of this name."""
        return Script(check_script_name(name, self.kind), self.kind, self.source)


class RenameBody(Model):
    """The new name of a script."""

    name: Name
    rewrite_importers: bool = Field(
        default=False, description="Whether to change the require of every script and test that names the module."
    )
    message: Message = ""


class ScriptView(Model):
    """A script as it is live now."""

    name: str
    kind: ScriptKind
    version: str = Field(description="Hex SHA-256 over kind, name and source.")
    source: str

    @classmethod
    def of(cls, script: Script) -> Self:
        """Return the view of a script."""
        return cls(name=script.name, kind=script.kind, version=script.version, source=script.source)


class ScriptEntry(Model):
    """A script without its text."""

    name: str
    kind: ScriptKind
    version: str

    @classmethod
    def of(cls, script: Script) -> Self:
        """Return the entry of a script."""
        return cls(name=script.name, kind=script.kind, version=script.version)


class ScriptList(Model):
    """The scripts that are live, by name."""

    scripts: list[ScriptEntry]


class RouteBody(Model):
    """A route: which endpoint answers which method and path."""

    method: Name = Field(description="GET, POST, PUT, PATCH, DELETE, OPTIONS or HEAD.")
    pattern: Annotated[Text, Field(max_length=PATTERN_MAX_LENGTH, description="e.g. /users/:id or /files/*path.")]
    script: Name = Field(description="Name of the endpoint script.")
    auth: RouteAuth = RouteAuth.PUBLIC
    timing: bool = Field(default=False, description="Whether answers carry Server-Timing: what the run used.")

    def route(self) -> Route:
        """Return the route; raise `InvalidRoute` when it is not one."""
        return check_route(self.method, self.pattern, self.script, self.auth.value, self.timing)


class RouteView(Model):
    """A route as it is live now."""

    method: str
    pattern: str
    script: str
    auth: RouteAuth
    timing: bool

    @classmethod
    def of(cls, route: Route) -> Self:
        """Return the view of a route."""
        return cls(
            method=route.method, pattern=route.pattern, script=route.script, auth=route.auth, timing=route.timing
        )


class RouteList(Model):
    """The routes that are live."""

    routes: list[RouteView]


class RouteQuery(Model):
    """Which route."""

    method: Name
    pattern: Annotated[Text, Field(max_length=PATTERN_MAX_LENGTH)]


class TriggerBody(Model):
    """A trigger: which events run which endpoint's script."""

    kind: TriggerKind
    source: Annotated[Text, Field(max_length=PATTERN_MAX_LENGTH)] = Field(
        default="", description="Key pattern, collection, cron expression, queue or topic; empty for dead letters."
    )
    script: Name = Field(description="Name of the endpoint script.")
    on: Annotated[list[Name], Field(max_length=8)] | None = Field(
        default=None, description="Operations, for kv and docs; left out: all."
    )
    retries: int = Field(default=RetryPolicy().retries, description="Runs after the first that failed.")
    backoff_s: float = Field(default=RetryPolicy().backoff_s, description="Before the first retry; then twice as long.")
    backoff_max_s: float = Field(default=RetryPolicy().backoff_max_s, description="The longest pause.")
    jitter: float = Field(default=RetryPolicy().jitter, description="Part of each pause that is drawn at random.")
    timeout_s: float | None = Field(default=None, description="Wall-clock limit of a run; null: that of all runs.")
    batch: int = Field(default=1, description="Messages of a queue a run gets at most.")
    wait_s: float = Field(default=0.0, description="How long a message of a queue may wait for others.")
    tz: Name = Field(default="UTC", description="Time zone of a cron trigger, such as Europe/Berlin.")
    catch_up: CatchUp = Field(default=CatchUp.LAST, description="Which ticks of cron that are too late are run.")
    late_max_s: float = Field(default=60.0, description="A tick later than this is too late.")
    overlap: Overlap = Field(default=Overlap.SKIP, description="What a tick does while runs of earlier ones last.")

    def trigger(self, name: str) -> Trigger:
        """Return the trigger; raise `InvalidTrigger` when it is not one."""
        operations = OPERATIONS.get(self.kind, ())
        named = operations if self.on is None else tuple(self.on)
        return check_trigger(
            Trigger(
                name,
                self.kind,
                self.source,
                self.script,
                tuple(sorted(named, key=lambda o: operations.index(o) if o in operations else len(operations))),
                RetryPolicy(self.retries, self.backoff_s, self.backoff_max_s, self.jitter),
                self.timeout_s,
                self.batch,
                self.wait_s,
                self.tz,
                self.catch_up,
                self.late_max_s,
                self.overlap,
            )
        )


class TriggerView(TriggerBody):
    """A trigger as it is live now."""

    name: Name

    @classmethod
    def of(cls, trigger: Trigger) -> Self:
        """Return the view of a trigger."""
        retry = trigger.retry
        return cls(
            name=trigger.name,
            kind=trigger.kind,
            source=trigger.source,
            script=trigger.script,
            on=list(trigger.on),
            retries=retry.retries,
            backoff_s=retry.backoff_s,
            backoff_max_s=retry.backoff_max_s,
            jitter=retry.jitter,
            timeout_s=trigger.timeout_s,
            batch=trigger.batch,
            wait_s=trigger.wait_s,
            tz=trigger.tz,
            catch_up=trigger.catch_up,
            late_max_s=trigger.late_max_s,
            overlap=trigger.overlap,
        )


class LiveTriggerView(TriggerView):
    """A trigger that is live, and what it will do next."""

    next: list[datetime] = Field(default=[], description="The next five ticks of a cron trigger, in its time zone.")

    @classmethod
    def of(cls, trigger: Trigger) -> Self:
        """Return the view of a trigger at this moment."""
        return super().of(trigger).model_copy(update={"next": list(trigger.next_ticks(datetime.now(UTC)))})


class TickQuery(Model):
    """How many entries."""

    limit: int = Field(default=100, ge=1, le=1000)


class TickView(Model):
    """What became of one tick, or of ticks that follow one another."""

    first_at: datetime
    last_at: datetime
    ticks: int = Field(description="How many there are from the first to the last.")
    outcome: Name = Field(description="ran, or why not: overlap, superseded, too_late or too_many.")
    late_ms: int | None = Field(description="How late a tick was that ran.")
    event_id: UUID | None = Field(description="The event the script got, or will get.")
    cancelled_at: datetime | None = Field(description="When a later tick ended the run of one that ran.")
    asked_by: Name | None = Field(description="Who had it run by a backfill.")

    @classmethod
    def of(cls, entry: TickEntry) -> Self:
        """Return the view of an entry."""
        return cls(**entry._asdict())


class TickList(Model):
    """What became of ticks, the latest first."""

    ticks: list[TickView]


class BackfillBody(Model):
    """Which ticks to run after all."""

    start: Name = Field(alias="from", description="Begin of the range, as RFC 3339 writes it, with an offset.")
    end: Name = Field(alias="to", description="End of the range, not in the future; a tick at this moment is in.")
    again: bool = Field(default=False, description="Also run ticks that ran before.")
    dry_run: bool = Field(default=False, description="Only tell which ticks would be run.")

    def range(self) -> BackfillRange:
        """Return the range; raise `InvalidInput` when it is none."""
        return BackfillRange(moment(self.start), moment(self.end))


class BackfillView(Model):
    """What is run after all."""

    ticks: list[datetime] = Field(description="In order, in the trigger's time zone.")
    ran_before: int = Field(description="Ticks of the range that are left out, since they ran.")
    dry_run: bool = Field(description="Whether nothing was done.")

    @classmethod
    def of(cls, made: Backfill, *, dry_run: bool) -> Self:
        """Return the view of a backfill."""
        return cls(ticks=list(made.ticks), ran_before=made.ran_before, dry_run=dry_run)


class TriggerList(Model):
    """The triggers that are live, by name."""

    triggers: list[LiveTriggerView]


class GraphQuery(Model):
    """Which part of the graph."""

    reaching: Name | None = Field(default=None, description="A script: only what reaches it, itself included.")


class GraphScript(Model):
    """A script of the graph."""

    name: str
    kind: ScriptKind
    imports: list[str] = Field(description="Modules it requires.")
    missing: list[str] = Field(description="Names it requires that no module has.")


class GraphTest(Model):
    """A test of the graph; endpoints it calls are not told."""

    name: str
    imports: list[str] = Field(description="Names it requires.")


class GraphView(Model):
    """Who requires whom, and which routes and triggers lead there."""

    scripts: list[GraphScript]
    routes: list[RouteView]
    triggers: list[TriggerView]
    tests: list[GraphTest]

    @classmethod
    def of(cls, graph: ImportGraph) -> Self:
        """Return the view of a graph."""
        return cls(
            scripts=[
                GraphScript(
                    name=name,
                    kind=graph.kinds[name],
                    imports=[required for required in imports if graph.has_module(required)],
                    missing=[required for required in imports if not graph.has_module(required)],
                )
                for name, imports in graph.imports.items()
            ],
            routes=[RouteView.of(route) for route in graph.routes],
            triggers=[TriggerView.of(trigger) for trigger in graph.triggers],
            tests=[GraphTest(name=name, imports=list(imports)) for name, imports in graph.tests.items()],
        )


class ManifestScript(Model):
    """A script of a manifest."""

    name: Name
    kind: ScriptKind
    source: Source


class ManifestTest(Model):
    """A test of a manifest."""

    name: Name
    source: Source


class ManifestBody(Model):
    """All an app consists of."""

    scripts: Annotated[list[ManifestScript], Field(max_length=MANIFEST_ENTRIES_MAX)] = []
    routes: Annotated[list[RouteBody], Field(max_length=MANIFEST_ENTRIES_MAX)] = []
    tests: Annotated[list[ManifestTest], Field(max_length=MANIFEST_ENTRIES_MAX)] = []
    triggers: Annotated[list[TriggerView], Field(max_length=MANIFEST_ENTRIES_MAX)] = []

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the JSON form of a manifest."""
        return cls(
            scripts=[ManifestScript(name=s.name, kind=s.kind, source=s.source) for s in manifest.scripts],
            routes=[
                RouteBody(method=r.method, pattern=r.pattern, script=r.script, auth=r.auth, timing=r.timing)
                for r in manifest.routes
            ],
            tests=[ManifestTest(name=t.name, source=t.source) for t in manifest.tests],
            triggers=[TriggerView.of(trigger) for trigger in manifest.triggers],
        )

    def manifest(self) -> Manifest:
        """Return the manifest; raise `InvalidInput` or one of its kinds for what cannot be part of one."""
        scripts = [Script(check_script_name(s.name, s.kind), s.kind, s.source) for s in self.scripts]
        return Manifest(
            scripts=tuple(sorted(scripts, key=lambda s: s.name)),
            routes=tuple(sorted(route.route() for route in self.routes)),
            tests=tuple(sorted((TestSource(t.name, t.source) for t in self.tests), key=lambda t: t.name)),
            triggers=tuple(sorted((t.trigger(t.name) for t in self.triggers), key=lambda t: t.name)),
        )


class PlanBody(Model):
    """What to publish: a manifest, a notebook, or several."""

    manifest: ManifestBody | None = None
    notebook: dict[str, Any] | None = Field(default=None, description="A whole notebook document, nbformat 4.")

    notebooks: Annotated[dict[Name, dict[str, Any]], Field(max_length=NOTEBOOKS_MAX)] | None = Field(
        default=None, description="Several notebook documents by their file names: together they are the app."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if [self.manifest, self.notebook, self.notebooks].count(None) != 2:
            raise ValueError("give one of manifest, notebook and notebooks")
        return self

    def to_publish(self) -> Authored:
        """Return what was sent; raise `InvalidNotebook`."""
        if self.manifest is not None:
            return Authored(self.manifest.manifest(), None, {})
        if self.notebooks is not None:
            return author(sorted(self.notebooks.items()))
        return author([(None, self.notebook or {})])


class ForceBody(Model):
    """Publish although tests fail."""

    reason: Annotated[Text, Field(min_length=1, max_length=MESSAGE_MAX_LENGTH, description="Kept with the release.")]


class ReleaseBody(PlanBody):
    """A release to make."""

    message: Message = ""
    notebook_name: Name | None = Field(default=None, description="File name of the notebook, kept with the release.")
    create: bool = Field(default=False, description="Make the app when there is none of this name.")
    base_release: int | None = Field(
        default=None,
        ge=0,
        description="Number of the release this was made from, 0 for none: 409 when another one is live.",
    )
    force: ForceBody | None = Field(
        default=None, description="Publish although tests fail; needs a token with app:admin."
    )

    def notebook_label(self) -> str | None:
        """Return what the release keeps as where it came from."""
        return ", ".join(sorted(self.notebooks)) if self.notebooks is not None else self.notebook_name


class RollbackQuery(Model):
    """How to roll back."""

    force_reason: Annotated[Text, Field(min_length=1, max_length=MESSAGE_MAX_LENGTH)] | None = Field(
        default=None, description="Why to roll back although tests of that release fail now; needs app:admin."
    )


class ChangeView(Model):
    """How one entry differs."""

    entry: str
    lines: list[str] = Field(description="Of a unified diff.")
    left_out: int = Field(description="Lines the diff has beyond those.")

    @classmethod
    def of(cls, change: Change) -> Self:
        """Return the view of a change."""
        return cls(entry=change.entry, lines=list(change.lines), left_out=change.left_out)


class DifferenceView(Model):
    """How a release differs from the one before, entry by entry."""

    changes: list[ChangeView]


class PlannedTestView(Model):
    """A test that will run."""

    name: str
    reaches: list[str] = Field(description="Changed scripts it is known to reach.")


class PlannedTriggerView(Model):
    """What a trigger that would be added or changed will do."""

    name: str
    retries: str = Field(description="When it retries what failed, in words.")
    retries_at_s: list[float] = Field(
        description="Seconds from the first failure to each retry, of which jitter takes off."
    )
    next: list[datetime] = Field(description="The next five ticks of a cron trigger, in its time zone.")

    @classmethod
    def of(cls, trigger: Trigger) -> Self:
        """Return the view of a trigger as it would be, at this moment."""
        retry, ticks = trigger.retry, trigger.next_ticks(datetime.now(UTC))
        return cls(name=trigger.name, retries=retry.schedule(), retries_at_s=list(retry.moments_s()), next=list(ticks))


class PlanView(Model):
    """What publishing would change; entries read like 'module greet' or 'route GET /hello/:name'."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]
    affected: list[str] = Field(description="What imports a changed part.")
    changes_anything: bool
    base: int = Field(description="Number of the release that is live, 0 for none: for `base_release`.")
    annotated: list[str] = Field(description="Endpoints made of annotated cells, as Jupyter Kernel Gateway has them.")
    tests: list[PlannedTestView]
    triggers: list[PlannedTriggerView] = Field(description="Those that are added or changed.")
    changes: list[ChangeView]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Return the view of a plan."""
        return cls(
            added=list(plan.added),
            changed=list(plan.changed),
            removed=list(plan.removed),
            unchanged=list(plan.unchanged),
            affected=list(plan.affected),
            changes_anything=plan.changes_anything,
            base=plan.base,
            annotated=list(plan.annotated),
            tests=[PlannedTestView(name=test.name, reaches=list(test.reaches)) for test in plan.tests],
            triggers=[PlannedTriggerView.of(trigger) for trigger in plan.triggers()],
            changes=[ChangeView.of(change) for change in plan.changes()],
        )


class FailedTestView(Model):
    """A test that did not pass."""

    test: str
    message: str
    line: int | None
    at: str | None = Field(description="SCRIPT:LINE when it failed in a script it reached.")


class ForcedView(Model):
    """Why a release was published although tests failed."""

    reason: str
    failures: list[FailedTestView]

    @classmethod
    def of(cls, forced: Forced) -> Self:
        """Return the view of a forced release's mark."""
        return cls(reason=forced.reason, failures=[FailedTestView(**asdict(found)) for found in forced.failures])


class ReleaseEntry(Model):
    """A release without its content."""

    number: int
    author: str
    message: str
    notebook: str | None
    created_at: datetime
    forced: ForcedView | None = Field(description="Null when all tests passed.")

    @classmethod
    def of(cls, release: ReleaseInfo | Release) -> Self:
        """Return the entry of a release."""
        return cls(
            number=release.number,
            author=release.author,
            message=release.message,
            notebook=release.notebook,
            created_at=release.created_at,
            forced=ForcedView.of(release.forced) if release.forced else None,
        )


class ReleaseList(Model):
    """The app's releases, newest first."""

    releases: list[ReleaseEntry]


class ReleaseView(ReleaseEntry):
    """A release with all it consists of."""

    manifest: ManifestBody

    @classmethod
    def whole(cls, release: Release) -> Self:
        """Return the view of a release."""
        entry = ReleaseEntry.of(release)
        return cls(**dict(entry), manifest=ManifestBody.of(release.manifest))


class PublishedView(Model):
    """What a change led to."""

    release: ReleaseEntry
    plan: PlanView
    created_app: bool

    @classmethod
    def of(cls, published: Published) -> Self:
        """Return the view of what was published."""
        return cls(
            release=ReleaseEntry.of(published.release),
            plan=PlanView.of(published.plan),
            created_app=published.created_app,
        )


class ErrorContent(Model):
    """What went wrong."""

    code: str
    message: str
    request_id: str
    details: list[dict[str, Any]] = []


class ErrorView(Model):
    """Every answer from 400 on."""

    error: ErrorContent
