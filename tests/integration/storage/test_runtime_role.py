"""A database whose user may not make roles: everything works, and the doctor says how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from picloud.platform import open_platform
from picloud.settings import Settings
from picloud.storage.data import has_row_security
from picloud.storage.embedded import Lease
from picloud.storage.migrate import migrate


@pytest.fixture
def modest(embedded_server: Lease, empty_database_url: str) -> Iterator[str]:
    """Connection string for a user who owns a database and may do nothing else."""
    name = f"modest_{uuid4().hex[:12]}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(connection.info.dbname), sql.Identifier(name)
            )
        )
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(name)))
        host, dbname = connection.info.host, connection.info.dbname
    yield f"postgresql://{name}@/{dbname}?host={quote(host, safe='')}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))


def test_without_the_right_to_make_roles_all_works_behind_one_wall(
    modest: str, empty_database_url: str, tmp_path: Path
) -> None:
    migrate(modest)
    settings = Settings(home=tmp_path, database_url=SecretStr(modest))
    with open_platform(settings) as platform:
        session = platform.interactive("shop", lambda _text: None)
        [echo] = session.run("kv.set('a', 1) return kv.get('a')")[:1]
        assert echo.text == "1"
    assert not has_row_security(modest)
    user = psycopg.conninfo.conninfo_to_dict(modest)["user"]
    with psycopg.connect(empty_database_url, autocommit=True) as connection:  # as the doctor says
        if connection.execute("SELECT FROM pg_roles WHERE rolname = 'picloud_runtime'").fetchone() is None:
            connection.execute("CREATE ROLE picloud_runtime NOLOGIN")
        connection.execute(sql.SQL("GRANT picloud_runtime TO {}").format(sql.Identifier(str(user))))
    with psycopg.connect(modest, autocommit=True) as connection:
        connection.execute("SELECT picloud_grant(oid::regclass) FROM pg_class WHERE relrowsecurity")
    assert has_row_security(modest)
    with open_platform(settings) as platform:
        [echo] = platform.interactive("shop", lambda _text: None).run("return (kv.get('a'))")
        assert echo.text == "1"
