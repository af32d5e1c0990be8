"""Operations on the history of runs."""

from __future__ import annotations

from picloud.storage.runs import RunFilter
from picloud.web.api.operation import Call
from picloud.web.api.run_models import RetentionBody, RetentionView, RunDetails, RunList, RunQuery


def list_runs(call: Call, query: RunQuery) -> RunList:
    """Return an app's runs, newest first."""
    wanted = RunFilter(
        script=query.script,
        trigger=query.trigger,
        statuses=None if query.status is None else (query.status,),
        request_id=query.request_id,
        event=query.event,
        redrives=query.redrives,
    )
    page = call.services.run_records.list(call.app().id, wanted, limit=query.limit, before=query.before)
    return RunList.of(page)


def get_run(call: Call) -> RunDetails:
    """Return one run with its input and what it logged."""
    return RunDetails.of(call.services.run_records.get(call.app().id, call.path["run"]))


def get_retention(call: Call) -> RetentionView:
    """Return how long the app's runs are kept."""
    settings = call.services.settings
    own = call.services.run_records.kept_days(call.app().id)
    return RetentionView(
        runs_kept_days=settings.runs_kept_days if own is None else own,
        is_own=own is not None,
        failed_runs_kept_days=settings.failed_runs_kept_days,
        runs_kept=settings.runs_kept,
    )


def put_retention(call: Call, body: RetentionBody) -> RetentionView:
    """Say how long the app's runs are kept."""
    call.services.run_records.keep_days(call.app().id, body.runs_kept_days)
    return get_retention(call)
