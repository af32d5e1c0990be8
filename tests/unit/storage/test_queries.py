import pytest

from picloud.storage import queries


def test_statements_are_found_by_name() -> None:
    found = queries.parse("-- About this file.\n-- name: one\nSELECT 1\n\n-- name: two\n-- why\nSELECT 2\n", "x.sql")
    assert dict(found) == {"one": "SELECT 1", "two": "-- why\nSELECT 2"}


@pytest.mark.parametrize("text", ["", "SELECT 1", "-- name: a\n-- name: b\nSELECT 1", "-- name: a\nX\n-- name: a\nY"])
def test_a_malformed_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"x\.sql"):
        queries.parse(text, "x.sql")


@pytest.mark.parametrize("filename", sorted(path.name for path in queries.FOLDER.glob("*.sql")))
def test_every_shipped_file_loads(filename: str) -> None:
    assert queries.load(filename)
