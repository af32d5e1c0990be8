"""No table or column of apps is lost on the way: each is in the file, or named as left out with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from picloud.publishing.app_rows import LEFT_OUT, TABLES
from picloud.storage.database import Database

LIVE: Mapping[str, Mapping[str, str]] = {
    "apps": {
        "id": "each database gives its own",
        "name": "in the header",
        "revision": "in the header",
        "created_at": "in the header",
        "runs_kept_days": "the history begins where the app goes live",
    },
    "scripts": {
        "app_id": "the app's",
        "id": "each database gives its own",
        "name": "in the manifest",
        "kind": "in the manifest",
        "version": "in the manifest",
        "imports": "what the text says",
        "created_at": "when it went live in this database",
        "updated_at": "when it went live in this database",
    },
    "routes": {
        "app_id": "the app's",
        "method": "in the manifest",
        "pattern": "in the manifest",
        "shape": "what the pattern says",
        "script_id": "in the manifest, by name",
        "auth": "in the manifest",
        "timing": "in the manifest",
    },
    "triggers": {
        "app_id": "the app's",
        "name": "in the manifest",
        "kind": "in the manifest",
        "source": "in the manifest",
        "key_like": "what the source says",
        "operations": "in the manifest",
        "script_id": "in the manifest, by name",
        "options": "in the manifest",
    },
}
"""Tables whose rows the header and the line `live` stand for: what becomes of each column."""


@pytest.fixture
def schema(database: Database) -> dict[str, set[str]]:
    """The columns of the tables that belong to apps."""
    found: dict[str, set[str]] = {}
    with database.connection() as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
        for table, column in columns:
            found.setdefault(table, set()).add(column)
    return {table: names for table, names in found.items() if "app_id" in names or table == "apps"}


def test_every_table_of_apps_is_in_the_file_or_left_out_for_a_reason(schema: dict[str, set[str]]) -> None:
    assert set(schema) - {"apps"} == set(TABLES) | set(LEFT_OUT), (
        "decide whether a file of an app holds this table: publishing/app_rows.py, TABLES or LEFT_OUT"
    )
    assert not set(TABLES) & set(LEFT_OUT)
    assert all(LEFT_OUT.values())


def test_every_column_is_in_the_file_or_left_out_for_a_reason(schema: dict[str, set[str]]) -> None:
    for table, kind in TABLES.items():
        held = {"app_id", *kind.columns(), *kind.made, *kind.given}
        assert schema[table] == held, f"decide what becomes of these columns: publishing/app_rows.py, {kind.__name__}"
    for table, columns in LIVE.items():
        assert schema[table] == set(columns), "decide what becomes of these columns: storage/transfer.py, live()"


def test_no_other_schema_holds_data_of_apps(database: Database) -> None:
    with database.connection() as connection:
        others = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'app_id' "
            "AND table_schema NOT IN ('public', 'information_schema', 'pg_catalog')"
        ).fetchall()
    assert others == []
