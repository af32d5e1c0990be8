"""What an author at the notebook sees of past runs, and what doing one again shows, changes and leaves behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from picloud.engine.log import Alert
from picloud.engine.run_input import INPUT_MAX_BYTES
from picloud.errors import InvalidInput, NotFound, PicloudError, RunInterrupted, ScriptError, ScriptRuntimeError
from picloud.model.http import Request
from picloud.model.release import Manifest
from picloud.model.route import Route
from picloud.model.run import RunRecord
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.cells import parse_cell
from picloud.settings import Settings
from picloud.storage.runs import RunFilter
from picloud.testing.processes import wait_until
from picloud_kernel import history
from picloud_kernel.commands import Commands
from picloud_kernel.display import Bundle
from picloud_kernel.runner import TAKEN_BACK, Runner
from picloud_kernel.session import Session
from tests.integration.triggers.conftest import World

HOSTILE = "<img src=x onerror=alert(1)>"
PAGE = "%%endpoint page POST /p/:id\n"
MAILER = "%%trigger mailer queue mails retries=0\n"


class Notebook:
    """A session on the app `shop`, the world its runs come from, and all that is shown."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.world = platform, World(platform)
        self.shown: list[Bundle] = []
        self.written: list[str] = []
        self.session = Session(lambda: nullcontext(platform), self.written.append)
        self.session.use_app("shop")
        self.runner = Runner(self.session, Commands(self.session, server_url=None), self.shown.append)

    def cell(self, source: str) -> str:
        """Run a cell; return all it shows, as text."""
        before = len(self.shown)
        self.runner.run(parse_cell(source), "cell 1")
        return "\n".join(str(bundle.data["text/plain"]) for bundle in self.shown[before:])

    @property
    def markup(self) -> str:
        """What was shown last, as HTML."""
        return str(self.shown[-1].data["text/html"])

    def call(self, request: Request, app: str = "shop") -> None:
        """Answer a request as the data plane does, also when the script fails."""
        dispatcher = self.platform.dispatcher
        with suppress(PicloudError):
            dispatcher.run(dispatcher.match(app, request.method, request.path), request)
        self.platform.history.flush()

    def send(self, lua: str) -> None:
        """Let scratch code cause what it causes, and work until nothing is left."""
        self.cell(lua)
        self.world.finish()
        self.platform.history.flush()

    def runs(self, app: str = "shop", **wanted: object) -> list[RunRecord]:
        app_id = self.platform.apps.get(app).id
        return self.platform.run_records.list(app_id, RunFilter(**wanted)).runs  # type: ignore[arg-type]

    def stored(self) -> dict[str, int]:
        """Return how much the apps have of what runs store."""
        tables = ("kv_entries", "documents", "events", "deliveries", "dead_letters", "runs", "procrastinate_jobs")
        return {table: self.world.count(table) for table in tables}


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path, database_url=SecretStr(database_url))) as opened:
        yield opened


@pytest.fixture
def notebook(platform: Platform) -> Notebook:
    return Notebook(platform)


def post(body: bytes = b"", **more: object) -> Request:
    return Request("POST", "/p/7", "req-7", body=body, **more)  # type: ignore[arg-type]


# %runs


def test_runs_are_listed_newest_first_with_how_they_ended(notebook: Notebook) -> None:
    notebook.cell(PAGE + "if request.params.id == '7' then error('no') end return 1")
    notebook.cell("%publish")
    notebook.call(post(principal="token:ci"))
    notebook.call(Request("POST", "/p/8", "req-8"))
    good, bad = notebook.runs()
    head, first, second = notebook.cell("%runs").split("\n")
    assert head.split() == ["run", "started", "what", "by", "result", "took", "runs", "principal"]
    assert first.startswith(good.id.hex[:8])
    assert "POST /p/8  endpoint page  succeeded 200" in first
    assert second.startswith(bad.id.hex[:8])
    assert "POST /p/7  endpoint page  failed script_runtime_error" in second
    assert second.endswith("token:ci")
    failed = notebook.cell("%runs --failed")
    assert bad.id.hex[:8] in failed
    assert good.id.hex[:8] not in failed


def test_runs_are_found_by_the_name_of_their_script_or_trigger(notebook: Notebook) -> None:
    notebook.cell(PAGE + "return 1")
    notebook.cell(MAILER + "log.info('x')")
    notebook.cell("%publish")
    notebook.call(post())
    notebook.send("queue.send('mails', 1)")
    assert "queue mails" in notebook.cell("%runs mailer")
    assert "POST" not in notebook.cell("%runs mailer")
    assert "queue mails" not in notebook.cell("%runs page")
    for nobody in ("\ud800", "%", "'"):
        assert "has no run of a script or trigger" in notebook.cell(f"%runs {nobody}")


def test_that_there_are_none_or_more_is_said(notebook: Notebook) -> None:
    with pytest.raises(NotFound, match="no app 'shop'"):
        notebook.cell("%runs")
    notebook.cell(PAGE + "return 1")
    notebook.cell("%publish")
    assert "has no run, as far" in notebook.cell("%runs")
    assert "within a second or two" in notebook.cell("%logs")
    assert "no failed run of a script or trigger 'page'" in notebook.cell("%runs page --failed")
    for _ in range(3):
        notebook.call(post())
    assert "There are older runs: '--limit 10' shows more" in notebook.cell("%runs --limit 2")
    assert "older" not in notebook.cell("%runs --limit 3")


def test_one_row_stands_for_many_that_were_alike(notebook: Notebook) -> None:
    notebook.cell(PAGE + "error('no')")
    notebook.cell("%publish")
    dispatcher = notebook.platform.dispatcher
    for number in range(60):
        with pytest.raises(ScriptError):
            dispatcher.run(dispatcher.match("shop", "POST", "/p/1"), Request("POST", "/p/1", str(number)))
    notebook.platform.history.flush()
    [many] = [run for run in notebook.runs() if run.alike > 1][:1]
    assert f"x{many.alike}" in notebook.cell("%runs --limit 100")
    assert f"stands for {many.alike} that were alike, without their lines" in notebook.cell(f"%logs {many.id}")
    with pytest.raises(NotFound, match=f"stands for {many.alike} that were alike.*'%runs \"page\"' lists"):
        notebook.cell(f"%replay {many.id}")
    with pytest.raises(ScriptRuntimeError):
        notebook.cell("%replay page")


def test_runs_of_another_app_with_the_same_names_are_never_seen(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "WAITED_S", 0.2)
    for app in ("shop", "other"):
        manifest = Manifest((Script("page", ScriptKind.ENDPOINT, "log.info('of other') error('no')"),))
        manifest = Manifest(manifest.scripts, (Route("POST", "/p/:id", "page"),))
        notebook.platform.publisher.publish(app, manifest, author="test", create=True)
    notebook.call(post(), app="other")
    [theirs] = notebook.runs("other")
    assert "has no run" in notebook.cell("%runs")
    assert "has no run" in notebook.cell("%logs page")
    assert "has no run" in notebook.cell(f"%logs {theirs.id}")
    for wanted in (str(theirs.id), theirs.id.hex[:8], "page"):
        with pytest.raises(NotFound, match="'%runs' lists"):
            notebook.cell(f"%replay {wanted}")


# %logs


def test_logs_have_time_run_level_message_and_fields(notebook: Notebook) -> None:
    notebook.cell(PAGE + "print('first') log.info('hello', {n = 1}) log.warn('careful') log.error('too late')")
    notebook.cell("%publish")
    notebook.call(post())
    [run] = notebook.runs()
    _head, *lines = notebook.cell("%logs").split("\n")
    began = f"{run.started_at.astimezone():%Y-%m-%d %H:%M:%S}  {run.id.hex[:8]}  "
    assert lines == [
        f"{began}print  first", f"{began}info   hello {{\"n\":1}}", f"{began}WARN   careful", f"{began}ERROR  too late",
    ]  # fmt: skip
    assert "--jp-error-color1" in notebook.markup
    assert "--jp-warn-color1" in notebook.markup
    for which in (str(run.id), run.id.hex[:8], "page"):
        assert notebook.cell(f"%logs {which}") == notebook.cell("%logs")


def test_logs_of_one_run_or_script_are_only_those(notebook: Notebook) -> None:
    notebook.cell(PAGE + "log.info('id ' .. request.params.id)")
    notebook.cell(MAILER + "log.info('mail')")
    notebook.cell("%publish")
    notebook.call(post())
    notebook.call(Request("POST", "/p/8", "req-8"))
    notebook.send("queue.send('mails', 1)")
    assert [line.split("  ")[-1].strip() for line in notebook.cell("%logs").split("\n")[1:]] == ["id 7", "id 8", "mail"]
    assert "id" not in notebook.cell("%logs mailer").partition("\n")[2]
    older = notebook.runs(script="page")[1]
    assert [line.split("  ")[-1].strip() for line in notebook.cell(f"%logs {older.id}").split("\n")[1:]] == ["id 7"]


def test_that_nothing_was_logged_is_said(notebook: Notebook) -> None:
    notebook.cell(PAGE + "return 1")
    notebook.cell("%publish")
    notebook.call(post())
    [run] = notebook.runs()
    assert notebook.cell(f"%logs {run.id}") == f"Run {run.id.hex[:8]} logged nothing."
    assert notebook.cell("%logs page") == "The newest 1 runs logged nothing."


def test_what_scripts_and_callers_write_is_never_markup_nor_another_line(notebook: Notebook) -> None:
    """Also not for a terminal: control characters and what turns text around are written out."""
    text = f"{HOSTILE}\\r\\n2026-01-01 00:00:00  forged\\27[31m\\0\u202e\\u{{e4}}"
    notebook.cell(f"%%endpoint page GET /*rest\nlog.error('{text}', {{ a = '{HOSTILE}' }}) error('{text}')")
    notebook.cell("%publish")
    path = f"/{HOSTILE}\n\x1b[31m\0ü\u202e"
    notebook.call(Request("GET", path, "req\n1", principal=HOSTILE, headers={"x-a": HOSTILE}, body=b"\xff"))
    for line in ("%runs", "%logs"):
        shown = notebook.cell(line)
        assert len(shown.split("\n")) == 2, shown
        assert not {"\x1b", "\0", "\r", "\u202e"} & set(shown)
        assert "<img" in shown
        assert "<img" not in notebook.markup
        assert "&lt;img" in notebook.markup
    before = len(notebook.shown)
    with pytest.raises(ScriptRuntimeError):
        notebook.cell("%replay page")
    for bundle in notebook.shown[before:]:
        assert "<img" not in str(bundle.data.get("text/html", ""))
        assert not {"\x1b", "\0", "\u202e"} & set(str(bundle.data["text/plain"]))


# %replay


ECHO = """
return {
  id = request.id, params = request.params, query = request.query, body = request.body,
  mine = request.headers["x-mine"], secret = request.headers.authorization, principal = request.principal,
}
"""


def test_the_same_request_goes_to_the_draft(notebook: Notebook) -> None:
    notebook.cell(PAGE + "error('not yet')")
    notebook.cell("%publish")
    headers = {"x-mine": "ä", "authorization": "Bearer hush"}
    notebook.call(post(b"b\xc3\xb6dy", query=(("q", "1"), ("q", "ü")), headers=headers, principal="token:ci"))
    notebook.cell(PAGE + ECHO)
    shown = notebook.cell("%replay page")
    answer = json.loads(shown[shown.index("\n{") : shown.rindex("}") + 1])
    assert answer == {
        "id": "req-7", "params": {"id": "7"}, "query": {"q": "1"}, "body": "bödy", "mine": "ä",
        "secret": "(not kept)", "principal": "token:ci",
    }  # fmt: skip
    assert "hush" not in shown
    assert "not kept of its query and headers, which may be secrets: authorization" in shown
    assert "failed after" in shown
    assert "script_runtime_error in page, line 1" in shown
    assert "-error('not yet')" in shown
    assert "+  id = request.id" in shown
    assert shown.endswith(TAKEN_BACK)


def test_what_a_replay_stores_and_sends_is_taken_back(notebook: Notebook) -> None:
    store = "kv.set('a', 1) docs.insert('c', {}) queue.send('mails', 1) pubsub.publish('news', 1) "
    store += "assert(dead_letters.redrive(dead_letters.list()[1].id)) "
    notebook.cell(PAGE + "error('not yet')")
    notebook.cell("%%trigger watch kv *\nlog.info('x')")
    notebook.cell("%%trigger mailer queue mails retries=0\nerror('no')")
    notebook.cell("%publish")
    notebook.call(post())
    notebook.send("queue.send('mails', 1)")
    before = notebook.stored()
    notebook.cell(PAGE + store + "transaction(function() kv.set('b', 1) end) return kv.get('a') + kv.get('b')")
    assert "200 OK" in notebook.cell("%replay page")
    notebook.cell(PAGE + store + "error('at the end')")
    with pytest.raises(ScriptRuntimeError):
        notebook.cell("%replay page")
    assert notebook.stored() == before


def test_the_same_messages_go_to_the_draft_with_their_ids_and_attempts(notebook: Notebook) -> None:
    notebook.cell("%%trigger mailer queue mails retries=1 batch=10\nerror('no luck')")
    notebook.cell("%publish")
    notebook.send("queue.send('mails', 'first') queue.send('mails', { to = 'ada' })")
    run = next(run for run in notebook.runs() if len(run.events) == 2)
    notebook.cell(
        "%%trigger mailer queue mails retries=1 batch=10\n"
        "for i, m in ipairs(event.messages) do print(i, m.id, m.attempt, json.encode(m.message)) end\n"
        "event.messages[#event.messages]:retry(30)"
    )
    before = notebook.stored()
    shown = notebook.cell(f"%replay {run.id.hex[:8]}")
    assert "".join(notebook.written).split("\n")[-3:-1] == [
        f'1\t{run.events[0]}\t1\t"first"', f'2\t{run.events[1]}\t1\t{{"to":"ada"}}',
    ]  # fmt: skip
    assert f"event {run.events[0]}, attempt 1" in shown
    assert "The script ended well and asked for more: message 2 would come again after 30 s. " + TAKEN_BACK in shown
    assert notebook.stored() == before
    later = notebook.runs()[0]
    assert "attempt 2" in notebook.cell(f"%replay {later.id}")


def test_what_a_script_said_of_its_messages_before_it_failed_is_told(notebook: Notebook) -> None:
    notebook.cell(MAILER + "error('no')")
    notebook.cell("%publish")
    notebook.send("queue.send('mails', 1)")
    notebook.cell(MAILER + "log.warn('soon')\nevent:ack()\nerror('still no')")
    with pytest.raises(ScriptRuntimeError, match="still no") as failed:
        notebook.cell("%replay mailer")
    assert (failed.value.script, failed.value.line) == ("mailer", 3)
    assert any(isinstance(text, Alert) and "soon" in text for text in notebook.written)
    assert notebook.shown[-1].data["text/plain"] == f"Before it failed it said: the message is done. {TAKEN_BACK}"
    assert "error('still no')" in notebook.runner.explain(failed.value).text()


def test_without_a_draft_it_is_what_is_live(notebook: Notebook) -> None:
    notebook.cell(MAILER + "error('no')")
    notebook.cell("%publish")
    notebook.send("queue.send('mails', 1)")
    notebook.cell("%reset --drafts")
    with pytest.raises(ScriptRuntimeError):
        notebook.cell("%replay mailer")
    assert "The script is as it was then" in str(notebook.shown[-2].data["text/plain"])
    notebook.cell(MAILER + "log.info('mended')")
    notebook.cell("%publish")
    notebook.cell("%reset --drafts")
    shown = notebook.cell("%replay mailer")
    assert "from what ran (-) to what is live (+)" in shown
    assert f"The script ended well. {TAKEN_BACK}" in shown


def test_limits_hold_and_are_those_of_the_trigger(notebook: Notebook) -> None:
    notebook.cell(MAILER + "error('no')")
    notebook.cell("%publish")
    notebook.send("queue.send('mails', 1)")
    notebook.cell("%%trigger mailer queue mails retries=0 timeout=0.05\nkv.set('a', 1) while true do end")
    with pytest.raises(ScriptError, match=r"0\.05"):
        notebook.cell("%replay mailer")
    assert notebook.world.count("kv_entries") == 0


def test_the_stop_button_ends_a_replay_and_nothing_stays(notebook: Notebook) -> None:
    notebook.cell(MAILER + "error('no')")
    notebook.cell("%publish")
    notebook.send("queue.send('mails', 1)")
    notebook.cell(MAILER + "kv.set('a', 1)\nprint('begun')\nwhile true do end")

    def stop() -> None:
        wait_until(lambda: "begun\n" in notebook.written)
        notebook.session.interrupt()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(RunInterrupted):
        notebook.cell("%replay mailer")
    stopper.join()
    assert notebook.world.count("kv_entries") == 0
    assert notebook.shown[-1].data["text/plain"] == TAKEN_BACK


def test_a_run_that_has_failed_just_now_is_waited_for(notebook: Notebook) -> None:
    notebook.cell(PAGE + "error('no')")
    notebook.cell("%publish")
    dispatcher = notebook.platform.dispatcher
    with pytest.raises(ScriptError):  # its note is written within a second, by the thread that does so
        dispatcher.run(dispatcher.match("shop", "POST", "/p/7"), post())
    notebook.cell(PAGE + "return 'mended'")
    assert "mended" in notebook.cell("%replay page")


def test_the_newest_failed_run_of_a_name_is_the_one(notebook: Notebook) -> None:
    notebook.cell(PAGE + "if request.params.id ~= '9' then error('no') end return 1")
    notebook.cell("%publish")
    for number, identity in enumerate("789"):
        notebook.call(Request("POST", f"/p/{identity}", f"req-{number}"))
    notebook.cell(PAGE + "return request.params.id")
    assert "POST /p/8" in notebook.cell("%replay page")


def test_what_cannot_be_done_again_is_said_with_what_to_do(notebook: Notebook) -> None:
    notebook.cell(PAGE + "error('no')")
    notebook.cell("%publish")
    notebook.call(post(bytes(INPUT_MAX_BYTES + 1)))
    with pytest.raises(NotFound, match=r"was not kept: it had \d+ bytes.*Send it again"):
        notebook.cell("%replay page")
    notebook.call(post())
    for unknown in ("0" * 8, "0193f4a8-0000-7000-8000-000000000000", "abc", "nothing"):
        with pytest.raises(NotFound, match="'%runs' lists the runs"):
            notebook.cell(f"%replay {unknown}")
    notebook.cell("%reset --drafts")
    notebook.platform.publisher.publish("shop", Manifest(), author="test")
    with pytest.raises(NotFound, match=r"There is no endpoint 'page' any more.*define it in a cell"):
        notebook.cell("%replay page")
    notebook.cell("%%module page\nreturn {}")
    with pytest.raises(NotFound, match="There is no endpoint 'page' any more"):
        notebook.cell("%replay page")


def test_ids_that_begin_alike_ask_for_more_digits(notebook: Notebook) -> None:
    notebook.cell(PAGE + "return 1")
    notebook.cell("%publish")
    notebook.call(post())
    [run] = notebook.runs()
    notebook.platform.run_records.add([replace(run, id=UUID(run.id.hex[:8] + "f" * 24))])
    for line in ("%replay", "%logs"):
        with pytest.raises(InvalidInput, match="more digits"):
            notebook.cell(f"{line} {run.id.hex[:8]}")
