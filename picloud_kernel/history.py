"""The line magics that look at past runs: `%runs`, `%logs`, and what `%replay` needs of one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from picloud.engine.run_input import INPUT_MAX_BYTES, RunInput
from picloud.errors import NotFound
from picloud.model.app import AppId
from picloud.model.identity import is_id, short_id
from picloud.model.run import RunRecord
from picloud.model.trigger import Trigger
from picloud.publishing.cells import RUNS_SHOWN, RUNS_SHOWN_MAX, Logs, Runs
from picloud.publishing.diff import changes
from picloud.storage.runs import RunFilter, RunPage
from picloud_kernel.display import Bundle, changes_bundle, text
from picloud_kernel.runs import FAILED, logs_bundle, run_text, runs_bundle
from picloud_kernel.session import Session

_LOOKED_THROUGH: Final = 50
"""Failed runs among which one with its input is looked for."""
WAITED_S: Final = 3.0
"""For the first failed run of a script or trigger."""
_POLL_S: Final = 0.1
_SOON: Final = "A run is listed within a second or two of its end."


@dataclass(frozen=True, slots=True)
class Past:
    """A run that can be done again."""

    script: str
    given: RunInput
    timeout_s: float | None
    """Of its trigger; None: that of all runs."""
    shown: Bundle
    """What it was, and what has changed since."""


class History:
    """Looks at the runs of the app a session works on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def runs(self, command: Runs) -> Bundle:
        """Return the newest runs as a table."""
        wanted = RunFilter(name=command.name, statuses=FAILED if command.failed else None)
        page = self._list(wanted, command.limit)
        if not page.runs:
            return text(f"{self._nothing(command.name, 'failed run' if command.failed else 'run')} {_SOON}")
        more = min(RUNS_SHOWN_MAX, 5 * command.limit)
        shows_more = "" if more == command.limit else f": '--limit {more}' shows more of them"
        return runs_bundle(page.runs, "" if page.next is None else f"There are older runs{shows_more}.")

    def logs(self, command: Logs) -> Bundle:
        """Return what the newest runs logged, or one, as a table."""
        one = self._by_id(command.of)
        page = RunPage([one]) if one else self._list(RunFilter(name=command.of), RUNS_SHOWN)
        if not page.runs:
            return text(f"{self._nothing(command.of, 'run')} {_SOON}")
        if one and one.alike > 1:
            return text(f"{_stands_for(one)}, without their lines.")
        if not any(run.details["log"] for run in page.runs):
            which = f"Run {short_id(one.id)}" if one else f"The newest {len(page.runs)} runs"
            return text(f"{which} logged nothing.")
        return logs_bundle(page.runs, "There are older runs: '%logs RUN' shows the lines of one." if page.next else "")

    def past(self, wanted: str) -> Past:
        """Return the run with this id, or the newest failed one of the script or trigger of this name.

        Raises `NotFound` when it is not kept, or its input is not.
        """
        run = self._by_id(wanted) or self._newest_failed(wanted)
        given = self._given(run)
        return Past(run.script, given, self._timeout_s(run), self._shown(run, given))

    def _newest_failed(self, name: str) -> RunRecord:
        """Return it; when there is none, wait as long as a process may take to write what has just failed."""
        until = time.monotonic() + (WAITED_S if self._is_known(name) else 0.0)
        while True:
            page = self._list(RunFilter(name=name, statuses=FAILED), _LOOKED_THROUGH)
            for run in page.runs:
                if run.alike == 1:
                    return self._get(str(run.id))
            if time.monotonic() >= until:
                break
            time.sleep(_POLL_S)
        raise NotFound(
            f"{self._nothing(name, 'failed run')} Nor is there a run with such an id: '%runs' lists the runs there "
            f"are. {_SOON}"
        )

    def _by_id(self, wanted: str | None) -> RunRecord | None:
        """Return the run with this id, None when that is no id, or a name that looks like one."""
        if wanted is None or not is_id(wanted):
            return None
        try:
            return self._get(wanted)
        except NotFound:
            return None

    def _given(self, run: RunRecord) -> RunInput:
        if run.alike > 1:
            raise NotFound(
                f"{_stands_for(run)}, without their inputs: replay one of the runs before it, which "
                f"'%runs \"{run.trigger or run.script}\"' lists."
            )
        if run.input is None:
            large = f"it had {run.input_bytes} bytes, and at most {INPUT_MAX_BYTES} are kept"
            why = large if run.input_bytes > INPUT_MAX_BYTES else "the app had more runs at once than are kept whole"
            raise NotFound(
                f"The input of run {short_id(run.id)} was not kept: {why}. Send it again, with '%call' or from a "
                "scratch cell."
            )
        return RunInput.model_validate_json(run.input)

    def _timeout_s(self, run: RunRecord) -> float | None:
        if run.trigger is None:
            return None
        trigger = self._triggers().get(run.trigger)
        return None if trigger is None else trigger.timeout_s

    def _triggers(self) -> dict[str, Trigger]:
        """Return the drafts, and what is live behind them, by name."""
        live = self._session.platform.publisher.live(self._session.app_name).triggers
        return {found.name: found for found in (*live, *self._session.app.manifest().triggers)}

    def _is_known(self, name: str) -> bool:
        return name in self._session.app.view()[0] or name in self._triggers()

    def _shown(self, run: RunRecord, given: RunInput) -> Bundle:
        """Return what the run was, and how the script in this session differs from what ran."""
        head = run_text(run, given)
        scripts, _routes = self._session.app.view()
        now = scripts.get(run.script)
        if now is None:
            return text(head)
        here = "the draft" if self._session.app.draft(run.script) else "what is live"
        if now.version == run.version:
            return text(f"{head}\nThe script is as it was then; modules it requires may have changed.")
        then = self._session.platform.run_records.source(run.app_id, run.version)
        if then is None:
            return text(f"{head}\nWhat ran then, version {run.version[:8]}, is not kept: {here} is another.")
        entry = f"{now.kind} {now.name}"
        differing = changes({entry: then}, {entry: now.source}, [entry])
        return changes_bundle(f"{head}\nChanged since, from what ran (-) to {here} (+):", differing)

    def _nothing(self, name: str | None, what: str) -> str:
        of = "" if name is None else f" of a script or trigger {name!r}"
        return f"The app {self._session.app_name} has no {what}{of}, as far as its history goes back."

    def _list(self, wanted: RunFilter, limit: int) -> RunPage:
        return self._session.platform.run_records.list(self._app_id, wanted, limit=limit)

    def _get(self, identity: str) -> RunRecord:
        return self._session.platform.run_records.get(self._app_id, identity)

    @property
    def _app_id(self) -> AppId:
        return self._session.platform.apps.get(self._session.app_name).id


def _stands_for(run: RunRecord) -> str:
    return f"Run {short_id(run.id)} stands for {run.alike} that were alike"
