"""An app in a file and out of it: nothing is lost, nothing is made up, and a file that is wrong changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from picloud.admin.tokens import TokenAdministration
from picloud.auth.tokens import hash_token
from picloud.engine.interactive import Interactive
from picloud.errors import Conflict, InvalidInput, NotFound
from picloud.model.principal import Scope
from picloud.model.release import Manifest, TestSource
from picloud.model.route import Route, RouteAuth
from picloud.model.script import Script, ScriptKind
from picloud.platform import Platform, open_platform
from picloud.publishing.app_file import LINE_MAX_BYTES
from picloud.publishing.transfer import export_app, import_app
from picloud.settings import Settings
from picloud.testing.processes import wait_until

GREET = Script("greet", ScriptKind.MODULE, "return { hello = function(name) return 'Hello, ' .. name end }")
HELLO = Script("hello", ScriptKind.ENDPOINT, "return require('greet').hello(request.params.name)")
ROUTE = Route("GET", "/hello/:name", "hello", RouteAuth.PUBLIC, True)
CHECK = TestSource("greets", "assert(require('greet').hello('a') == 'Hello, a')")
SEED = r"""
kv.set("plain", { n = 9223372036854775807, f = 1.0, list = json.array{} })
kv.set("\0\255", "\0\1\255")
kv.set("soon", "gone", { ttl = 3600 })
docs.index("people", "address.city")
docs.index("people", "a\\.b")
docs.insert("people", { address = { city = "Bern" }, age = 2^53, big = -9223372036854775807 - 1 }, { id = "ada" })
docs.insert("people", { ["a.b"] = "x\0y", address = json.null }, { id = "böb" })
docs.insert("other", {}, { id = "1" })
queue.send("mails", { to = "a" }, { dedupe_key = "k\255", delay = 60 })
queue.send("mails", "\255\0")
pubsub.publish("news", 1.5)
"""


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_platform(Settings(home=tmp_path / "home", database_url=SecretStr(database_url))) as opened:
        yield opened


def session(platform: Platform, app: str = "shop") -> Interactive:
    return platform.interactive(app, lambda _text: None)


OPTIONS = (
    '{"retry": {"retries": 1, "backoff_s": 5.0, "backoff_max_s": 60.0, "jitter": 0.1}, '
    '"timeout_s": null, "batch": 1, "wait_s": 0.0}'
)


def make_shop(platform: Platform) -> None:
    publish = platform.publisher.publish
    publish("shop", Manifest((GREET,), (), (CHECK,)), author="a", message="first\nline", create=True)
    publish("shop", Manifest((GREET, HELLO), (ROUTE,), (CHECK,)), author="ü", notebook="shop.ipynb")
    session(platform).run(SEED)
    with platform.database.connection() as connection:
        connection.execute(
            "INSERT INTO dead_letters (app_id, id, event_id, kind, name, is_json, payload, depth, trigger, script, "
            "options, code, message, attempts, failures, sent_at, failed_at) "
            "SELECT id, gen_random_uuid(), gen_random_uuid(), 'queue', "
            "'mails', false, '\\xff00', 0, 'mails', 'hello', %s, 'c', 'm', 3, '[]', now(), now() FROM apps",
            [OPTIONS],
        )
        connection.execute(
            "INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, version, is_redriven, "
            "sent_at, due_at) "
            "SELECT id, gen_random_uuid(), 'kv', '', 'set', 'a', true, '1', 7, true, now(), now() FROM apps"
        )
        connection.execute(
            "INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at, attempts, failures) "
            "SELECT app_id, id, 'watch', 'hello', %s, due_at, 1, '[{\"code\": \"c\"}]' FROM events WHERE kind = 'kv'",
            [OPTIONS],
        )


LOOK = r"""return (function()
local found = { docs.indexes("people"), queue.size("mails") }
for _, letter in ipairs((dead_letters.list())) do
  letter.message = hex.encode(letter.message)
  found[#found + 1] = letter
end
for _, entry in ipairs((kv.list())) do
  local value = type(entry.value) == "string" and hex.encode(entry.value) or json.encode(entry.value)
  found[#found + 1] = { hex.encode(entry.key), value, entry.version }
end
for _, collection in ipairs({ "a", "b", "people" }) do
  for _, path in ipairs({ "v", "v.x", "a\\.b", "address.city" }) do
    found[#found + 1] = { docs.find(collection, { sort = { path }, filter = { [path] = { exists = true } } }) }
  end
end
return found end)()"""


def look(platform: Platform, app: str = "shop") -> str:
    """Return what scripts see of an app's data."""
    [echo] = session(platform, app).run(LOOK)
    return echo.text


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def write(path: Path, found: list[bytes], *, end: bool = True) -> Path:
    """Write lines to a file, with a last line that fits them."""
    if end:
        digest = hashlib.sha256(b"".join(found)).hexdigest()
        found = [*found, json.dumps({"end": {"lines": len(found), "sha256": digest}}).encode() + b"\n"]
    path.write_bytes(gzip.compress(b"".join(found)))
    return path


def names(platform: Platform) -> list[str]:
    return [app.name for app in platform.apps.list()]


@pytest.fixture
def exported(platform: Platform, tmp_path: Path) -> Path:
    """The file of a shop that is there no more."""
    make_shop(platform)
    export_app(platform.database, "shop", tmp_path / "shop.gz")
    platform.apps.delete("shop")
    return tmp_path / "shop.gz"


def test_all_comes_back_and_a_second_file_is_equal_to_the_byte(platform: Platform, tmp_path: Path) -> None:
    make_shop(platform)
    first = export_app(platform.database, "shop", tmp_path / "1.gz")
    releases = platform.releases.list(platform.apps.get("shop").id)
    export_app(platform.database, "shop", tmp_path / "2.gz")
    assert (tmp_path / "1.gz").read_bytes() == (tmp_path / "2.gz").read_bytes()
    before = platform.apps.get("shop")
    platform.apps.delete("shop")
    imported = import_app(platform.database, tmp_path / "1.gz")
    assert imported.rows == first.rows
    assert all(count > 0 for count in first.rows.values())  # else this test says little
    export_app(platform.database, "shop", tmp_path / "3.gz")
    assert (tmp_path / "1.gz").read_bytes() == (tmp_path / "3.gz").read_bytes()
    after = platform.apps.get("shop")
    assert (after.revision, after.created_at) == (before.revision, before.created_at)
    assert platform.releases.list(after.id) == releases
    assert platform.releases.get(after.id, 1).manifest == Manifest((GREET,), (), (CHECK,))


def test_it_behaves_as_before_under_another_name_beside_itself(platform: Platform, tmp_path: Path) -> None:
    make_shop(platform)
    export_app(platform.database, "shop", tmp_path / "1.gz")
    import_app(platform.database, tmp_path / "1.gz", "copy")
    export_app(platform.database, "copy", tmp_path / "2.gz")
    ours, theirs = lines(tmp_path / "1.gz"), lines(tmp_path / "2.gz")
    assert ours[1:-1] == theirs[1:-1]
    assert theirs[0] == ours[0].replace(b'"name":"shop"', b'"name":"copy"')
    assert look(platform) == look(platform, "copy")
    assert '"bern"' in look(platform).lower()
    session(platform, "copy").run("kv.set('plain', 0)")
    assert session(platform).run("return kv.get('plain') == 0")[0].text == "false"
    assert session(platform, "copy").run("return require('greet').hello('x')")[0].text == "Hello, x"
    published = platform.publisher.rollback("copy", 1, author="a")
    assert published.release.number == 3
    order = "SELECT e.name, payload FROM events e JOIN apps a ON a.id = app_id WHERE a.name = %s ORDER BY number"
    with platform.database.connection() as connection:
        assert connection.execute(order, ["shop"]).fetchall() == connection.execute(order, ["copy"]).fetchall()
        [(hidden,)] = connection.execute("SELECT count(*) FROM document_keys GROUP BY app_id").fetchall()[:1]
    assert hidden == 4  # two indexes, two documents


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAME = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(lambda name: name.islower())
BYTES = st.binary(max_size=60) | TEXT.map(str.encode)
KEY = st.binary(min_size=1, max_size=60) | TEXT.filter(bool).map(str.encode)


def literal(value: bytes) -> str:
    return '"' + "".join(f"\\{byte:03}" for byte in value) + '"'


def decoded(value: Any) -> str:
    return f"json.decode({literal(json.dumps(value, ensure_ascii=False).encode())})"


COLLECTION = st.sampled_from("ab")
PATH = st.sampled_from(["v", "v.x", "\0\\\\", "ü"]).map(str.encode)
CALLS = {
    "kv.set(%s, %s)": (KEY.map(literal), BYTES.map(literal)),
    "kv.set(%s, %s, { ttl = %s })": (KEY.map(literal), JSON.map(decoded), st.integers(10**4, 10**9)),
    "docs.insert('%s', %s)": (COLLECTION, JSON.map(lambda value: decoded({"v": value}))),
    "docs.index('%s', %s)": (COLLECTION, PATH.map(literal)),
    "queue.send('%s', %s, { delay = %s })": (NAME, JSON.map(decoded), st.integers(0, 100)),
    "queue.send('%s', %s, { dedupe_key = %s })": (NAME, BYTES.map(literal), KEY.map(literal)),
    "pubsub.publish('%s', %s)": (NAME, JSON.map(decoded)),
}
CALL = st.one_of([st.tuples(*values).map(call.__mod__) for call, values in CALLS.items()])
SOURCE = st.builds(lambda value: f"return {literal(value)} -- ü", BYTES)
MANIFEST = st.dictionaries(NAME, SOURCE, max_size=3).flatmap(
    lambda sources: st.builds(
        lambda methods, texts: Manifest(
            tuple(Script(f"e{name}", ScriptKind.ENDPOINT, source) for name, source in sorted(sources.items())),
            tuple(sorted(Route(m, f"/{name}/:x", f"e{name}") for name in sources for m in methods)),
            tuple(TestSource(f"t {n}", "local x = 1") for n in sorted(texts)),
        ),
        st.sets(st.sampled_from(["GET", "POST"])),
        st.sets(st.integers(0, 9), max_size=2),
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(CALL, max_size=12), manifests=st.lists(MANIFEST, max_size=3), text=STORABLE)
def test_any_app_round_trips(
    platform: Platform, tmp_path: Path, data: list[str], manifests: list[Manifest], text: str
) -> None:
    platform.apps.create("shop")
    for manifest in manifests:
        platform.publisher.publish("shop", manifest, author=text, message=text, notebook=text or None)
    session(platform).run("\n".join(data))
    export_app(platform.database, "shop", tmp_path / "1.gz")
    live, seen = platform.publisher.live("shop"), look(platform)
    platform.apps.delete("shop")
    import_app(platform.database, tmp_path / "1.gz")
    export_app(platform.database, "shop", tmp_path / "2.gz")
    assert (tmp_path / "1.gz").read_bytes() == (tmp_path / "2.gz").read_bytes()
    assert (platform.publisher.live("shop"), look(platform)) == (live, seen)
    platform.apps.delete("shop")


def test_export_reads_one_moment_while_others_write(platform: Platform, tmp_path: Path) -> None:
    make_shop(platform)
    stop = threading.Event()

    def write_pairs() -> None:
        shop = session(platform)
        while not stop.is_set():
            shop.run(
                "transaction(function() kv.incr('left') docs.insert('log', {}) queue.send('q', 1) "
                "kv.set('docs', docs.count('log')) kv.set('queue', queue.size('q')) end)"
            )

    left = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_pairs)
        try:
            for _ in range(10):
                export_app(platform.database, "shop", tmp_path / "1.gz")
                rows = [json.loads(line) for line in lines(tmp_path / "1.gz")]
                entries = [
                    (row["kv_entries"]["key"], row["kv_entries"]["value"]) for row in rows if "kv_entries" in row
                ]
                counted = [int(value) for key, value in entries if key in ("left", "docs", "queue")]
                left = sum(row.get("documents", {}).get("collection") == "log" for row in rows)
                assert sum(row.get("events", {}).get("name") == "q" for row in rows) == left
                assert counted == ([left] * 3 if left else [])
        finally:
            stop.set()
        writing.result(30)
    assert left > 0


def test_an_app_with_nothing_in_it_round_trips(platform: Platform, tmp_path: Path) -> None:
    platform.apps.create("shop")
    export_app(platform.database, "shop", tmp_path / "1.gz")
    platform.apps.delete("shop")
    import_app(platform.database, tmp_path / "1.gz")
    export_app(platform.database, "shop", tmp_path / "2.gz")
    assert (tmp_path / "1.gz").read_bytes() == (tmp_path / "2.gz").read_bytes()


def test_a_release_of_before_timing_comes_back_as_one_of_today(platform: Platform, exported: Path) -> None:
    import_app(platform.database, exported)
    with platform.database.connection() as connection:
        connection.execute(
            "INSERT INTO releases (app_id, number, manifest, author, message) "
            "SELECT app_id, 3, manifest #- '{routes,0,timing}', author, message FROM releases WHERE number = 2"
        )
    export_app(platform.database, "shop", exported)
    platform.apps.delete("shop")
    import_app(platform.database, exported)
    assert not platform.releases.get(platform.apps.get("shop").id, 3).manifest.routes[0].timing


def test_tokens_stay_where_they_are(platform: Platform, tmp_path: Path) -> None:
    shop = platform.apps.create("shop")
    token = TokenAdministration(platform.tokens).create("ci", [Scope.DATA_READ], app=shop, now=datetime.now(UTC))
    export_app(platform.database, "shop", tmp_path / "1.gz")
    text = b"".join(lines(tmp_path / "1.gz"))
    assert b"token" not in text
    assert hash_token(token.token).hex().encode() not in text
    assert (tmp_path / "1.gz").stat().st_mode & 0o077 == 0


def test_what_is_not_there_or_taken_is_said(platform: Platform, tmp_path: Path, exported: Path) -> None:
    with pytest.raises(NotFound, match="no app 'shop'"):
        export_app(platform.database, "shop", tmp_path / "none.gz")
    assert not (tmp_path / "none.gz").exists()
    with pytest.raises(InvalidInput, match="cannot be read"):
        import_app(platform.database, tmp_path / "none.gz")
    with pytest.raises(InvalidInput, match="cannot name an app"):
        import_app(platform.database, exported, "NO")
    platform.apps.create("shop")
    with pytest.raises(Conflict, match="--as"):
        import_app(platform.database, exported)
    with pytest.raises(InvalidInput, match="cannot be written"):
        export_app(platform.database, "shop", tmp_path / "no folder" / "1.gz")
    import_app(platform.database, exported, "other")
    assert names(platform) == ["other", "shop"]


def test_an_export_that_fails_leaves_the_file_that_was_there(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "1.gz").write_bytes(b"yesterday's")
    with pytest.raises(NotFound):
        export_app(platform.database, "shop", tmp_path / "1.gz")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["1.gz"]
    assert (tmp_path / "1.gz").read_bytes() == b"yesterday's"


@pytest.mark.parametrize("part", range(1, 8))
def test_a_file_that_was_cut_off_changes_nothing(platform: Platform, exported: Path, part: int) -> None:
    whole = exported.read_bytes()
    exported.write_bytes(whole[: len(whole) * part // 8])
    with pytest.raises(InvalidInput, match="nothing has changed"):
        import_app(platform.database, exported)
    assert names(platform) == []


def test_whole_lines_that_are_missing_or_changed_are_noticed(platform: Platform, exported: Path) -> None:
    whole = lines(exported)
    for wrong in (
        whole[:-1],
        [*whole[:9], *whole[10:]],
        [*whole, whole[-1]],
        [*whole[:-2], whole[-2].replace(b"hello", b"hallo"), whole[-1]],
        [*whole[:-1], whole[-1].rstrip()],
    ):
        with pytest.raises(InvalidInput, match="cut off or changed"):
            import_app(platform.database, write(exported, wrong, end=False))
    assert names(platform) == []


def changed(found: list[bytes], kind: str, change: Callable[[dict[str, Any]], object]) -> list[bytes]:
    """Return lines without the end, the first of a kind changed."""
    result, done = [], False
    for line in found[:-1]:
        content = json.loads(line)
        if kind in content and not done:
            change(content[kind])
            done = True
        result.append(json.dumps(content).encode() + b"\n")
    assert done
    return result


def put(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({name: value})


EVIL = "return { evil = os.time() }"
LATER = "9001-01-01T00:00:00Z"
WRONG: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "newer format": ("header", put("format", 2), "format 2"),
    "newer schema": ("header", put("schema_number", 9999), "newer"),
    "name": ("header", lambda h: h["app"].update(name="../etc"), "name"),
    "revision": ("header", lambda h: h["app"].update(revision=-1), "revision"),
    "text of another version": ("sources", put("source", EVIL), "not the one that belongs"),
    "source with NUL": ("sources", put("source", "a\0"), "NUL"),
    "huge source": ("sources", put("source", "x" * 2**19), "source"),
    "version": ("sources", put("version", "x"), "version"),
    "release number": ("releases", put("number", 7), "not numbered"),
    "release manifest": ("releases", put("manifest", {}), "release 1"),
    "deep manifest": ("releases", put("manifest", {"scripts": json.loads("[" * 150 + "]" * 150)}), "release 1"),
    "manifest of scripts": ("releases", put("manifest", {"scripts": [5], "routes": [], "tests": []}), "release 1"),
    "extra in manifest": ("releases", lambda r: r["manifest"].update(more=[]), "release 1"),
    "version of dict": ("releases", lambda r: r["manifest"]["scripts"][0].update(version={}), "release 1"),
    "missing text": ("releases", lambda r: r["manifest"]["scripts"][0].update(version="0" * 64), "release 1"),
    "message": ("releases", put("message", "x" * 3000), "message"),
    "other column": ("kv_entries", put("app_id", "00000000-0000-0000-0000-000000000000"), "app_id"),
    "empty key": ("kv_entries", put("key", ""), "key"),
    "long key": ("kv_entries", put("key", "k" * 2000), "key"),
    "base64": ("kv_entries", put("value", {"base64": "?"}), "value"),
    "bytes of list": ("kv_entries", put("value", [1, 2]), "value"),
    "value too large": ("kv_entries", put("value", "x" * (2**20 + 1)), "value"),
    "version beyond": ("kv_entries", put("version", 2**63 - 1), "version"),
    "version as text": ("kv_entries", put("version", "1"), "version"),
    "time beyond": ("kv_entries", put("expires_at", LATER), "expires_at"),
    "time of number": ("kv_entries", put("expires_at", 5), "expires_at"),
    "time without zone": ("kv_entries", put("expires_at", "2026-01-01T00:00:00"), "expires_at"),
    "infinity": ("kv_entries", put("expires_at", "-infinity"), "expires_at"),
    "collection": ("documents", put("collection", "a b"), "collection"),
    "collection newline": ("documents", put("collection", "a\n"), "collection"),
    "long id": ("documents", put("id", "x" * 300), "id"),
    "body of list": ("documents", put("body", "[]"), "JSON object"),
    "body of half": ("documents", put("body", '{"a"'), "body|Expecting|delimiter"),
    "body NaN": ("documents", put("body", '{"a":NaN}'), "finite"),
    "body 1e400": ("documents", put("body", '{"a":1e400}'), "finite"),
    "body big": ("documents", put("body", f'{{"a":{"9" * 5000}}}'), "64 bits"),
    "body surrogate": ("documents", put("body", '{"a":"\\ud800"}'), "surrogate"),
    "body deep": ("documents", put("body", '{"a":' + "[" * 101 + "]" * 101 + "}"), "levels"),
    "body very deep": ("documents", put("body", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "levels"),
    "body too large": ("documents", put("body", '{"a":"' + "x" * 2**20 + '"}'), "bytes"),
    "body not closed": ("documents", put("body", '{"a":' + "[" * 101 + '"' + '\\"' * 500_000), "Unterminated"),
    "index path": ("document_indexes", put("path", "a\\"), r"line \d+: .*backslash"),
    "queue name": ("events", put("name", "a b"), "name"),
    "kind": ("events", put("kind", "mail"), "kind"),
    "uuid": ("events", put("id", "1"), "id"),
    "payload": ("events", put("payload", "x" * 2**19), "payload"),
    "payload not JSON": ("events", put("payload", '{"a'), "events"),
    "attempts": ("dead_letters", put("attempts", -1), "attempts"),
    "code NUL": ("dead_letters", put("code", "\0"), "NUL"),
    "live without text": ("live", put("scripts", []), "there is no script"),
    "live method": ("live", lambda r: r["routes"][0].update(method="BREW"), "unknown method"),
    "live timing": ("live", lambda r: r["routes"][0].update(timing="yes"), "what is live"),
    "live name": ("live", lambda r: r["scripts"][0].update(name="a/b"), "what is live"),
}


@pytest.mark.parametrize(("kind", "change", "said"), WRONG.values(), ids=WRONG)
def test_what_could_not_have_been_made_here_is_refused(
    platform: Platform, exported: Path, kind: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        import_app(platform.database, write(exported, changed(lines(exported), kind, change)))
    assert "nothing has changed" in refused.value.message
    assert len(refused.value.message) < 700
    assert names(platform) == []


def test_lines_twice_or_out_of_order_are_refused(platform: Platform, exported: Path) -> None:
    found = lines(exported)[:-1]
    for number, line in enumerate(found):
        with pytest.raises(InvalidInput):
            import_app(platform.database, write(exported, [*found[: number + 1], line, *found[number + 1 :]]))
    for wrong in ([*found[1:]], [found[0]], [*found[:-1]], [found[0], found[-1], *found[1:-1]], []):
        with pytest.raises(InvalidInput):
            import_app(platform.database, write(exported, wrong))
    assert names(platform) == []


@pytest.mark.parametrize("line", [b"{}", b"[]", b"", b"\xff", b'{"kv_entries":null}', b'{"more":{}}', b'{"a":' * 9999])
def test_a_line_that_is_none_is_refused_with_its_number(platform: Platform, exported: Path, line: bytes) -> None:
    found = lines(exported)
    with pytest.raises(InvalidInput, match="line 2: "):
        import_app(platform.database, write(exported, [found[0], line + b"\n", *found[1:-1]]))
    assert names(platform) == []


@pytest.mark.parametrize(
    "content", [b"", b"hello", gzip.compress(b"", mtime=0), gzip.compress(b"hello\n", mtime=0), b"\x1f\x8b" * 50]
)
def test_what_is_no_file_of_an_app_is_told_from_one(platform: Platform, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.gz").write_bytes(content)
    with pytest.raises(InvalidInput, match="nothing has changed"):
        import_app(platform.database, tmp_path / "1.gz")


def test_a_bomb_of_one_line_needs_no_memory(platform: Platform, exported: Path) -> None:
    first = lines(exported)[0]
    with gzip.open(exported, "wb") as file:
        file.write(first)
        for _ in range(512):
            file.write(b" " * 2**20)
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="longer than"):
        import_app(platform.database, exported)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * LINE_MAX_BYTES


def test_a_text_that_no_release_names_cannot_be_smuggled_in(platform: Platform, exported: Path) -> None:
    wanted = Script("greet", ScriptKind.MODULE, "return { hello = function() return 'new' end }")
    found = lines(exported)
    row = json.dumps({"sources": {"version": wanted.version, "source": EVIL}}).encode() + b"\n"
    with pytest.raises(InvalidInput, match="no release names"):
        import_app(platform.database, write(exported, [found[0], row, *found[1:-1]]))


def test_a_text_behind_the_rules_is_refused_with_its_place(platform: Platform, exported: Path) -> None:
    bad = Script("greet", ScriptKind.MODULE, "print('hi')\nreturn {}")
    row = json.dumps({"sources": {"version": bad.version, "source": bad.source}}).encode() + b"\n"
    found = changed(lines(exported), "releases", lambda r: r["manifest"]["scripts"][0].update(version=bad.version))
    with pytest.raises(InvalidInput, match=r"release 1: greet:1:1: "):
        import_app(platform.database, write(exported, [found[0], row, *found[1:]]))
    assert names(platform) == []


def test_more_indexes_than_a_collection_may_have_are_refused(platform: Platform, exported: Path) -> None:
    found = lines(exported)[:-1]
    place = next(n for n, line in enumerate(found) if b'"document_indexes"' in line)
    more = [b'{"document_indexes":{"collection":"people","path":"p%d"}}\n' % n for n in range(15)]
    with pytest.raises(InvalidInput, match="16 indexes"):
        import_app(platform.database, write(exported, [*found[:place], *more, *found[place:]]))


def test_an_import_that_is_killed_leaves_nothing(platform: Platform, exported: Path, database_url: str) -> None:
    found = lines(exported)[:-1]
    place = next(n for n, line in enumerate(found) if b'"kv_entries"' in line)
    row = b'{"kv_entries":{"key":"k%d","is_json":false,"value":"v","version":1,"expires_at":null}}\n'
    write(exported, [*found[:place], *(row % n for n in range(300_000)), *found[place:]])
    code = (
        "import sys; from pathlib import Path; from picloud.storage.database import Database\n"
        "from picloud.publishing.transfer import import_app\n"
        "database = Database(sys.argv[1], pool_size=1, timeout_s=5); database.open()\n"
        "import_app(database, Path(sys.argv[2]))"
    )
    importing = subprocess.Popen([sys.executable, "-c", code, database_url, str(exported)])
    busy = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY \"kv_entries\"%'"
    with platform.database.lend() as connection:
        wait_until(lambda: connection.execute(busy).fetchone(), timeout_s=60)
    importing.kill()
    importing.wait()
    assert names(platform) == []
    import_app(platform.database, exported)
    assert platform.publisher.live("shop").routes == (ROUTE,)
