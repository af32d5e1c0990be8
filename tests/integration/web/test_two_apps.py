"""Two apps that call everything alike: whatever happens in one, the other neither changes nor shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from picloud.engine.history import Watched
from picloud.model.app import App
from picloud.model.run import ENDPOINT, RunRecord, RunStatus
from picloud.platform import Platform
from picloud.web.api.operation import Operation
from picloud.web.api.operations import OPERATIONS
from tests.integration.letters import bury

if TYPE_CHECKING:
    from tests.integration.web.conftest import Answer, Client, TokenMaker

API = "/api/v1"
OURS, THEIRS = "alpha", "bravo"
RUN = UUID(int=2**127)
LETTER = UUID(int=7)
"""Of a dead letter both apps have."""
REQUEST_ID = {"X-Request-Id": "the-same-for-all"}
NO_TENANTS = {"apps", "schema_migrations"}
UNIQUE_OVER_ALL_APPS = {"tokens_pkey", "tokens_hash_key", "tokens_name"}
"""A token may belong to no app; its id and hash are random."""


def manifest(app: str, version: int) -> dict[str, Any]:
    """All apps have the same names; each version of each app has texts of its own."""
    texts = {
        "who": f'return {{ text = require("shared").text .. " {version}" }}',
        "shared": f'return {{ text = "{app} {version}" }}',
        "spare": f'return "spare {app}"',
        **({"only_there": 'return { text = "bravo secret" }'} if app == THEIRS else {}),
    }
    routes = [{"method": "GET", "pattern": "/who", "script": "who", "timing": app == THEIRS}]
    return {
        "scripts": [
            {"name": name, "kind": "endpoint" if name in ("who", "spare") else "module", "source": text}
            for name, text in texts.items()
        ],
        "routes": [*routes, {"method": "GET", "pattern": "/private", "script": "who", "auth": "token"}],
        "triggers": [{"name": "watch", "kind": "kv", "source": "x", "script": "who"}],
        "tests": [{"name": "own", "source": f'expect(require("shared").text):equals("{app} {version}")'}],
    }


@dataclass(frozen=True)
class Case:
    """How to call one operation, and what it does for a token of the app."""

    data: Any = None
    query: str = ""
    shows: str = ""
    """What only our own app's answer holds."""
    changes: bool = False
    status: int | None = None
    """Where it is not the operation's own: what concerns all apps is not for a token of one."""


PUBLISH = {"manifest": manifest(OURS, 9), "create": True}
CASES: Mapping[str, Case] = {
    "list_apps": Case(shows=OURS),
    "create_app": Case({"name": THEIRS}, status=403),
    "get_app": Case(shows=OURS),
    "delete_app": Case(status=403),
    "list_scripts": Case(shows='"spare"'),
    "get_script": Case(shows="spare alpha"),
    "put_script": Case({"kind": "endpoint", "source": "return 1"}, changes=True, shows='"changed":["endpoint spare"]'),
    "delete_script": Case(changes=True, shows='"removed":["endpoint spare"]'),
    "rename_script": Case({"name": "spade"}, changes=True, shows="endpoint spade"),
    "get_graph": Case(shows='"imports":["shared"]'),
    "list_routes": Case(shows='"/who","script":"who","auth":"public","timing":false'),
    "put_route": Case({"method": "GET", "pattern": "/new", "script": "spare"}, changes=True, shows="route GET /new"),
    "delete_route": Case(query="?method=GET&pattern=/who", changes=True, shows='"removed":["route GET /who"]'),
    "list_triggers": Case(shows='"kind":"kv","source":"x","script":"who"'),
    "put_trigger": Case(
        {"kind": "topic", "source": "t", "script": "who"}, changes=True, shows='"changed":["trigger watch"]'
    ),
    "list_ticks": Case(shows='{"ticks":[]}'),
    "list_runs": Case(shows='"subject":"GET /alpha"'),
    "get_run": Case(shows='"subject":"GET /alpha"'),
    "get_retention": Case(shows='"is_own":false'),
    "put_retention": Case({"runs_kept_days": 3}, changes=True, shows='"is_own":true'),
    "backfill": Case(
        {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, status=400, shows="watch is no schedule"
    ),
    "delete_trigger": Case(changes=True, shows='"removed":["trigger watch"]'),
    "plan_release": Case({"manifest": PUBLISH["manifest"]}, shows='"unchanged":["endpoint spare"'),
    "list_releases": Case(shows="message 2 of alpha"),
    "create_release": Case(PUBLISH, changes=True, shows='"unchanged":["endpoint spare"'),
    "get_release": Case(shows="alpha 1"),
    "get_difference": Case(shows='"entry":"module shared"'),
    "list_dead_letters": Case(shows="letter of alpha"),
    "get_dead_letter": Case(shows='"input":"alpha secret"'),
    "redrive_dead_letter": Case({}, changes=True, shows="event_id"),
    "discard_dead_letter": Case(changes=True),
    "redrive_dead_letters": Case({"filter": {}}, changes=True, shows='"outcome":"redriven"'),
    "discard_dead_letters": Case({"ids": [str(LETTER)]}, changes=True, shows='"outcome":"discarded"'),
    "roll_back": Case(changes=True, shows='"changed":["module shared","endpoint who","test own"]'),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def run_of(app: App) -> RunRecord:
    """Both apps have a run of one id."""
    return RunRecord(
        id=RUN, app_id=app.id, kind=ENDPOINT, script="who", version="0" * 64, revision=1, trigger=None,
        subject=f"GET /{app.name}", principal=None, request_id=None, events=(), redrives=None,
        status=RunStatus.SUCCEEDED, code=None, message=None, http_status=200, started_at=app.created_at,
        duration_ms=1.0, alike=1, details=Watched().details(None), input=None, input_bytes=0,
    )  # fmt: skip


class Apps:
    """Both apps, with a token of ours and one of the instance."""

    def __init__(self, platform: Platform, client: Client, make_token: TokenMaker) -> None:
        self.platform, self.client = platform, client
        self.root = make_token(None)
        for app in (OURS, THEIRS):
            platform.apps.create(app)
            for version in (1, 2):
                self.publish(app, version)
            platform.run_records.add([run_of(platform.apps.get(app))])
            self.bury(app)
        self.token, self.their_token = make_token(OURS), make_token(THEIRS)

    def bury(self, app: str) -> None:
        with self.platform.database.connection() as connection:
            connection.execute("DELETE FROM dead_letters WHERE app_id = (SELECT id FROM apps WHERE name = %s)", [app])
        bury(
            self.platform, app, id=LETTER, event_id=LETTER, trigger="watch", script="who", message=f"letter of {app}",
            payload=f'"{app} secret"',
        )  # fmt: skip

    def publish(self, app: str, version: int) -> None:
        data = {"manifest": manifest(app, version), "message": f"message {version} of {app}", "create": True}
        assert self.admin("POST", f"/apps/{app}/releases", data, token=self.root).status == 201

    def admin(self, method: str, path: str, data: object = None, token: str | None = None) -> Answer:
        return self.client(method, API + path, token=token or self.token, data=data, headers=REQUEST_ID)

    def call(self, operation: Operation, app: str, token: str | None = None, *, there: bool = True) -> Answer:
        """Call the operation on an app, for a script and release that are there, or that are nowhere."""
        case = CASES[operation.name]
        values = {"script": "spare", "number": "1", "trigger": "watch", "run": RUN.hex, "letter": str(LETTER)}
        if not there:
            nowhere = UUID(int=8)
            values = {"script": "none", "number": "99", "trigger": "none", "run": "0" * 32, "letter": str(nowhere)}
        return self.admin(operation.method, operation.path.format(app=app, **values) + case.query, case.data, token)

    def run(self, app: str, path: str = "/who", token: str | None = None) -> Answer:
        return self.client("GET", f"/run/{app}{path}", token=token, headers=REQUEST_ID)

    def dump(self, app: str) -> list[tuple[Any, ...]]:
        """Every row the app has, and which transaction wrote it; but for its runs, of which any call makes one."""
        with self.platform.database.connection() as connection:
            select = sql.SQL("SELECT tableoid::regclass::text, xmin::text, t::text FROM {} AS t WHERE {} = %s")
            tables = [("apps", "id"), *((table, "app_id") for table in tenant_tables(connection) if table != "runs")]
            rows = [
                connection.execute(select.format(*map(sql.Identifier, names)), [self.platform.apps.get(app).id])
                for names in tables
            ]
            return sorted(row for found in rows for row in found)

    def seen(self, app: str, token: str) -> list[Any]:
        """Everything the app answers over HTTP, but for the list of its runs: to ask makes more of them."""
        reads = [operation for operation in OPERATIONS if operation.method == "GET" and "{app}" in operation.path]
        reads = [operation for operation in reads if operation.name != "list_runs"]
        answers = [self.call(operation, app, token) for operation in reads]
        runs = [self.run(app), self.run(app, "/private", token), self.run(app, "/private"), self.run(app, "/none")]
        return [(answer.status, answer.body) for answer in (*answers, *runs)]


@pytest.fixture
def apps(platform: Platform, client: Client, make_token: TokenMaker) -> Apps:
    return Apps(platform, client, make_token)


def tenant_tables(connection: psycopg.Connection) -> list[str]:
    query = "SELECT table_name::text FROM information_schema.columns WHERE column_name = 'app_id' ORDER BY 1"
    return [name for (name,) in connection.execute(query)]


@every_operation
def test_on_our_app_it_works_and_leaves_theirs_alone(apps: Apps, operation: Operation) -> None:
    case, ours, theirs = CASES[operation.name], apps.dump(OURS), apps.dump(THEIRS)
    answer = apps.call(operation, OURS)
    assert answer.status == (case.status or operation.status)
    assert case.shows in answer.body.decode()
    assert THEIRS not in answer.body.decode()
    assert (apps.dump(OURS) != ours) == case.changes
    assert apps.dump(THEIRS) == theirs


@every_operation
def test_on_their_app_it_answers_as_if_there_were_none(apps: Apps, operation: Operation) -> None:
    before = apps.dump(OURS), apps.dump(THEIRS)
    foreign = [apps.call(operation, THEIRS, there=there) for there in (True, False)]
    assert (apps.dump(OURS), apps.dump(THEIRS)) == before
    apps.platform.apps.delete(THEIRS)
    absent = [apps.call(operation, THEIRS, there=there) for there in (True, False)]
    assert foreign == absent
    if "{app}" in operation.path:
        assert {answer.status for answer in foreign} == {404}


def test_a_token_opens_the_script_routes_of_its_own_app_only(apps: Apps) -> None:
    assert apps.run(OURS, "/private", apps.token).json() == {"text": "alpha 2 2"}
    assert apps.run(THEIRS, "/who", apps.token).json() == {"text": "bravo 2 2"}
    foreign = apps.run(THEIRS, "/private", apps.token)
    apps.platform.apps.delete(THEIRS)
    assert foreign.status == 404
    assert foreign == apps.run(THEIRS, "/private", apps.token)


@pytest.mark.parametrize("ours", [True, False], ids=["our token", "no token"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/none"), ("POST", "/none"), ("GET", ""), ("DELETE", "/private"), ("OPTIONS", "/private")],
)
def test_a_path_of_theirs_that_is_not_for_us_is_told_like_an_app_that_is_not_there(
    apps: Apps, method: str, path: str, ours: bool
) -> None:
    def call() -> Answer:
        token = apps.token if ours else None
        return apps.client(method, f"/run/{THEIRS}{path}", token=token, headers=REQUEST_ID)

    foreign = call()
    apps.platform.apps.delete(THEIRS)
    assert foreign.status == 404
    assert foreign == call()


def test_a_wrong_method_is_told_the_methods_the_caller_may_use(apps: Apps) -> None:
    assert apps.client("DELETE", f"/run/{THEIRS}/who", token=apps.token).headers["allow"] == "GET, HEAD"
    assert apps.client("DELETE", f"/run/{OURS}/private", token=apps.token).headers["allow"] == "GET, HEAD"


def test_what_is_not_ours_costs_the_same_as_what_is_not_there(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is asked the same, so the time tells nothing: what remains is a look into a table in memory."""
    statements: list[object] = []
    execute = psycopg.Connection.execute

    def recorded(connection: psycopg.Connection, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(query)
        return execute(connection, query, *arguments, **options)

    def asked() -> list[object]:
        statements.clear()
        apps.run(THEIRS, "/none", apps.token)
        apps.run(THEIRS, "/private", apps.token)
        for operation in OPERATIONS:
            if "{app}" in operation.path:
                apps.call(operation, THEIRS)
        return list(statements)

    apps.run(THEIRS)
    monkeypatch.setattr(psycopg.Connection, "execute", recorded)
    foreign = asked()
    apps.platform.apps.delete(THEIRS)
    assert len(foreign) > len(OPERATIONS)
    assert foreign == asked()


def test_no_change_of_ours_changes_what_theirs_answers(apps: Apps) -> None:
    rows, seen = apps.dump(THEIRS), apps.seen(THEIRS, apps.their_token)
    assert [status for status, _ in seen[-4:]] == [200, 200, 401, 404]
    changes = [operation.name for operation in OPERATIONS if CASES[operation.name].changes]
    for name in (*changes, "delete_app", "create_release"):
        operation = next(operation for operation in OPERATIONS if operation.name == name)
        apps.publish(OURS, 2)
        apps.bury(OURS)
        assert apps.call(operation, OURS, apps.root).status == operation.status, name
        assert apps.seen(THEIRS, apps.their_token) == seen, name
        assert apps.dump(THEIRS) == rows, name
    assert apps.admin("GET", f"/apps/{OURS}").status == 401, "our token outlived our first app"


def test_a_module_of_theirs_is_not_there_for_ours(apps: Apps) -> None:
    def attempt(name: str) -> list[bytes]:
        source = f'local m = require("{name}") return m.text'
        data = {"manifest": {"tests": [{"name": "reach", "source": source}]}}
        refused = apps.admin("POST", f"/apps/{OURS}/releases", data)
        assert (refused.status, refused.error["code"]) == (422, "tests_failed")
        assert f"There is no module '{name}' in this app." in refused.error["message"]
        assert apps.admin("PUT", f"/apps/{OURS}/scripts/who", {"kind": "endpoint", "source": source}).status == 200
        failed = apps.run(OURS)
        assert (failed.status, failed.error["code"]) == (500, "module_not_found")
        return [answer.body.replace(name.encode(), b"NAME") for answer in (refused, failed)]

    answers = attempt("only_there")
    assert answers == attempt("nowhere_at_all")
    assert THEIRS.encode() not in b"".join(answers)
    ours = apps.dump(OURS)
    apps.publish(THEIRS, 3)  # links theirs anew, not ours
    assert apps.dump(OURS) == ours


def test_one_path_answers_each_app_its_own_while_ours_is_published(apps: Apps) -> None:
    done = threading.Event()

    def reader() -> list[int]:
        versions: list[int] = []
        while not done.is_set() or len(versions) < 20:
            found = re.fullmatch(r"alpha (\d+) (\d+)", apps.run(OURS).json()["text"])
            assert found
            assert found[1] == found[2], "module and endpoint of different releases"
            versions.append(int(found[1]))
            assert apps.run(THEIRS).json() == {"text": "bravo 2 2"}
        return versions

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(reader) for _ in range(8)]
        try:
            for version in range(3, 23):
                apps.publish(OURS, version)
        finally:
            done.set()
        for versions in (found.result() for found in readers):
            assert versions == sorted(versions), "an older release answered after a newer one"


def test_every_table_keeps_apps_apart(apps: Apps) -> None:
    with apps.platform.database.connection() as connection:
        tenants = tenant_tables(connection)
        tables = connection.execute("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert {t for (t,) in tables if not t.startswith("procrastinate_")} == NO_TENANTS | set(tenants)
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index LEFT JOIN pg_attribute ON attrelid = indrelid"
            " AND attnum = indkey[0] WHERE indisunique AND indrelid = ANY(%s::regclass[])"
            " AND attname IS DISTINCT FROM 'app_id'",
            [tenants],
        )
        assert {name for (name,) in indexes} == UNIQUE_OVER_ALL_APPS
        keys = connection.execute(
            "SELECT conname, confrelid::regclass::text, EXISTS (SELECT FROM unnest(conkey, confkey) AS pair (mine, its)"
            " JOIN pg_attribute AS m ON m.attrelid = conrelid AND m.attnum = mine AND m.attname = 'app_id'"
            " JOIN pg_attribute AS i ON i.attrelid = confrelid AND i.attnum = its AND i.attname = 'app_id')"
            " FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY(%s::regclass[])",
            [tenants],
        ).fetchall()
    assert {table for _, table, _ in keys} <= {"apps", *tenants}
    assert sum(table in tenants for _, table, _ in keys) >= 4
    assert [name for name, table, within_app in keys if table in tenants and not within_app] == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO routes (app_id, method, shape, pattern, script_id, auth)"
        " SELECT o.app_id, 'GET', '/x', '/x', t.id, 'public' FROM o, t",
        "INSERT INTO script_imports (app_id, importer_id, imported_id) SELECT o.app_id, o.id, t.id FROM o, t",
        "INSERT INTO script_imports (app_id, importer_id, imported_id) SELECT o.app_id, t.id, o.id FROM o, t",
        "INSERT INTO scripts (app_id, name, kind, version) SELECT o.app_id, 'x', 'module', t.version FROM o, t",
        "UPDATE routes SET script_id = t.id FROM o, t WHERE routes.app_id = o.app_id",
        "UPDATE scripts SET app_id = t.app_id, name = 'x' FROM o, t WHERE scripts.id = o.id",
    ],
)
def test_sql_cannot_refer_to_a_script_of_the_other_app(apps: Apps, statement: str) -> None:
    find = "(SELECT s.* FROM scripts AS s JOIN apps AS a ON a.id = app_id WHERE a.name = {} AND s.name = 'shared')"
    ours, theirs = (sql.SQL(find).format(sql.Literal(app)) for app in (OURS, THEIRS))
    query = sql.SQL("WITH o AS {}, t AS {} ").format(ours, theirs) + sql.SQL(statement)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), apps.platform.database.connection() as connection:
        connection.execute(query)
