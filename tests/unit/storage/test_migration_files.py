"""The rules about migration files that need no database."""

from pathlib import Path

import pytest

from picloud.errors import MigrationError
from picloud.storage.migrate import Migration, default_folder, pending, read_migrations

ONE, TWO, THREE = (Migration(name, name.encode()) for name in ("0001_a.sql", "0002_b.sql", "0003_c.sql"))


def test_the_shipped_files_are_in_order() -> None:
    assert [migration.name for migration in read_migrations(default_folder())][:2] == [
        "0001_base.sql",
        "0002_procrastinate.sql",
    ]


@pytest.mark.parametrize(
    "names",
    [[], ["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"], ["0001-a.sql"]],
    ids=["none", "not from one", "gap", "repeat", "short number", "no name"],
)
def test_files_must_be_numbered_without_gaps(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError):
        read_migrations(tmp_path)


def test_what_was_applied_is_not_pending() -> None:
    assert pending((ONE, TWO, THREE), {ONE.name: ONE.checksum}) == (TWO, THREE)
    assert pending((ONE,), {ONE.name: ONE.checksum}) == ()


def test_an_edited_file_is_named() -> None:
    with pytest.raises(MigrationError, match=r"0001_a\.sql was changed"):
        pending((ONE, TWO), {ONE.name: "another"})


def test_a_file_that_is_gone_is_named() -> None:
    with pytest.raises(MigrationError, match=r"has migration 0002_b\.sql"):
        pending((ONE,), {ONE.name: ONE.checksum, TWO.name: TWO.checksum})


def test_a_hole_in_what_was_applied_is_refused() -> None:
    with pytest.raises(MigrationError, match=r"0002_b\.sql was never applied"):
        pending((ONE, TWO, THREE), {ONE.name: ONE.checksum, THREE.name: THREE.checksum})
