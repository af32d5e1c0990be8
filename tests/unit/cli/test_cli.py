from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from picloud.errors import ScriptError
from picloud.model.http import Request
from picloud.platform import open_platform
from picloud.settings import Settings
from picloud.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Done

    Picloud = Callable[..., Done]
    Notebook = Callable[..., str]

HELLO = "%%endpoint hello GET /hello/:name\nreturn { message = 'Hello, ' .. request.params.name }"
ECHO = "%%endpoint echo POST /echo\nreturn request.json"
BROKEN = "%%endpoint broken GET /broken\nlocal t = nil\nreturn t.x"


def test_version(picloud: Picloud) -> None:
    assert picloud("version").out == f"{__version__}\n"


def test_every_command_has_help(picloud: Picloud) -> None:
    for command in (
        "", "app", "call", "db", "dead-letter", "doctor", "lab", "publish", "release", "serve", "token", "trigger",
        "worker",
    ):  # fmt: skip
        done = picloud(*command.split(), "--help")
        assert done.code == 0
        assert done.out.startswith("Usage: picloud")


def test_wrong_usage_is_2(picloud: Picloud) -> None:
    assert picloud("publsh").code == 2
    assert picloud("publish").code == 2
    assert picloud("call", "GET", "/").code == 2
    assert picloud("serve", "--port", "x").code == 2


def test_apps_are_created_listed_and_deleted(picloud: Picloud) -> None:
    assert picloud("app", "create", "blog").out == "Created app blog.\n"
    assert picloud("app", "create", "shop", "--json").json()["name"] == "shop"
    assert [app["name"] for app in picloud("app", "list", "--json").json()] == ["blog", "shop"]
    assert "blog" in picloud("app", "list").out
    assert picloud("app", "delete", "blog", "--yes").code == 0
    again = picloud("app", "delete", "blog", "--yes")
    assert (again.code, again.err) == (1, "picloud: There is no app 'blog'.\n")


def test_an_app_moves_in_a_file(picloud: Picloud, notebook: Notebook, tmp_path: Path) -> None:
    picloud("publish", notebook(HELLO), "--app", "blog")
    file = str(tmp_path / "blog.gz")
    exported = picloud("app", "export", "blog", "-o", file)
    assert exported.out.startswith(f"Exported app blog to {file}: 1 sources, 1 releases.")
    assert picloud("app", "import", file).code == 1
    imported = picloud("app", "import", file, "--as", "copy")
    assert imported.out.startswith("Imported app copy: 1 sources, 1 releases.")
    assert picloud("call", "GET", "/hello/ada", "--app", "copy").out == '{"message":"Hello, ada"}\n'
    told = [picloud("app", "export", name, "-o", file, "--json").json() for name in ("blog", "blog", "copy")]
    assert told[0] == told[1]
    assert told[0]["rows"] == told[2]["rows"]
    assert told[0]["sha256"] != told[2]["sha256"]  # the header has the name
    assert picloud("app", "import", str(tmp_path / "none")).err.endswith("No such file or directory.\n")


def test_deleting_an_app_asks_first(picloud: Picloud) -> None:
    picloud("app", "create", "blog")
    unanswered = picloud("app", "delete", "blog")
    assert (unanswered.code, "--yes does it without asking" in unanswered.err) == (1, True)
    assert len(picloud("app", "list", "--json").json()) == 1


@pytest.mark.parametrize("name", ["Blog", "a\0b", "", "-"])
def test_a_name_that_is_none_is_said_in_a_sentence(picloud: Picloud, name: str) -> None:
    for command in ("create", "delete"):
        done = picloud("app", command, "--", name)
        assert done.code == 1
        assert done.err.startswith("picloud: ")
        assert "cannot name an app" in done.err


def test_publish_creates_the_app_says_so_and_plans(picloud: Picloud, notebook: Notebook) -> None:
    path = notebook(HELLO)
    plan = picloud("publish", path, "--app", "blog", "--plan")
    assert plan.code == 3
    assert "+ endpoint hello" in plan.out
    assert picloud("app", "list", "--json").json() == []
    published = picloud("publish", path, "--app", "blog", "-m", "first")
    assert published.code == 0
    assert published.out.splitlines()[0] == "Created app blog."
    assert "Release 1 of blog is live." in published.out
    again = picloud("publish", path, "--app", "blog", "--plan")
    assert (again.code, again.out) == (0, "Nothing changes.\n")
    as_json = picloud("publish", notebook(HELLO, ECHO), "--app", "blog", "--json").json()
    assert (as_json["release"], as_json["created_app"]) == (2, False)
    assert as_json["plan"]["added"] == ["endpoint echo", "route POST /echo"]


def test_publish_takes_the_app_the_notebook_names(picloud: Picloud, notebook: Notebook) -> None:
    assert "Created app named." in picloud("publish", notebook("%app named", HELLO)).out
    nameless = picloud("publish", notebook(HELLO))
    assert nameless.code == 1
    assert "--app" in nameless.err


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%endpoint x GET nowhere\nreturn 1", "cell 1"),
        ("%%endpoint x GET /x\nreturn = 1", "cell 1, x:1:"),
        ("%%module x\nprint(1)", "cell 1, x:1:"),
        ("%%module m\nreturn {}\n%%test t\nx =", "cell 1, m:2:"),
        ("%%nonsense", "cell 1"),
    ],
)
def test_a_notebook_that_cannot_be_published_changes_nothing(
    picloud: Picloud, notebook: Notebook, cell: str, said: str
) -> None:
    done = picloud("publish", notebook(cell), "--app", "blog")
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
    assert picloud("app", "list", "--json").json() == []


def test_a_failing_test_stops_the_publish(picloud: Picloud, notebook: Notebook) -> None:
    done = picloud("publish", notebook(HELLO, "%%test no\nassert(1 == 2)"), "--app", "blog")
    assert done.code == 1
    assert "1 of 1 tests failed" in done.err
    assert picloud("app", "list", "--json").json() == []


def test_a_file_that_is_no_notebook_is_said_in_a_sentence(picloud: Picloud, tmp_path: Path) -> None:
    assert picloud("publish", str(tmp_path / "none.ipynb"), "--app", "blog").code == 1
    (tmp_path / "text.ipynb").write_text("hello")
    done = picloud("publish", str(tmp_path / "text.ipynb"), "--app", "blog")
    assert (done.code, done.err.count("\n")) == (1, 1)


def test_call_prints_the_answer(picloud: Picloud, notebook: Notebook) -> None:
    picloud("publish", notebook(HELLO, ECHO, BROKEN), "--app", "blog")
    assert picloud("call", "GET", "/hello/ada", "--app", "blog").out == '{"message":"Hello, ada"}\n'
    assert picloud("call", "post", "/echo", "--app", "blog", "--json", '{"a":[1]}').out == '{"a":[1]}\n'
    missing = picloud("call", "GET", "/nope", "--app", "blog")
    assert (missing.code, missing.out) == (1, "")
    broken = picloud("call", "GET", "/broken", "--app", "blog")
    assert broken.code == 1
    assert "broken, line 2\n" in broken.err
    assert "--> 2 | return t.x\n      |        ^\n" in broken.err
    assert picloud("call", "GET", "/", "--app", "nobody").err == "picloud: There is no app 'nobody'.\n"


def test_releases_are_listed_and_rolled_back_to(picloud: Picloud, notebook: Notebook) -> None:
    picloud("publish", notebook(HELLO), "--app", "blog", "-m", "first")
    picloud("publish", notebook(ECHO), "--app", "blog", "-m", "second")
    releases = picloud("release", "list", "--app", "blog", "--json").json()
    assert [(release["number"], release["message"]) for release in releases] == [(2, "second"), (1, "first")]
    assert releases[0]["author"].startswith("cli:")
    assert "second" in picloud("release", "list", "--app", "blog").out
    assert "release 1 again" in picloud("release", "rollback", "1", "--app", "blog").out
    assert picloud("call", "GET", "/hello/ada", "--app", "blog").code == 0
    assert "Nothing changes" in picloud("release", "rollback", "1", "--app", "blog").out
    assert picloud("release", "rollback", "9", "--app", "blog").code == 1
    assert picloud("release", "rollback", "0", "--app", "blog").code == 2


def test_tokens_are_shown_once_listed_and_revoked(picloud: Picloud) -> None:
    picloud("app", "create", "blog")
    made = picloud(
        "token", "create", "--app", "blog", "--scope", "script:read", "--name", "ci", "--expires-days", "7", "--json"
    ).json()
    assert made["token"].startswith("pic_")
    assert (made["app"], made["scopes"], made["name"]) == ("blog", ["script:read"], "ci")
    listed = picloud("token", "list", "--app", "blog", "--json")
    assert [token["name"] for token in listed.json()] == ["ci"]
    assert made["token"] not in listed.out
    assert {token["name"] for token in picloud("token", "list", "--json").json()} == {"ci", "instance"}
    assert "(instance)" in picloud("token", "list").out
    assert picloud("token", "revoke", "ci", "--app", "blog").code == 0
    assert picloud("token", "revoke", "ci", "--app", "blog").code == 1


def test_a_token_alone_is_on_stdout(picloud: Picloud) -> None:
    done = picloud("token", "create", "--instance", "--scope", "script:read")
    assert done.out.strip().startswith("pic_")
    assert len(done.out.split()) == 1
    assert "not shown again" in done.err


def test_whose_token_must_be_said(picloud: Picloud) -> None:
    assert picloud("token", "create", "--scope", "script:read").code == 2
    assert picloud("token", "create", "--app", "a", "--instance", "--scope", "script:read").code == 2
    assert picloud("token", "create", "--instance").code == 2
    assert picloud("token", "create", "--instance", "--scope", "everything").code == 2
    assert picloud("token", "create", "--app", "nobody", "--scope", "script:read").code == 1


def test_the_database_is_found_and_up_to_date(picloud: Picloud, database_url: str) -> None:
    assert picloud("db", "url").out.strip() == database_url
    assert picloud("db", "migrate").out == "The schema is up to date.\n"
    assert picloud("db", "migrate", "--json").json() == {"applied": []}


def test_migrate_says_what_it_applied(
    picloud: Picloud, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICLOUD_DATABASE_URL", empty_database_url)
    assert "0001_base.sql" in picloud("db", "migrate", "--json").json()["applied"]


def test_the_database_is_backed_up_and_restored(
    picloud: Picloud, notebook: Notebook, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picloud("publish", notebook(HELLO), "--app", "blog")
    file = str(tmp_path / "picloud.dump")
    assert picloud("db", "backup", file).out == f"Wrote the database to {file}.\n"
    assert "not empty" in picloud("db", "restore", file).err
    monkeypatch.setenv("PICLOUD_DATABASE_URL", empty_database_url)
    assert picloud("db", "restore", file).out == f"Restored the database from {file}.\n"
    assert picloud("call", "GET", "/hello/ada", "--app", "blog").out == '{"message":"Hello, ada"}\n'


def test_doctor_names_each_check(picloud: Picloud, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {finding["check"]: finding for finding in picloud("doctor", "--json").json()}
    assert set(checks) == {"database", "migrations", "row security", "kernelspec", "data plane"}
    assert checks["database"]["ok"]
    assert checks["migrations"]["ok"]
    assert checks["row security"]["ok"]
    monkeypatch.setenv("PICLOUD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    sick = picloud("doctor")
    assert sick.code == 1
    assert "FAILED  database" in sick.out


@pytest.mark.parametrize(("name", "value"), [("PICLOUD_PORT", "99999"), ("PICLOUD_RUN_TIMEOUT_S", "soon")])
def test_a_setting_that_is_wrong_is_named(
    picloud: Picloud, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = picloud("app", "list")
    assert done.code == 1
    assert done.err.startswith(f"picloud: {name}: ")


def test_a_password_in_a_wrong_setting_is_not_printed(picloud: Picloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICLOUD_DATABASE_URL", "postgresql://u:hunter2@[bad")
    done = picloud("app", "list")
    assert done.code == 1
    assert "hunter2" not in done.out + done.err


MODULE = '%%module greet\nreturn { hello = function(name) return "hello " .. name end }'
USES = '%%endpoint uses GET /uses\nreturn require("greet").hello("ada")'
TESTS = '%%test "uses it"\nexpect(call("GET", "/uses").body):equals("hello ada")'


def test_several_notebooks_and_a_folder_are_one_app(picloud: Picloud, notebook: Notebook, tmp_path: Path) -> None:
    module, uses = notebook(MODULE, name="folder/a.ipynb"), notebook("%app shop", USES, TESTS, name="folder/b.ipynb")
    assert picloud("publish", module, uses).code == 0
    assert picloud("call", "GET", "/uses", "--app", "shop").out == "hello ada\n"
    again = picloud("publish", str(tmp_path / "folder"), "--plan")
    assert (again.code, again.out) == (0, "Nothing changes.\n")
    notebook(MODULE.replace("hello ", "hi "), name="folder/a.ipynb")
    failed = picloud("publish", str(tmp_path / "folder"))
    assert failed.code == 1
    assert f"test uses it (cell 3 of {tmp_path / 'folder' / 'b.ipynb'}), line 1: expected" in failed.err
    assert "it reaches greet, which changed" in failed.err
    plan = picloud("publish", str(tmp_path / "folder"), "--plan")
    assert plan.code == 3
    assert "? test uses it (reaches greet)" in plan.out
    assert '-return { hello = function(name) return "hello " .. name end }' in plan.out
    releases = picloud("release", "list", "--app", "shop", "--json").json()
    assert [release["notebook"] for release in releases] == ["a.ipynb, b.ipynb"]


def test_a_publish_is_forced_with_a_reason_that_is_kept(picloud: Picloud, notebook: Notebook) -> None:
    path = notebook(HELLO, "%%test no\n\nassert(1 == 2, 'never')")
    for wrong in (["--force"], ["--reason", "x"], ["--force", "--reason", ""]):
        assert picloud("publish", path, "--app", "blog", *wrong).code == 2
    done = picloud("publish", path, "--app", "blog", "--force", "--reason", "in a hurry", "-m", "first")
    assert done.code == 0
    assert "! test no failed: never" in done.out
    assert "first (forced: in a hurry)" in picloud("release", "list", "--app", "blog").out
    [release] = picloud("release", "list", "--app", "blog", "--json").json()
    assert release["forced"] == {
        "reason": "in a hurry",
        "failures": [{"test": "no", "message": "never", "line": 2, "at": None}],
    }
    picloud("publish", notebook(HELLO), "--app", "blog")
    assert picloud("release", "rollback", "1", "--app", "blog").code == 1
    assert picloud("release", "rollback", "1", "--app", "blog", "--force", "--reason", "back").code == 0


def test_a_publish_on_another_base_is_refused(picloud: Picloud, notebook: Notebook) -> None:
    assert picloud("publish", notebook(HELLO), "--app", "blog", "--base", "0").code == 0
    assert picloud("publish", notebook(ECHO), "--app", "blog", "--plan", "--json").json()["base"] == 1
    late = picloud("publish", notebook(ECHO), "--app", "blog", "--base", "0")
    assert late.code == 1
    assert "release 1 by cli:" in late.err
    assert picloud("publish", notebook(ECHO), "--app", "blog", "--base", "1").code == 0


def test_a_release_is_shown_and_called(picloud: Picloud, notebook: Notebook) -> None:
    picloud("publish", notebook(HELLO), "--app", "blog", "-m", "first")
    picloud("publish", notebook(HELLO.replace("Hello", "Good day"), ECHO), "--app", "blog")
    shown = picloud("release", "show", "1", "--app", "blog").out
    assert "first" in shown
    assert "  endpoint hello" in shown
    assert "  endpoint echo" not in shown
    changed = picloud("release", "show", "2", "--app", "blog", "--diff").out
    assert any(line.startswith("-") and "Hello" in line for line in changed.splitlines())
    as_json = picloud("release", "show", "2", "--app", "blog", "--diff", "--json").json()
    assert [change["entry"] for change in as_json["changes"]] == ["endpoint echo", "endpoint hello", "route POST /echo"]
    assert picloud("release", "show", "9", "--app", "blog").code == 1
    old = picloud("call", "GET", "/hello/ada", "--app", "blog", "--release", "1")
    assert old.out == '{"message":"Hello, ada"}\n'
    assert "no release 9" in picloud("call", "GET", "/hello/ada", "--app", "blog", "--release", "9").err
    assert picloud("call", "POST", "/echo", "--app", "blog", "--json", "{}", "--release", "1").code == 1


def test_what_was_called_is_in_the_history(picloud: Picloud, notebook: Notebook) -> None:
    picloud("publish", notebook(HELLO, BROKEN), "--app", "blog")
    with open_platform(Settings()) as platform:
        for path in ("/hello/a\x1b[31mda", "/broken"):
            match = platform.dispatcher.match("blog", "GET", path)
            with suppress(ScriptError):
                platform.dispatcher.run(match, Request("GET", path, "request"))
    failed, called = picloud("run", "list", "--app", "blog", "--json").json()
    assert (failed["subject"], failed["status"], called["status"]) == ("GET /broken", "failed", "succeeded")
    table = picloud("run", "list", "--app", "blog").out
    assert "\x1b" not in table
    assert "GET /hello/a\\u001b[31mda" in table
    only = picloud("run", "list", "--app", "blog", "--status", "failed", "--script", "broken", "--json").json()
    assert only == [failed]
    shown = picloud("run", "show", failed["id"][:8], "--app", "blog", "--json").json()
    assert failed.items() <= shown.items()
    assert shown["error_line"] == 2
    assert "error_line: 2\n" in picloud("run", "show", failed["id"], "--app", "blog").out
    assert picloud("run", "show", "0" * 8, "--app", "blog").code == 1
    assert picloud("run", "list", "--app", "blog", "--status", "good").code == 2


def test_an_app_says_how_long_its_runs_are_kept(picloud: Picloud) -> None:
    picloud("app", "create", "blog")
    said = {"app": "blog", "runs_kept_days": 7, "is_own": False}
    assert picloud("app", "retention", "blog", "--json").json() == said
    changed = picloud("app", "retention", "blog", "--runs-days", "0", "--json").json()
    assert changed == said | {"runs_kept_days": 0, "is_own": True}
    assert picloud("app", "retention", "blog").out.startswith("Runs of blog that ended well are kept for 0 days")
    assert picloud("app", "retention", "blog", "--default", "--json").json() == said
    assert picloud("app", "retention", "blog", "--default", "--runs-days", "1").code == 2
    assert picloud("app", "retention", "nobody").code == 1


def test_a_plan_tells_when_triggers_retry_and_tick_next(picloud: Picloud, notebook: Notebook) -> None:
    path = notebook('%%trigger nightly cron "0 3 * * *" jitter=0 retries=1\nreturn 1')
    plan = picloud("publish", path, "--app", "blog", "--plan").out.splitlines()
    assert "  trigger nightly: retries at +5 s, then a dead letter" in plan
    assert sum(line.startswith("  trigger nightly: ticks ") and line.count("03:00:00+00:00") == 5 for line in plan) == 1
    [trigger] = picloud("publish", path, "--app", "blog", "--plan", "--json").json()["triggers"]
    assert (trigger["name"], trigger["retries_at_s"], len(trigger["next"])) == ("nightly", [5], 5)


def test_ticks_are_run_after_all(picloud: Picloud, notebook: Notebook) -> None:
    path = notebook('%%trigger hourly cron "0 * * * *" tz=Asia/Tokyo\nreturn 1', "%%trigger t topic t\nreturn 1")
    picloud("publish", path, "--app", "blog")
    ask = ("trigger", "backfill", "hourly", "--app", "blog", "--from", "2025-01-01T00:00:00Z")
    until = ("--to", "2025-01-01T01:30:00Z")
    ticks = ["2025-01-01T09:00:00+09:00", "2025-01-01T10:00:00+09:00"]
    assert picloud(*ask, *until, "--dry-run").out.splitlines() == [*ticks, "2 ticks would be run."]
    assert picloud(*ask, *until).out.splitlines() == [*ticks, "2 ticks will be run."]
    assert picloud(*ask, *until).out == "0 ticks will be run, 2 ran before: --again runs those, too.\n"
    told = picloud(*ask, *until, "--again", "--dry-run", "--json").json()
    assert told == {"app": "blog", "trigger": "hourly", "dry_run": True, "ran_before": 0, "ticks": ticks}
    for wrong, message in (
        ("2024-01-01T00:00:00Z", "ends before it begins"), ("yesterday", "is not like 2026-07-31T14:00:00Z"),
        ("9998-01-01T00:00:00Z", "in the future"), ("2025-12-01T00:00:00Z", "at most"),
    ):  # fmt: skip
        done = picloud(*ask, "--to", wrong)
        assert done.code == 1
        assert message in done.err
    assert "no schedule" in picloud("trigger", "backfill", "t", *ask[3:], *until).err
    for none in ("x", "\udcff", "x" * 1000):
        assert "no trigger" in picloud("trigger", "backfill", none, *ask[3:], *until).err
    for none in ("nobody", "\udcff", "a" * 1000):
        done = picloud("trigger", "backfill", "hourly", "--app", none, *ask[5:], *until)
        assert (done.code, done.err.startswith("picloud: There is no app ")) == (1, True)
