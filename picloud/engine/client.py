"""Who runs an endpoint: this process, or another node's data plane.

A `Call` holds plain values only, so it can go anywhere. Whoever has found the script already says so with a
`ScriptIdentity`: the local form then looks nothing up, and its states have the code compiled under that version. To
another node the identity is of no use, since its caches are its own: there the plain call goes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from picloud.engine.executor import Executor, Observe
from picloud.engine.history import RunHistory, Watched
from picloud.engine.turns import Turns
from picloud.model.app import AppId
from picloud.model.http import Request, Response
from picloud.model.script import LinkedScript
from picloud.modules.source import Snapshot, routed_script


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one endpoint of an app at one revision."""

    app_id: AppId
    app: str
    """Its name."""
    revision: int
    """The one the route was found in; scripts and modules of the run are those of this revision."""
    script: str
    """Name of the endpoint."""
    params: Mapping[str, str]
    """Values of the route's `:name` and `*name` segments."""
    request: Request
    deadline: float | None = None
    """When the run must have ended, in `time.monotonic()` of this process; the limits of whoever runs it apply as well.
    None: they alone do."""


@dataclass(frozen=True, slots=True)
class ScriptIdentity:
    """The script of a call, by its version, and the snapshot it was found in."""

    script: LinkedScript
    snapshot: Snapshot


class ExecutorClient(ABC):
    """Answers calls, from any thread.

    Raises `ScriptError`, `PlatformError`, `AppBusy`, `NotFound` for a script that is gone, `InvalidInput` for a body
    that is not JSON, and `StaleRevision` when the revision is not to be had any more: find the route again then.
    `observe` gets the report of the run before that, when there was a run.
    """

    @abstractmethod
    def execute(self, call: Call, *, observe: Observe | None = None) -> Response:
        """Run the endpoint of a call."""

    def execute_with_identity(
        self, _identity: ScriptIdentity, call: Call, *, observe: Observe | None = None
    ) -> Response:
        """Run a script the caller has found already; where that is of no use, make the plain call."""
        return self.execute(call, observe=observe)


SnapshotAt = Callable[[str, AppId, int], Snapshot]
"""Finds an app, by name and id, at a revision; raises `NotFound` or `StaleRevision`."""


class LocalExecutor(ExecutorClient):
    """Runs calls in this process, and notes them in the history; an app gets no more than its turns."""

    def __init__(self, snapshot_at: SnapshotAt, executor: Executor, turns: Turns, history: RunHistory) -> None:
        self._snapshot_at = snapshot_at
        self._executor = executor
        self._turns = turns
        self._history = history

    def execute(self, call: Call, *, observe: Observe | None = None) -> Response:
        """Look the script up and run it."""
        snapshot = self._snapshot_at(call.app, call.app_id, call.revision)
        identity = ScriptIdentity(routed_script(snapshot, call.script), snapshot)
        return self.execute_with_identity(identity, call, observe=observe)

    def execute_with_identity(
        self, identity: ScriptIdentity, call: Call, *, observe: Observe | None = None
    ) -> Response:
        """Run the script."""
        watched = Watched(observe)
        note = partial(
            self._history.endpoint, identity.snapshot.app, identity.script, call.request, call.params, watched
        )
        with self._turns.turn(call.app_id):
            left_s = None if call.deadline is None else max(0.0, call.deadline - time.monotonic())
            try:
                response = self._executor.endpoint(
                    identity.snapshot.app,
                    identity.script,
                    identity.snapshot,
                    call.request,
                    call.params,
                    timeout_s=left_s,
                    observe=watched.observe,
                    lines=watched.lines,
                )
            except Exception as error:  # in no variable that outlives this: with its frames it holds the request
                note(error)
                raise
        note(response)
        return response

    def interrupt(self) -> None:
        """End all that this process runs now with `RunInterrupted`, from any thread, tests of a publish included."""
        self._executor.interrupt()
