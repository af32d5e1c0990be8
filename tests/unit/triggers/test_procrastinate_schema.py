from importlib.resources import files

from picloud.storage.migrate import default_folder


def test_the_migrations_hold_the_schema_of_the_installed_procrastinate() -> None:
    """Fails when procrastinate is upgraded: add its migrations since 0002 as a new file, and extend this test."""
    installed = files("procrastinate").joinpath("sql/schema.sql").read_text()
    assert (default_folder() / "0002_procrastinate.sql").read_text().endswith(installed)
