"""Schedules as they are live. What becomes of their ticks is stored together with the events of those that run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import psycopg

from picloud.errors import Conflict, InvalidInput, NotFound, PicloudError
from picloud.model.app import AppId
from picloud.model.backfill import BACKFILL_MAX, Backfill, BackfillRange, choose_ticks
from picloud.model.calendar import zone
from picloud.model.cron import CronExpression, next_tick
from picloud.model.schedule import CLOCK_BACK_MAX, CatchUp, DueTick, LatePolicy, Outcome, PassedTicks, account
from picloud.model.trigger import Overlap, Trigger
from picloud.storage.apps import hold_app
from picloud.storage.database import Database
from picloud.storage.queries import load
from picloud.storage.storable import storable

RUNNING_MAX: Final = 1000
"""Ticks of one trigger that may wait or run at a time; more are skipped, so that a slow script cannot fill the disk."""

RAN: Final = "ran"
_MS: Final = timedelta(milliseconds=1)

_SQL = load("schedules.sql")

_log = logging.getLogger(__name__)

_expression = lru_cache(maxsize=4096)(CronExpression.parse)


class ScheduleKey(NamedTuple):
    """Names one schedule."""

    app_id: UUID
    trigger: str


class TickEntry(NamedTuple):
    """What became of ticks that follow one another."""

    first_at: datetime
    last_at: datetime
    ticks: int
    """How many there are from the first to the last."""
    outcome: str
    """`RAN`, or an `Outcome`."""
    late_ms: int | None
    """Of a tick that ran."""
    event_id: UUID | None
    """The event the script got, or will get."""
    cancelled_at: datetime | None
    """When a later tick ended the run of one that ran; None: it did not."""
    asked_by: str | None
    """Who had it run by a backfill."""


@dataclass(frozen=True, slots=True)
class _Schedule:
    """One that the transaction has locked."""

    key: ScheduleKey
    since: datetime
    accounted: datetime
    ran_until: datetime | None
    """Ticks up to here may have run already, when the clock was ahead; None: there are none."""
    expression: CronExpression
    zone: tzinfo
    late: LatePolicy
    overlap: Overlap

    @classmethod
    def of(
        cls, key: ScheduleKey, since: datetime, accounted: datetime, ran_until: datetime | None, source: str,
        options: Mapping[str, Any],
    ) -> _Schedule:  # fmt: skip
        late = LatePolicy(CatchUp(options["catch_up"]), round(options["late_max_s"] * 1000))
        overlap = Overlap(options["overlap"])
        place = zone(options["tz"])
        return cls(key, since, accounted, ran_until, _expression(source), place, late, overlap)

    def is_ahead_of(self, moment: datetime) -> bool:
        """Tell whether the clock was set back since, by more than is waited for."""
        return self.accounted > moment + CLOCK_BACK_MAX


class ScheduleRepository:
    """What the scheduler does with schedules. The database's clock is the clock; `now` stands in its place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: datetime | None = None) -> list[ScheduleKey]:
        """Return schedules that have ticks to account for, those that waited longest first."""
        values = {"now": now, "back_max": CLOCK_BACK_MAX}
        with self._database.lend() as connection:
            return [ScheduleKey(*row) for row in connection.execute(_SQL["due"], values)]

    def advance(self, key: ScheduleKey, now: datetime | None = None) -> bool:
        """Account for a schedule's ticks up to now, or for many of them, as one transaction.

        Returns False when nothing is due any more, or somebody else is at it.
        """
        with self._database.connection() as connection:
            values = {**key._asdict(), "now": now, "back_max": CLOCK_BACK_MAX}
            row = connection.execute(_SQL["take"], values).fetchone()
            if row is None:
                return False
            *stored, moment = row
            schedule = _Schedule.of(key, *stored)
            if schedule.is_ahead_of(moment):
                _set_back(connection, schedule, moment)
            else:
                _advance(connection, schedule, moment)
            return True

    def backfill(
        self, app_id: AppId, trigger: str, wanted: BackfillRange, *, by: str, again: bool = False,
        dry_run: bool = False, now: datetime | None = None,
    ) -> Backfill:  # fmt: skip
        """Run the ticks of a range, all or none; those that ran only when they are to run `again`.

        `by` says who asks; with `dry_run` nothing happens. Raises `NotFound` when there is no such trigger,
        `InvalidInput` when it is no schedule, the range is not over yet or has too many ticks, and `Conflict` when too
        many of earlier backfills wait.
        """
        key = ScheduleKey(app_id, trigger)
        if storable(trigger) != trigger:
            raise _no_trigger(trigger)
        with self._database.connection() as connection, connection.transaction(force_rollback=dry_run):
            hold_app(connection, app_id)
            row = connection.execute(_SQL["take_one"], {**key._asdict(), "now": now}).fetchone()
            if row is None:
                raise _no_schedule(connection, key)
            *stored, moment = row
            schedule = _Schedule.of(key, *stored)
            if wanted.end > moment:
                shown = moment.astimezone(schedule.zone).isoformat(timespec="seconds")
                raise InvalidInput(
                    f"The range ends in the future: it is {shown} now, and ticks that are to come run by themselves."
                )
            while schedule.accounted < moment:  # what is due runs first, and counts as having run
                schedule = replace(schedule, accounted=_advance(connection, schedule, moment))
            return _backfill(connection, schedule, wanted, moment, by, again=again)

    def ticks(self, app_id: AppId, trigger: str, limit: int) -> list[TickEntry]:
        """Return what became of a trigger's ticks, the latest first; also of a trigger that is gone."""
        if storable(trigger) != trigger:
            return []
        values = {"app_id": app_id, "trigger": trigger, "limit": limit}
        with self._database.lend() as connection:
            return [TickEntry(*row) for row in connection.execute(_SQL["list_ticks"], values)]

    def next_s(self) -> float | None:
        """Return the seconds to the next tick of any schedule, None without one."""
        row = self._database.fetch_one(_SQL["next_s"], {})
        return None if row is None else row[0]


def start_schedule(connection: psycopg.Connection, app_id: AppId, trigger: Trigger, moment: datetime) -> None:
    """Let a new trigger tick from `moment` on, in the caller's transaction."""
    next_at = next_tick(_expression(trigger.source), zone(trigger.tz), moment)
    values = {"app_id": app_id, "trigger": trigger.name, "moment": moment, "next_at": next_at}
    connection.execute(_SQL["start"], values)


def end_schedules(connection: psycopg.Connection, app_id: AppId, triggers: Sequence[str]) -> datetime:
    """Account for all ticks up to now, which is returned, in the caller's transaction, which deletes these triggers."""
    rows = connection.execute(_SQL["take_all"], {"app_id": app_id, "triggers": list(triggers)}).fetchall()
    moment = _clock(connection)
    for trigger, *stored in rows:
        key = ScheduleKey(app_id, trigger)
        schedule = _Schedule.of(key, *stored)
        if not schedule.is_ahead_of(moment):
            moment = max(moment, schedule.accounted)  # the clock may have gone back a little
        while schedule.accounted < moment:
            schedule = replace(schedule, accounted=_advance(connection, schedule, moment))
    return moment


def _no_trigger(name: str) -> NotFound:
    return NotFound(f"There is no trigger {name[:80]!r}.")


def _no_schedule(connection: psycopg.Connection, key: ScheduleKey) -> PicloudError:
    if connection.execute(_SQL["kind"], key._asdict()).fetchone() is None:
        return _no_trigger(key.trigger)
    return InvalidInput(f"The trigger {key.trigger} is no schedule: only ticks of cron triggers can be run after all.")


def _backfill(
    connection: psycopg.Connection, schedule: _Schedule, wanted: BackfillRange, now: datetime, by: str, *, again: bool
) -> Backfill:
    ticks = wanted.ticks(schedule.expression, schedule.zone)
    values = {**schedule.key._asdict(), **asdict(wanted)}
    ran = set() if again else {at for (at,) in connection.execute(_SQL["ran"], values)}
    chosen = choose_ticks(ticks, ran, schedule.zone)
    row = connection.execute(_SQL["count_backfilled"], values).fetchone()
    waiting = row[0] if row else 0
    if waiting + len(chosen.ticks) > BACKFILL_MAX:
        raise Conflict(
            f"{waiting} ticks of earlier backfills of {schedule.key.trigger} wait still, and with these there would be "
            f"more than {BACKFILL_MAX}: wait until they are done."
        )
    due = [DueTick(at, (now - at) // _MS, False) for at in chosen.ticks]
    if due:
        _add_runs(connection, schedule, due, now, asked_by=by)
    return chosen


def _clock(connection: psycopg.Connection) -> datetime:
    row = connection.execute(_SQL["clock"]).fetchone()
    assert row is not None  # noqa: S101  (a SELECT without FROM)
    moment: datetime = row[0]
    return moment


def _set_back(connection: psycopg.Connection, schedule: _Schedule, now: datetime) -> None:
    """Let a locked schedule that was seen to with a clock far ahead go on at the clock as it is."""
    values = {**schedule.key._asdict(), "now": now, "accounted": schedule.accounted}
    connection.execute(_SQL["set_back"], values | {"next_at": next_tick(schedule.expression, schedule.zone, now)})
    connection.execute(_SQL["hasten"], values)
    _log.warning("The clock was set back by %s: the schedule of %s goes on at once", schedule.accounted - now,
                 schedule.key.trigger, extra={"action": "clock_set_back", "trigger": schedule.key.trigger})  # fmt: skip


def _advance(connection: psycopg.Connection, schedule: _Schedule, now: datetime) -> datetime:
    """Account for ticks of a locked schedule; return up to when."""
    decided = account(schedule.expression, schedule.zone, schedule.accounted, now, schedule.late)
    if decided.passed is not None:
        _add_passed(connection, schedule, decided.passed)
    if decided.due:
        _add_due(connection, schedule, decided.due, now)
    next_at = next_tick(schedule.expression, schedule.zone, decided.until)
    connection.execute(_SQL["advance"], {**schedule.key._asdict(), "until": decided.until, "next_at": next_at})
    return decided.until


def _add_due(connection: psycopg.Connection, schedule: _Schedule, due: Sequence[DueTick], now: datetime) -> None:
    """Make events of these ticks, or of some, as the schedule's policy for overlaps has it."""
    due = _not_run(connection, schedule, due)
    if not due:
        return
    if schedule.overlap is Overlap.CANCEL:
        _add_left(connection, schedule, due[:-1], Outcome.SUPERSEDED)
        _cancel_runs(connection, schedule.key, now)
        due = due[-1:]
    room = _room(connection, schedule)
    _add_runs(connection, schedule, due[:room], now)
    _add_left(connection, schedule, due[room:], Outcome.OVERLAP)


def _not_run(connection: psycopg.Connection, schedule: _Schedule, due: Sequence[DueTick]) -> Sequence[DueTick]:
    """Leave out ticks that ran when the clock was ahead."""
    if schedule.ran_until is None or due[0].at > schedule.ran_until:
        return due
    values = {**schedule.key._asdict(), "ats": [tick.at for tick in due]}
    ran = {at for (at,) in connection.execute(_SQL["ran_at"], values)}
    return [tick for tick in due if tick.at not in ran]


def _add_left(connection: psycopg.Connection, schedule: _Schedule, left: Sequence[DueTick], outcome: Outcome) -> None:
    if left:
        _add_passed(connection, schedule, PassedTicks(left[0].at, left[-1].at, len(left), outcome))


def _cancel_runs(connection: psycopg.Connection, key: ScheduleKey, now: datetime) -> None:
    """Let runs of earlier ticks end, and forget those that wait to be run, for the first time or again."""
    values = {**key._asdict(), "now": now}
    connection.execute(_SQL["hold_runs"], values)
    if jobs := [job for (job,) in connection.execute(_SQL["drop_waiting"], values)]:
        connection.execute(_SQL["drop_jobs"], {"jobs": jobs})
    connection.execute(_SQL["cancel_running"], values)


def _room(connection: psycopg.Connection, schedule: _Schedule) -> int:
    """Return how many more ticks may wait or run now, beside those of a backfill."""
    limit = 1 if schedule.overlap is Overlap.SKIP else RUNNING_MAX
    row = connection.execute(_SQL["count_running"], {**schedule.key._asdict(), "limit": limit}).fetchone()
    return limit - (row[0] if row else 0)


def _add_runs(
    connection: psycopg.Connection, schedule: _Schedule, due: Sequence[DueTick], now: datetime,
    asked_by: str | None = None,
) -> None:  # fmt: skip
    """Make events of these ticks; `asked_by` says who asked for a backfill of them."""
    values = {
        **schedule.key._asdict(),
        "since": schedule.since,
        "now": now,
        "ids": [uuid4() for _ in due],
        "payloads": [_payload(tick, schedule.zone, asked_by is not None) for tick in due],
        "ats": [tick.at for tick in due],
        "outcome": RAN,
        "late_ms": [tick.late_ms for tick in due],
        "asked_by": asked_by,
    }
    connection.execute(_SQL["add_events"], values)
    if asked_by is not None:
        connection.execute(_SQL["add_backfilled"], values)
    connection.execute(_SQL["add_runs"], values)


def _payload(tick: DueTick, place: tzinfo, is_backfilled: bool) -> bytes:
    """Return what the script sees as `event.tick`."""
    return json.dumps(
        {
            "scheduled_at": round(tick.at.timestamp()),
            "scheduled_for": tick.at.astimezone(place).isoformat(),
            "late_ms": tick.late_ms,
            "caught_up": tick.is_caught_up,
            "backfilled": is_backfilled,
        }
    ).encode()


def _add_passed(connection: psycopg.Connection, schedule: _Schedule, passed: PassedTicks) -> None:
    values = {**schedule.key._asdict(), "since": schedule.since, "ran_until": schedule.ran_until}
    connection.execute(_SQL["add_passed"], values | asdict(passed))
