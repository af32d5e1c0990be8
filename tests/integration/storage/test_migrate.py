import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from picloud.errors import DatabaseUnavailable, MigrationError
from picloud.storage.database import Database, connect
from picloud.storage.deliveries import DeliveryRepository, Key
from picloud.storage.migrate import default_folder, migrate, read_migrations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int);")
    return tmp_path


def tables(url: str) -> set[str]:
    with connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows}


def test_everything_is_applied_once(empty_database_url: str) -> None:
    names = [migration.name for migration in read_migrations(default_folder())]
    assert migrate(empty_database_url) == names
    assert migrate(empty_database_url) == []
    assert {"apps", "tokens", "procrastinate_jobs", "schema_migrations"} <= tables(empty_database_url)


def test_concurrent_starts_apply_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda _: migrate(empty_database_url), range(6)))
    names = [migration.name for migration in read_migrations(default_folder())]
    assert sorted(results) == [[]] * 5 + [names]


def test_a_new_file_is_applied_on_top(empty_database_url: str, folder: Path) -> None:
    migrate(empty_database_url, folder=folder)
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int);")
    assert migrate(empty_database_url, folder=folder) == ["0002_two.sql"]
    assert {"one", "two"} <= tables(empty_database_url)


def test_an_edited_file_is_refused(empty_database_url: str, folder: Path) -> None:
    migrate(empty_database_url, folder=folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE one (id bigint);")
    with pytest.raises(MigrationError, match=r"0001_one\.sql was changed"):
        migrate(empty_database_url, folder=folder)


def test_a_missing_file_is_refused(empty_database_url: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int);")
    migrate(empty_database_url, folder=folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_two\.sql"):
        migrate(empty_database_url, folder=folder)


def test_nothing_of_a_failing_file_is_kept(empty_database_url: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int);\nSELECT no_such_function();")
    with pytest.raises(MigrationError, match=r"0002_two\.sql failed") as failure:
        migrate(empty_database_url, folder=folder)
    assert isinstance(failure.value.__cause__, psycopg.Error)
    assert "no_such_function" not in failure.value.message
    assert tables(empty_database_url) == {"one", "schema_migrations"}
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int);")
    assert migrate(empty_database_url, folder=folder) == ["0002_two.sql"]


def test_a_file_may_not_end_its_transaction(empty_database_url: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int);\nCOMMIT;\nSELECT no_such_function();")
    with pytest.raises(MigrationError, match=r"0002_two\.sql begins or ends a transaction"):
        migrate(empty_database_url, folder=folder)
    assert "two" not in tables(empty_database_url)


def test_a_role_without_rights_gets_a_sentence(empty_database_url: str, folder: Path) -> None:
    with connect(empty_database_url) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN")
    weak = psycopg.conninfo.make_conninfo(empty_database_url, user="weak")
    with pytest.raises(MigrationError, match="must own it"):
        migrate(weak, folder=folder)


def test_no_server_is_database_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        migrate(f"host={tmp_path} dbname=none")


def test_deliveries_from_before_leases_are_made_by_the_jobs_they_have(empty_database_url: str, tmp_path: Path) -> None:
    for path in sorted(default_folder().glob("*.sql"))[:9]:
        shutil.copy(path, tmp_path)
    migrate(empty_database_url, folder=tmp_path)
    with connect(empty_database_url) as connection:
        connection.execute("""
            INSERT INTO apps (name) VALUES ('shop');
            INSERT INTO events (app_id, id, kind, name, is_json, payload, due_at, sent_at)
            SELECT id, gen_random_uuid(), 'queue', 'q', true, '1', now() - interval '1 minute', now()
            FROM apps, generate_series(1, 4);
            INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at)
            SELECT app_id, id, 'q', 'q', '{"batch": 2, "timeout_s": null, "retry": {}}', due_at
            FROM events ORDER BY number;
            UPDATE deliveries SET taken_by = 1 WHERE number <= 2; -- by a batch
            DELETE FROM procrastinate_jobs WHERE id = 2; -- which has ended
            UPDATE deliveries SET attempts = 1, due_at = now() + interval '1 hour' WHERE number = 3;
        """)
    migrate(empty_database_url)
    with closing(Database(empty_database_url, pool_size=1, timeout_s=5.0)) as database:
        database.open()
        deliveries = DeliveryRepository(database)
        assert deliveries.revive() == []
        with database.connection() as connection:
            rows = connection.execute(
                "SELECT app_id, event_id, trigger, job, ready_at = 'infinity' FROM deliveries ORDER BY number"
            ).fetchall()
        one, two, failed, waits = (Key(*row[:3]) for row in rows)
        assert [row[3:] for row in rows] == [(1, False), (None, False), (3, True), (4, False)]
        assert [delivery.key for delivery in deliveries.take(one, 1)] == [one, two]
        assert deliveries.take(failed, 3) == []
        assert [delivery.key for delivery in deliveries.take(waits, 4)] == [waits]
