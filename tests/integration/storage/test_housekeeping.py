from picloud.storage.database import Database
from picloud.storage.housekeeping import delete_expired_tokens


def test_only_tokens_that_expired_long_ago_are_deleted(database: Database) -> None:
    ages = {"never": None, "coming": "-1 day", "fresh": "29 days", "old": "31 days"}
    with database.connection() as connection:
        for name, age in ages.items():
            connection.execute(
                "INSERT INTO tokens (name, hash, scopes, expires_at) VALUES (%s, %s, '{}', now() - %s::interval)",
                [name, name.encode(), age],
            )
    assert delete_expired_tokens(database) == 1
    assert delete_expired_tokens(database) == 0
    with database.connection() as connection:
        kept = connection.execute("SELECT name FROM tokens ORDER BY name").fetchall()
    assert kept == [("coming",), ("fresh",), ("never",)]
