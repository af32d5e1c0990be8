"""pytest fixtures around a real PostgreSQL; use them with `pytest_plugins = ["picloud.testing.fixtures"]`.

One embedded server per test session in a folder of its own, one database per test: a clone of a migrated template.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from picloud.storage.database import Database, connect
from picloud.storage.embedded import Lease, acquire
from picloud.storage.migrate import migrate
from picloud.testing.processes import scratch_home

TEMPLATE = "picloud_template"


@pytest.fixture(scope="session")
def embedded_home() -> Iterator[Path]:
    """PICLOUD_HOME of the session, removed at its end."""
    with scratch_home() as home:
        yield home


@pytest.fixture(scope="session")
def embedded_server(embedded_home: Path) -> Iterator[Lease]:
    """A lease on the session's server."""
    with acquire(embedded_home) as lease:
        with connect(lease.conninfo("postgres")) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # nothing here has to survive the machine
            connection.execute("SELECT pg_reload_conf()")
        yield lease


@pytest.fixture(scope="session")
def template_database(embedded_server: Lease) -> str:
    """Name of the migrated, empty database that `database_url` clones."""
    with connect(embedded_server.conninfo("postgres")) as connection:
        connection.execute(f'CREATE DATABASE "{TEMPLATE}"')
    migrate(embedded_server.conninfo(TEMPLATE))
    return TEMPLATE


@contextmanager
def fresh_database(server: Lease, template: str) -> Iterator[str]:
    """Yield the connection string of a clone of `template`; dropped at the end, open connections included."""
    name = f"test_{uuid4().hex}"
    with connect(server.conninfo("postgres")) as connection:
        # Files are copied, not logged block by block: with fsync off that is the cheaper way.
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield server.conninfo(name)
    finally:
        with connect(server.conninfo("postgres")) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(embedded_server: Lease, template_database: str) -> Iterator[str]:
    """Connection string of a fresh, migrated database; dropped after the test, open connections included."""
    with fresh_database(embedded_server, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(embedded_server: Lease) -> Iterator[str]:
    """Connection string of a fresh database without any schema."""
    with fresh_database(embedded_server, "template1") as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The open `Database` of `database_url`."""
    database = Database(database_url, pool_size=4, timeout_s=5.0)
    database.open()
    yield database
    database.close()
