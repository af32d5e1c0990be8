from picloud.storage.database import Database
from picloud.storage.housekeeping import delete_decided_letters, delete_expired_tokens, delete_old_ticks


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


def test_ticks_are_kept_for_a_week(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('shop')")
        connection.execute(
            "INSERT INTO ticks (app_id, trigger, since, first_at, last_at, count, outcome) "
            "SELECT id, 'job', now(), now() - interval '9 days', now() - make_interval(days => days), days, 'too_late' "
            "FROM apps, unnest(ARRAY[6, 8]) AS days"
        )
    assert delete_old_ticks(database) == 1
    with database.connection() as connection:
        assert connection.execute("SELECT count FROM ticks").fetchall() == [(6,)]


def test_letters_that_were_decided_over_long_ago_are_deleted(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('shop')")
        connection.execute(
            "INSERT INTO dead_letters (app_id, event_id, kind, name, is_json, payload, depth, trigger, script, "
            "options, code, message, attempts, failures, sent_at, failed_at, state, decided_at) "
            "SELECT id, gen_random_uuid(), 'queue', 'q', true, '1', 0, 't', 's', '{}', 'c', 'm', 1, '[]', "
            "now(), now(), state, now() - age "
            "FROM apps, "
            "(VALUES ('open', interval '1 year'), ('redriven', '1 year'), ('discarded', '1 day')) AS v (state, age)"
        )
    assert delete_decided_letters(database) == 1
    with database.connection() as connection:
        left = connection.execute("SELECT state FROM dead_letters ORDER BY state").fetchall()
    assert left == [("discarded",), ("open",)]
