"""Operations on single scripts, routes and triggers. Every change is a release."""

from __future__ import annotations

from picloud.admin import edits
from picloud.errors import NotFound
from picloud.model.release import Manifest
from picloud.web.api.models import (
    BackfillBody,
    BackfillView,
    GraphQuery,
    GraphView,
    LiveTriggerView,
    PublishedView,
    RenameBody,
    RouteBody,
    RouteList,
    RouteQuery,
    RouteView,
    ScriptBody,
    ScriptEntry,
    ScriptList,
    ScriptView,
    TickList,
    TickQuery,
    TickView,
    TriggerBody,
    TriggerList,
)
from picloud.web.api.operation import Call


def list_scripts(call: Call) -> ScriptList:
    """Return the scripts that are live."""
    return ScriptList(scripts=[ScriptEntry.of(script) for script in _live(call).scripts])


def get_script(call: Call) -> ScriptView:
    """Return one script with its text."""
    return ScriptView.of(edits.find_script(_live(call), call.path["script"]))


def put_script(call: Call, body: ScriptBody) -> PublishedView:
    """Add or replace a script."""
    script = body.script(call.path["script"])
    return _edit(call, edits.put_script(script), body.message or f"Put {script.kind} {script.name}")


def delete_script(call: Call) -> PublishedView:
    """Remove a script that no route leads to and no script requires."""
    return _edit(call, edits.delete_script(call.path["script"]), f"Delete {call.path['script'][:200]}")


def rename_script(call: Call, body: RenameBody) -> PublishedView:
    """Give a script another name; routes follow it, and importers when that is asked for."""
    old = call.path["script"]
    change = edits.rename_script(old, body.name, rewrite_importers=body.rewrite_importers)
    return _edit(call, change, body.message or f"Rename {old[:200]} to {body.name}")


def get_graph(call: Call, query: GraphQuery) -> GraphView:
    """Return the live import graph, or the part of it that reaches one script."""
    graph = call.services.publisher.graph(call.app().name)
    return GraphView.of(graph if query.reaching is None else graph.reaching(query.reaching))


def list_routes(call: Call) -> RouteList:
    """Return the routes that are live."""
    return RouteList(routes=[RouteView.of(route) for route in _live(call).routes])


def put_route(call: Call, body: RouteBody) -> PublishedView:
    """Add or replace a route."""
    route = body.route()
    return _edit(call, edits.put_route(route), f"Put route {route.method} {route.pattern}")


def delete_route(call: Call, query: RouteQuery) -> PublishedView:
    """Remove a route."""
    return _edit(call, edits.delete_route(query.method, query.pattern), f"Delete route {query.method} {query.pattern}")


def list_triggers(call: Call) -> TriggerList:
    """Return the triggers that are live."""
    return TriggerList(triggers=[LiveTriggerView.of(trigger) for trigger in _live(call).triggers])


def put_trigger(call: Call, body: TriggerBody) -> PublishedView:
    """Add or replace a trigger."""
    trigger = body.trigger(call.path["trigger"])
    return _edit(call, edits.put_trigger(trigger), f"Put trigger {trigger.name}")


def list_ticks(call: Call, query: TickQuery) -> TickList:
    """Return what became of a schedule's ticks, the latest first."""
    app, name = call.app(), call.path["trigger"]
    entries = call.services.schedules.ticks(app.id, name, query.limit)
    if not entries and all(trigger.name != name for trigger in _live(call).triggers):
        raise NotFound(f"There is no trigger {name[:80]!r}.")
    return TickList(ticks=[TickView.of(entry) for entry in entries])


def backfill(call: Call, body: BackfillBody) -> BackfillView:
    """Run the ticks of a schedule in a range after all."""
    app, name = call.app(), call.path["trigger"]
    made = call.services.schedules.backfill(
        app.id, name, body.range(), by=call.principal.name, again=body.again, dry_run=body.dry_run
    )
    return BackfillView.of(made, dry_run=body.dry_run)


def delete_trigger(call: Call) -> PublishedView:
    """Remove a trigger."""
    name = call.path["trigger"]
    return _edit(call, edits.delete_trigger(name), f"Delete trigger {name[:200]}")


def _live(call: Call) -> Manifest:
    return call.services.live.manifest(call.app().id)


def _edit(call: Call, change: edits.Edit, message: str) -> PublishedView:
    publisher = call.services.publisher
    return PublishedView.of(publisher.edit(call.app().name, change, author=call.principal.name, message=message))
