import pytest

from picloud.storage.database import Database
from picloud.storage.housekeeping import delete_expired_tokens, delete_old_letters, delete_old_ticks


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


def test_a_tick_that_ran_late_is_kept_from_then_on(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('shop')")
        connection.execute(
            "INSERT INTO ticks (app_id, trigger, since, first_at, last_at, count, outcome, late_ms, event_id) "
            "SELECT id, 'job', now(), at, at, 1, 'ran', late_ms, gen_random_uuid() FROM apps, (VALUES "
            "(now() - interval '2000 years', extract(epoch FROM interval '2000 years')::bigint * 1000), "
            "(now() - interval '9 days', 0)) AS v (at, late_ms)"
        )
    assert delete_old_ticks(database) == 1
    with database.connection() as connection:
        assert connection.execute("SELECT late_ms > 0 FROM ticks").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("open_days", "decided_days", "left"),
    [
        (None, 30, ["discarded 1", "open 400", "open 90"]),
        (100, 30, ["discarded 1", "open 90"]),
        (36_500, 36_500, ["discarded 1", "open 400", "open 90", "redriven 400"]),
    ],
)
def test_letters_that_were_decided_over_long_ago_are_deleted(
    database: Database, open_days: int | None, decided_days: int, left: list[str]
) -> None:
    with database.connection() as connection:
        connection.execute("INSERT INTO apps (name) VALUES ('shop')")
        connection.execute(
            "INSERT INTO dead_letters (app_id, event_id, kind, name, is_json, payload, depth, trigger, script, "
            "options, code, message, attempts, failures, sent_at, failed_at, state, decided_at) "
            "SELECT id, gen_random_uuid(), 'queue', 'q', true, '1', 0, 't', 's', '{}', 'c', state || ' ' || days, 1, "
            "'[]', now(), now() - make_interval(days => days), state, "
            "CASE WHEN state <> 'open' THEN now() - make_interval(days => days) END FROM apps, "
            "(VALUES ('open', 400), ('open', 90), ('redriven', 400), ('discarded', 1)) AS v (state, days)"
        )
    assert delete_old_letters(database, open_days=open_days, decided_days=decided_days) == 4 - len(left)
    with database.connection() as connection:
        found = connection.execute("SELECT message FROM dead_letters ORDER BY message").fetchall()
    assert [message for (message,) in found] == left
