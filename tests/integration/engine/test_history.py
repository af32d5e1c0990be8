"""The history of runs: every run is in it, errors first, and no run waits for it or fails because of it."""

from __future__ import annotations

import gc
import weakref
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from picloud.engine import history
from picloud.engine.history import ALIKE_MAX, ROOM_BYTES
from picloud.engine.log import KEPT_BYTES_MAX
from picloud.engine.run_input import INPUT_MAX_BYTES, NOT_KEPT, RunInput
from picloud.errors import DatabaseUnavailable, InvalidInput, NotFound, ScriptError
from picloud.model.http import Request
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.run import RunRecord, RunStatus
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.settings import Settings
from picloud.storage.database import Database, connect
from picloud.storage.embedded import Lease
from picloud.storage.runs import ANY, RunFilter, RunRepository
from picloud.testing.processes import wait_until
from tests.integration.sdk.conftest import Lua, lua, open_app, platform

__all__ = ["lua", "open_app", "platform"]


FAILED = RunFilter(statuses=[RunStatus.FAILED])


class World:
    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def publish(self, source: str, app: str = "shop") -> None:
        script = Script("page", ScriptKind.ENDPOINT, source)
        routes = (Route("GET", "/p/:id", "page"), Route("POST", "/p/:id", "page"))
        self.platform.publisher.publish(app, Manifest((script,), routes), author="test", create=True)

    def call(self, request: Request | None = None, app: str = "shop") -> None:
        request = request or Request("GET", "/p/1", "request-1")
        dispatcher = self.platform.dispatcher
        dispatcher.run(dispatcher.match(app, request.method, request.path), request)

    def fail(self, request: Request | None = None) -> None:
        with pytest.raises(ScriptError):
            self.call(request)

    def runs(self, wanted: RunFilter = ANY, app: str = "shop", limit: int = 500) -> list[RunRecord]:
        self.platform.history.flush()
        return self.platform.run_records.list(self.platform.apps.get(app).id, wanted, limit=limit).runs

    def get(self, run: RunRecord, app: str = "shop") -> RunRecord:
        return self.platform.run_records.get(self.platform.apps.get(app).id, str(run.id))


@pytest.fixture
def world(platform: Platform) -> World:
    return World(platform)


def test_a_run_is_there_with_whom_it_answered_and_what_it_used(world: World) -> None:
    world.publish("log.info('hello', {n = 1}) print('x') return {id = request.params.id}, 201")
    request = Request("POST", "/p/7", "req-7", (("q", "ä"), ("q", "2")), {"x-a": "b"}, b"\xff\0", "token:ci")
    world.call(request)
    [run] = world.runs()
    assert (run.kind, run.script, run.subject, run.principal) == ("endpoint", "page", "POST /p/7", "token:ci")
    assert (run.status, run.code, run.message, run.http_status) == (RunStatus.SUCCEEDED, None, None, 201)
    assert (run.request_id, run.trigger, run.events, run.redrives, run.alike) == ("req-7", None, (), None, 1)
    live = world.platform.live.read(world.platform.apps.get("shop").id)
    assert (run.version, run.revision) == (live.scripts[0].script.version, live.revision)
    assert run.duration_ms > 0
    assert run.details["used"]["wall_ms"] == run.duration_ms
    assert [(line["level"], line["message"]) for line in run.details["log"]] == [("info", "hello"), ("print", "x")]
    kept = world.get(run).input
    assert kept
    assert RunInput.model_validate_json(kept) == RunInput(request=request, params={"id": "7"})


def test_a_failed_run_has_its_error_and_where_it_is(world: World) -> None:
    world.publish("local x = 1\nlog.warn('soon')\nerror('no \\0 luck')")
    world.fail()
    [run] = world.runs(FAILED)
    assert (run.status, run.code, run.http_status) == (RunStatus.FAILED, "script_runtime_error", None)
    assert run.message == "no \N{REPLACEMENT CHARACTER} luck"
    assert (run.details["script"], run.details["line"]) == ("page", 3)
    assert run.details["traceback"]
    assert [line["message"] for line in run.details["log"]] == ["soon"]


@pytest.mark.parametrize("answer", ["nil, 99", "'x', 200, {['x-a'] = 'b\\nc'}", "'x', 200, {['x a'] = 'b'}"])
def test_an_answer_that_cannot_go_out_is_a_failed_run(world: World, answer: str) -> None:
    world.publish(f"return {answer}")
    world.fail()
    [run] = world.runs()
    assert (run.status, run.code) == (RunStatus.FAILED, "invalid_response")


def test_what_the_caller_sent_wrong_is_not_the_scripts_failure(world: World) -> None:
    world.publish("return request.json")
    with pytest.raises(InvalidInput):
        world.call(Request("POST", "/p/1", "r", (), {"content-type": "application/json"}, b"{"))
    [run] = world.runs()
    assert (run.status, run.code) == (RunStatus.REFUSED, "invalid_input")


def test_secrets_of_the_caller_are_not_kept(world: World) -> None:
    world.publish("return 1")
    secret = (
        "authorization", "proxy-authorization", "cookie", "x-api-key", "x-gitlab-token", "x-csrftoken", "x-auth",
        "x-goog-iap-jwt-assertion", "x-webhook-secret", "x-session-id", "php-auth-password",
    )  # fmt: skip
    headers = dict.fromkeys(secret, "hush") | {"accept": "a/b", "x-author": "ada", "x-hub-signature-256": "seen"}
    query = (("access_token", "hush"), ("API-Key", "hush"), ("sid", "hush"), ("side", "seen"), ("key", "seen"))
    world.call(Request("GET", "/p/1", "r", query, headers))
    [run] = world.runs()
    kept = world.get(run).input
    assert kept
    assert b"hush" not in kept
    found = RunInput.model_validate_json(kept).request
    assert found
    assert found.headers == headers | dict.fromkeys(secret, NOT_KEPT)
    assert found.query == tuple((name, NOT_KEPT if value == "hush" else value) for name, value in query)


def test_a_large_input_is_told_and_not_kept(world: World) -> None:
    world.publish("return 1")
    world.call(Request("POST", "/p/1", "r", (), {}, bytes(INPUT_MAX_BYTES + 1)))
    [run] = world.runs()
    assert world.get(run).input is None
    assert run.input_bytes > INPUT_MAX_BYTES


def test_of_many_that_are_alike_the_others_are_counted(world: World) -> None:
    """A flood takes few rows, and pushes no other run out."""
    world.publish("if request.params.id == '2' then error('no') end return 1")
    world.runs()  # from here on nobody flushes until all have run
    for number in range(ALIKE_MAX + 30):
        world.call(Request("GET", "/p/1", f"request-{number}"))
    world.fail(Request("GET", "/p/2", "bad"))
    runs = world.runs()
    assert sum(run.alike for run in runs) == ALIKE_MAX + 31
    assert len(runs) <= 2 * ALIKE_MAX + 3, "a flush by the clock may have come in between"
    assert [run.request_id for run in runs if run.status is RunStatus.FAILED] == ["bad"]
    for run in runs:
        assert run.duration_ms > 0
        if run.alike > 1:
            assert (run.request_id, run.input_bytes, run.details["log"]) == (None, 0, [])


def test_a_row_that_counts_runs_never_looks_like_one_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FLUSH_S", 600.0)
    world.publish("return 1")
    for number in range(ALIKE_MAX + 1):
        world.call(Request("GET", "/p/1", f"request-{number}"))
    runs = world.runs()
    assert [(run.request_id, run.alike) for run in runs if run.alike > 1] == [(None, 2)]
    assert {run.request_id for run in runs if run.alike == 1} == {f"request-{n}" for n in range(ALIKE_MAX - 1)}


def test_runs_go_on_while_the_database_is_away_and_their_notes_wait(
    embedded_server: Lease, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(database_url), database_timeout_s=0.2)
    name = str(conninfo_to_dict(database_url)["dbname"])
    with open_platform(settings) as platform, connect(embedded_server.conninfo("postgres")) as connection:
        world = World(platform)
        world.publish("return 1")
        match = platform.dispatcher.match("shop", "GET", "/p/1")
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        for turn in range(2):
            for number in range(ALIKE_MAX):
                request = Request("GET", "/p/1", f"{turn}-{number}")
                assert platform.dispatcher.run(match, request).status == 200
            with pytest.raises(DatabaseUnavailable):
                platform.history.flush()
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        wait_until(lambda: flushed(platform))
        runs = world.runs()
    assert sum(run.alike for run in runs) == 2 * ALIKE_MAX
    assert [run.alike for run in runs if run.alike > 1] == [ALIKE_MAX], "what waits stays small"
    assert {run.request_id for run in runs} == {None, *(f"0-{number}" for number in range(ALIKE_MAX))}


def flushed(platform: Platform) -> bool:
    try:
        platform.history.flush()
    except DatabaseUnavailable:
        return False
    return True


def test_notes_wait_while_the_database_takes_nothing(world: World) -> None:
    """A full disk is no reason to lose them; and once the database has written them, they are there once."""
    world.publish("return 1")
    world.runs()
    with world.platform.database.connection() as connection:
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE TRIGGER full_disk BEFORE INSERT ON runs EXECUTE FUNCTION full_disk()")
    world.call()
    with pytest.raises(DatabaseUnavailable):
        world.platform.history.flush()
    with world.platform.database.connection() as connection:
        connection.execute("DROP TRIGGER full_disk ON runs")
    [run] = world.runs()
    world.platform.run_records.add([run])
    assert len(world.runs()) == 1


def test_a_note_the_database_refuses_is_lost_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.publish("return 1")
    world.call()
    [run] = world.runs()
    added = [replace(run, id=uuid4(), request_id=str(number), alike=number % 7) for number in range(15)]
    world.platform.run_records.add(added)
    refused = [record for record in added if not record.alike]
    assert {found.id for found in world.runs()} == {run.id, *(record.id for record in added if record.alike)}
    assert len(refused) == 3
    for record in refused:
        assert f"{record.id} is refused" in caplog.text


def test_a_run_that_cannot_be_noted_disturbs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither itself, nor other notes, nor later ones."""
    world.publish("return 1")
    world.call()
    with pytest.raises(UnicodeEncodeError):
        world.call(Request("GET", "/p/\ud800", "half a pair"))
    world.call(Request("GET", "/p/2", "later"))
    assert [run.request_id for run in world.runs()] == ["later", "half a pair", "request-1"]
    monkeypatch.setattr(history, "request_input", None)
    world.call(Request("GET", "/p/3", "not noted"))
    monkeypatch.undo()
    world.call(Request("GET", "/p/4", "last"))
    assert [run.request_id for run in world.runs()] == ["last", "later", "half a pair", "request-1"]


def test_what_waits_of_an_app_stays_small_and_errors_have_a_part_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a caller can choose how a run ends, and with what input."""
    monkeypatch.setattr(history, "FLUSH_S", 600.0)  # from here on nobody flushes until all have run
    world.publish(
        "log.info('x') if request.params.id == '1' then error('no') end return 1, tonumber(request.params.id)"
    )
    world.publish("return 1", "other")
    large = bytes(INPUT_MAX_BYTES - 500)
    statuses = ROOM_BYTES // INPUT_MAX_BYTES + 20
    twice = statuses - 5
    for status in (*range(200, 200 + statuses), *range(200, 200 + twice)):
        world.call(Request("POST", f"/p/{status}", f"request-{status}", (), {}, large))
    world.fail(Request("POST", "/p/1", "bad", (), {}, large))
    world.call(Request("POST", "/p/1", "its own room", (), {}, large), app="other")
    runs = [world.get(run) for run in world.runs()]
    assert sum(run.alike for run in runs) == statuses + twice + 1
    assert {run.http_status for run in runs} == {None, *range(200, 200 + statuses)}, "one of each is kept"
    assert 0 < sum(len(run.input or b"") * 3 // 4 for run in runs) < ROOM_BYTES / 2 + 3 * INPUT_MAX_BYTES
    for run in runs:
        told = "x" if run.input else "(its lines are left out: the app had more runs at once than are kept whole)"
        assert [line["message"] for line in run.details["log"]] == ([told] if run.alike == 1 else [])
    [bad] = [run for run in runs if run.request_id == "bad"]
    [other] = world.runs(app="other")
    assert bad.input
    assert world.get(other, "other").input


def test_a_run_that_failed_is_not_held_by_its_error(world: World) -> None:
    """Else the requests of a flood of errors would fill the memory until Python looks for cycles."""

    class Headers(dict[str, str]):
        """What a weak reference can be had of."""

    world.publish("error('no')")
    gc.collect()
    gc.disable()
    try:
        headers = Headers()
        seen = weakref.ref(headers)
        world.fail(Request("GET", "/p/1", "r", (), headers))
        del headers
        assert seen() is None
    finally:
        gc.enable()


def test_a_long_line_is_cut_and_does_not_silence_what_was_logged_before(world: World) -> None:
    world.publish(f"log.info('first') log.warn(('x'):rep({KEPT_BYTES_MAX}), {{n = 1}}) log.info('last')")
    world.call()
    [run] = world.runs()
    first, long = run.details["log"]
    assert first["message"] == "first"
    assert long == {"level": "warn", "message": "x" * (KEPT_BYTES_MAX - 5) + "…"}


def test_runs_of_an_app_that_is_deleted_are_forgotten_alone(world: World) -> None:
    world.publish("return 1")
    world.publish("return 1", "other")
    world.call()
    world.call(app="other")
    world.platform.apps.delete("shop")
    assert len(world.runs(app="other")) == 1


def test_what_is_called_alike_in_two_apps_is_apart(world: World) -> None:
    world.publish("return 1")
    world.publish("error('no')", "other")
    world.call()
    with pytest.raises(ScriptError):
        world.call(app="other")
    [run], [other] = world.runs(), world.runs(app="other")
    assert (run.status, other.status) == (RunStatus.SUCCEEDED, RunStatus.FAILED)
    with pytest.raises(NotFound):
        world.get(other)


def test_the_last_notes_are_written_when_the_platform_closes(database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(database_url))
    with open_platform(settings) as platform:
        world = World(platform)
        world.publish("return 1")
        world.call()
    with open_platform(settings) as platform:
        assert len(World(platform).runs()) == 1


def test_runs_are_found_by_what_they_are(world: World) -> None:
    world.publish("if request.params.id == '2' then error('no') end return 1")
    world.call(Request("GET", "/p/1", "first"))
    world.fail(Request("GET", "/p/2", "second"))
    world.call(Request("GET", "/p/1", "third"))
    assert [run.request_id for run in world.runs()] == ["third", "second", "first"]
    assert [run.request_id for run in world.runs(FAILED)] == ["second"]
    assert [run.request_id for run in world.runs(RunFilter(request_id="first"))] == ["first"]
    assert len(world.runs(RunFilter(script="page"))) == 3
    assert len(world.runs(RunFilter(name="page"))) == 3
    assert world.runs(RunFilter(script="other")) == world.runs(RunFilter(trigger="page")) == []
    for nobody in ("other", "a\0", "\ud800", "%"):
        assert world.runs(RunFilter(name=nobody)) == world.runs(RunFilter(request_id=nobody)) == []


def test_pages_hold_every_run_once(world: World) -> None:
    world.publish("return 1")
    for number in range(7):
        world.call(Request("GET", "/p/1", f"request-{number}"))
    world.platform.history.flush()
    app_id, seen, before = world.platform.apps.get("shop").id, [], None
    while True:
        page = world.platform.run_records.list(app_id, limit=3, before=before)
        seen += [run.request_id for run in page.runs]
        before = page.next
        if before is None:
            break
    assert seen == [f"request-{number}" for number in reversed(range(7))]


def test_the_beginning_of_an_id_is_enough(world: World) -> None:
    world.publish("return 1")
    world.call()
    [run] = world.runs()
    runs, app_id = world.platform.run_records, world.platform.apps.get("shop").id
    assert runs.get(app_id, str(run.id)[:8]).id == runs.get(app_id, run.id.hex.upper()).id == run.id
    with pytest.raises(NotFound, match="has no run"):
        runs.get(app_id, "0" * 32)
    for wrong in ("", "1234567", "x" * 8, "1" * 33, "%" * 8):
        with pytest.raises(InvalidInput, match="first 8 characters"):
            runs.get(app_id, wrong)


def test_ids_that_begin_alike_are_refused(world: World) -> None:
    world.publish("return 1")
    world.call()
    [run] = world.runs()
    same = UUID(run.id.hex[:8] + "f" * 24)
    world.platform.run_records.add([replace(run, id=same)])
    with pytest.raises(InvalidInput, match="more digits"):
        world.platform.run_records.get(run.app_id, run.id.hex[:8])


def test_the_newest_of_each_way_to_end_are_kept(world: World) -> None:
    world.publish("if request.params.id == '2' then error('no') end return 1")
    for number in range(5):
        world.fail(Request("GET", "/p/2", f"bad-{number}"))
    for number in range(9):
        world.call(Request("GET", "/p/1", f"good-{number}"))
    world.platform.history.flush()
    assert world.platform.run_records.delete_surplus(5) == 4
    assert {run.request_id for run in world.runs()} == {
        *(f"bad-{number}" for number in range(5)),
        *(f"good-{number}" for number in range(4, 9)),
    }
    assert world.platform.run_records.delete_surplus(5) == 0
    assert world.platform.run_records.delete_surplus(0) == 10


def test_many_runs_are_trimmed_soon(world: World) -> None:
    """Each minute: the time must not grow with the square of what is kept."""
    kept, surplus = 20_000, 10
    world.publish("return 1")
    world.call()
    world.platform.history.flush()
    with world.platform.database.connection() as connection:
        connection.execute(
            "INSERT INTO runs (app_id, id, kind, script, version, revision, subject, events, status, started_at, "
            "duration_ms, alike, details, input_bytes) SELECT app_id, gen_random_uuid(), kind, script, version, "
            "revision, subject, events, status, started_at, duration_ms, alike, details, input_bytes "
            "FROM runs, generate_series(2, %s)",
            (kept + surplus,),
        )
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE \"{name}\" SET statement_timeout = '5s'")  # it takes 20 ms
    database = Database(world.platform.database.conninfo, pool_size=1, timeout_s=5)
    with closing(database):
        database.open()
        assert RunRepository(database).delete_surplus(kept) == surplus


def test_an_app_has_its_own_days_and_what_failed_is_kept_longer(world: World) -> None:
    world.publish("if request.params.id == '2' then error('no') end return 1")
    world.publish("return 1", "other")
    world.call()
    world.call(app="other")
    world.fail(Request("GET", "/p/2", "bad"))
    world.platform.history.flush()
    with world.platform.database.connection() as connection:
        connection.execute("UPDATE runs SET started_at = started_at - interval '3 days'")
    runs, app_id = world.platform.run_records, world.platform.apps.get("shop").id
    assert runs.kept_days(app_id) is None
    runs.keep_days(app_id, 2)
    assert runs.kept_days(app_id) == 2
    assert runs.delete_old(7, 90) == 1
    assert [run.request_id for run in world.runs()] == ["bad"]
    assert len(world.runs(app="other")) == 1
    runs.keep_days(app_id, None)
    assert runs.delete_old(7, 2) == 1


def test_a_session_at_the_notebook_leaves_no_runs(world: World, lua: Lua) -> None:
    world.publish("return 1")
    lua.session.call("GET", "/p/1")
    assert world.runs() == []
