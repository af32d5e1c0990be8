-- name: delete_expired_tokens
DELETE FROM tokens
WHERE expires_at < now() - %(kept)s

-- name: delete_old_ticks
-- A tick that ran is kept from then on: a backfill looks at what ran, and its own ticks may be of long ago.
DELETE FROM ticks
WHERE last_at + coalesce(late_ms, 0) * interval '1 millisecond' < now() - %(kept)s

-- name: delete_old_letters
DELETE FROM dead_letters
WHERE state <> 'open' AND decided_at < now() - make_interval(days => %(decided_days)s::integer)
    OR state = 'open' AND failed_at < now() - make_interval(days => %(open_days)s::integer)
