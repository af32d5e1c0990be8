"""The table of all operations of the admin API: the one place where they are listed."""

from __future__ import annotations

from picloud.model.principal import Scope
from picloud.web.api import apps, dead_letter_models, dead_letters, models, releases, run_models, runs, scripts
from picloud.web.api.operation import Operation

_ADMIN = frozenset({Scope.APP_ADMIN})
_READ = frozenset({Scope.SCRIPT_READ})
_WRITE = frozenset({Scope.SCRIPT_WRITE})
_ROUTE = frozenset({Scope.ROUTE_MANAGE})
_TRIGGER = frozenset({Scope.TRIGGER_MANAGE})
_SEE = frozenset({Scope.DATA_READ})
"""Runs and dead letters, which hold data of the app."""
_DECIDE = frozenset({Scope.DATA_WRITE})
"""Over dead letters."""
_PUBLISH = _WRITE | _ROUTE | _TRIGGER
"""A release may change scripts, routes and triggers, so one scope alone would get around the others."""

_APP = "/apps/{app}"
_SCRIPT = f"{_APP}/scripts/{{script}}"
_TRIGGER_PATH = f"{_APP}/triggers/{{trigger}}"
_LETTERS = f"{_APP}/dead-letters"
_LETTER = f"{_LETTERS}/{{letter}}"
_RELEASE = f"{_APP}/releases/{{number}}"
_CHANGED = models.PublishedView

OPERATIONS = (
    Operation("GET", "/apps", "List apps", apps.list_apps, _READ, models.AppList),
    Operation("POST", "/apps", "Create an app", apps.create_app, _ADMIN, models.AppView, 201, body=models.AppBody),
    Operation("GET", _APP, "Show an app", apps.get_app, _READ, models.AppView),
    Operation("DELETE", _APP, "Delete an app and all it owns", apps.delete_app, _ADMIN, status=204),
    Operation("GET", f"{_APP}/scripts", "List scripts", scripts.list_scripts, _READ, models.ScriptList),
    Operation("GET", _SCRIPT, "Show a script", scripts.get_script, _READ, models.ScriptView),
    Operation("PUT", _SCRIPT, "Add or replace a script", scripts.put_script, _WRITE, _CHANGED, body=models.ScriptBody),
    Operation("DELETE", _SCRIPT, "Delete a script", scripts.delete_script, _WRITE, _CHANGED),
    Operation(
        "POST",
        f"{_SCRIPT}/rename",
        "Rename a script",
        scripts.rename_script,
        _PUBLISH,
        _CHANGED,
        body=models.RenameBody,
    ),
    Operation(
        "GET",
        f"{_APP}/graph",
        "Show the import graph",
        scripts.get_graph,
        _READ,
        models.GraphView,
        query=models.GraphQuery,
    ),
    Operation("GET", f"{_APP}/routes", "List routes", scripts.list_routes, _READ, models.RouteList),
    Operation(
        "PUT", f"{_APP}/routes", "Add or replace a route", scripts.put_route, _ROUTE, _CHANGED, body=models.RouteBody
    ),
    Operation(
        "DELETE", f"{_APP}/routes", "Delete a route", scripts.delete_route, _ROUTE, _CHANGED, query=models.RouteQuery
    ),
    Operation("GET", f"{_APP}/triggers", "List triggers", scripts.list_triggers, _READ, models.TriggerList),
    Operation(
        "PUT",
        _TRIGGER_PATH,
        "Add or replace a trigger",
        scripts.put_trigger,
        _TRIGGER,
        _CHANGED,
        body=models.TriggerBody,
    ),
    Operation(
        "GET",
        f"{_TRIGGER_PATH}/ticks",
        "Show what became of a schedule's ticks",
        scripts.list_ticks,
        _READ,
        models.TickList,
        query=models.TickQuery,
    ),
    Operation(
        "POST",
        f"{_TRIGGER_PATH}/backfill",
        "Run ticks of a schedule after all",
        scripts.backfill,
        _TRIGGER,
        models.BackfillView,
        body=models.BackfillBody,
    ),
    Operation("DELETE", _TRIGGER_PATH, "Delete a trigger", scripts.delete_trigger, _TRIGGER, _CHANGED),
    Operation("GET", f"{_APP}/runs", "List runs", runs.list_runs, _SEE, run_models.RunList, query=run_models.RunQuery),
    Operation("GET", f"{_APP}/runs/{{run}}", "Show a run", runs.get_run, _SEE, run_models.RunDetails),
    Operation(
        "GET",
        f"{_APP}/retention",
        "Show how long runs are kept",
        runs.get_retention,
        _READ,
        run_models.RetentionView,
    ),
    Operation(
        "PUT",
        f"{_APP}/retention",
        "Say how long runs are kept",
        runs.put_retention,
        _ADMIN,
        run_models.RetentionView,
        body=run_models.RetentionBody,
    ),
    Operation(
        "POST", f"{_APP}/plan", "Plan a release", releases.plan_release, _READ, models.PlanView, body=models.PlanBody
    ),
    Operation("GET", f"{_APP}/releases", "List releases", releases.list_releases, _READ, models.ReleaseList),
    Operation(
        "POST", f"{_APP}/releases", "Publish", releases.create_release, _PUBLISH, _CHANGED, 201, body=models.ReleaseBody
    ),
    Operation("GET", _RELEASE, "Show a release", releases.get_release, _READ, models.ReleaseView),
    Operation(
        "GET", f"{_RELEASE}/diff", "Show what a release changed", releases.get_difference, _READ, models.DifferenceView
    ),
    Operation(
        "POST",
        f"{_RELEASE}/rollback",
        "Roll back",
        releases.roll_back,
        _PUBLISH,
        _CHANGED,
        201,
        query=models.RollbackQuery,
    ),
    Operation(
        "GET",
        _LETTERS,
        "List dead letters",
        dead_letters.list_dead_letters,
        _SEE,
        dead_letter_models.LetterList,
        query=dead_letter_models.LetterQuery,
    ),
    Operation(
        "POST",
        f"{_LETTERS}/redrive",
        "Redrive dead letters",
        dead_letters.redrive_dead_letters,
        _DECIDE,
        dead_letter_models.DecidedView,
        body=dead_letter_models.DecideBody,
    ),
    Operation(
        "POST",
        f"{_LETTERS}/discard",
        "Discard dead letters",
        dead_letters.discard_dead_letters,
        _DECIDE,
        dead_letter_models.DecidedView,
        body=dead_letter_models.DecideBody,
    ),
    Operation("GET", _LETTER, "Show a dead letter", dead_letters.get_dead_letter, _SEE, dead_letter_models.LetterView),
    Operation(
        "POST",
        f"{_LETTER}/redrive",
        "Redrive a dead letter",
        dead_letters.redrive_dead_letter,
        _DECIDE,
        dead_letter_models.RedrivenView,
        body=dead_letter_models.RedriveBody,
        needs_body=False,
    ),
    Operation(
        "POST", f"{_LETTER}/discard", "Discard a dead letter", dead_letters.discard_dead_letter, _DECIDE, status=204
    ),
)
