"""A backup restored on another server is the same, its wall between apps included; what is wrong changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from picloud.errors import Conflict, InvalidInput, PlatformError
from picloud.platform import open_platform
from picloud.settings import Settings
from picloud.storage.backup import backup, restore
from picloud.storage.data import has_row_security
from picloud.storage.embedded import acquire
from picloud.storage.migrate import default_folder, migrate, read_migrations
from picloud.testing.processes import scratch_home
from tests.integration.storage.test_runtime_role import modest  # noqa: F401  (a fixture)

WALL = "SELECT tablename, policyname, roles::text, qual FROM pg_policies ORDER BY tablename"
GRANTS = (
    "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
    "WHERE grantee = 'picloud_runtime' ORDER BY 1, 2"
)


@pytest.fixture
def other_server() -> Iterator[str]:
    """Connection string of an empty database on a server that never had anything of PiCloud."""
    with scratch_home("picloud-restore-") as home, acquire(home) as lease:
        yield lease.conninfo()


@pytest.fixture
def dump(database_url: str, tmp_path: Path) -> Path:
    """A backup of two apps with data."""
    with open_platform(Settings(home=tmp_path / "home", database_url=SecretStr(database_url))) as platform:
        for app in ("shop", "blog"):
            platform.interactive(app, lambda _text: None).run(f"kv.set('mine', '{app}') docs.insert('d', {{}})")
    backup(database_url, tmp_path / "picloud.dump")
    return tmp_path / "picloud.dump"


def facts(conninfo: str) -> list[object]:
    with psycopg.connect(conninfo) as connection:
        return [connection.execute(statement).fetchall() for statement in (WALL, GRANTS)]


def test_another_server_gets_the_data_and_the_wall(
    dump: Path, database_url: str, other_server: str, tmp_path: Path
) -> None:
    assert dump.stat().st_mode & 0o077 == 0
    assert restore(other_server, dump) == []
    assert has_row_security(other_server)
    assert facts(other_server) == facts(database_url)
    with open_platform(Settings(home=tmp_path / "new", database_url=SecretStr(other_server))) as platform:
        for app in ("shop", "blog"):
            [echo] = platform.interactive(app, lambda _text: None).run("return (kv.get('mine')) .. docs.count('d')")
            assert echo.text == f"{app}1"
    with psycopg.connect(other_server) as connection:
        connection.execute("SET ROLE picloud_runtime")
        connection.execute("SELECT set_config('picloud.app_id', gen_random_uuid()::text, true)")
        assert connection.execute("SELECT FROM kv_entries").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM tokens")


def test_a_database_that_is_not_empty_is_left_alone(dump: Path, database_url: str) -> None:
    with pytest.raises(Conflict, match="not empty"):
        restore(database_url, dump)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_damaged_file_changes_nothing(dump: Path, empty_database_url: str, part: float) -> None:
    whole = dump.read_bytes()
    dump.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InvalidInput, match="nothing has changed"):
        restore(empty_database_url, dump)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall() == []


def test_a_user_who_may_not_make_roles_restores_too(dump: Path, modest: str) -> None:  # noqa: F811
    restore(modest, dump)
    with psycopg.connect(modest) as connection:
        assert connection.execute("SELECT count(*) FROM kv_entries").fetchone() == (2,)


def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    empty_database_url: str, other_server: str, tmp_path: Path
) -> None:
    older = tmp_path / "migrations"
    older.mkdir()
    *former, last = read_migrations(default_folder())
    for migration in former:
        (older / migration.name).write_bytes(migration.text)
    migrate(empty_database_url, folder=older)
    backup(empty_database_url, tmp_path / "old.dump")
    assert restore(other_server, tmp_path / "old.dump") == [last.name]
    assert has_row_security(other_server)


def test_what_cannot_be_read_or_written_is_said(database_url: str, dump: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        restore(database_url, tmp_path / "none")
    with pytest.raises(InvalidInput, match="cannot be written"):
        backup(database_url, tmp_path / "none" / "x")
    before = dump.read_bytes()
    with pytest.raises(PlatformError):
        backup(f"{database_url} password=hunter2 dbname=none", dump)
    assert dump.read_bytes() == before
