-- Entries that have expired are as if they were not there. Versions come from the clock of the database, so that an entry
-- that was deleted and set again never has a version it had before.

-- name: get
SELECT is_json, value, version
FROM kv_entries
WHERE app_id = %(app_id)s AND key = %(key)s AND (expires_at IS NULL OR expires_at > to_timestamp(%(now)s))

-- name: exists
SELECT 1
FROM kv_entries
WHERE app_id = %(app_id)s AND key = %(key)s AND (expires_at IS NULL OR expires_at > to_timestamp(%(now)s))

-- name: get_many
SELECT key, is_json, CASE WHEN sum(length(value)) OVER () <= %(bytes_max)s THEN value END
FROM kv_entries
WHERE app_id = %(app_id)s AND key = ANY(%(keys)s::bytea[]) AND (expires_at IS NULL OR expires_at > to_timestamp(%(now)s))

-- name: list
SELECT key, is_json, value, version, available
FROM (
    SELECT key, is_json, value, version, count(*) OVER () AS available,
        row_number() OVER within AS number, sum(length(value)) OVER within AS size
    FROM (
        SELECT key, is_json, value, version
        FROM kv_entries
        WHERE app_id = %(app_id)s AND key >= %(first)s AND key > %(after)s AND (%(end)s::bytea IS NULL OR key < %(end)s)
            AND (expires_at IS NULL OR expires_at > to_timestamp(%(now)s))
        ORDER BY key
        LIMIT %(limit)s
    ) AS page
    WINDOW within AS (ORDER BY key)
) AS measured
WHERE number = 1 OR size <= %(bytes_max)s
ORDER BY key

-- name: set
INSERT INTO kv_entries AS kv (app_id, key, is_json, value, version, expires_at)
VALUES (%(app_id)s, %(key)s, %(is_json)s, %(value)s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    to_timestamp(%(expires)s))
ON CONFLICT (app_id, key) DO UPDATE
SET is_json = EXCLUDED.is_json, value = EXCLUDED.value, version = greatest(kv.version + 1, EXCLUDED.version),
    expires_at = EXCLUDED.expires_at
WHERE NOT %(only_if_absent)s OR kv.expires_at <= to_timestamp(%(now)s)
RETURNING version

-- name: swap
UPDATE kv_entries
SET is_json = %(is_json)s, value = %(value)s, expires_at = to_timestamp(%(expires)s),
    version = greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
WHERE app_id = %(app_id)s AND key = %(key)s AND version = %(if_version)s
    AND (expires_at IS NULL OR expires_at > to_timestamp(%(now)s))
RETURNING version

-- name: set_many
INSERT INTO kv_entries AS kv (app_id, key, is_json, value, version, expires_at)
SELECT %(app_id)s, entry.key, entry.is_json, entry.value, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    to_timestamp(%(expires)s)
FROM unnest(%(keys)s::bytea[], %(are_json)s::boolean[], %(contents)s::bytea[]) AS entry (key, is_json, value)
ORDER BY entry.key
ON CONFLICT (app_id, key) DO UPDATE
SET is_json = EXCLUDED.is_json, value = EXCLUDED.value, version = greatest(kv.version + 1, EXCLUDED.version),
    expires_at = EXCLUDED.expires_at

-- name: incr
INSERT INTO kv_entries AS kv (app_id, key, is_json, value, version, expires_at)
VALUES (%(app_id)s, %(key)s, true, convert_to(%(by)s::bigint::text, 'UTF8'),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, to_timestamp(%(expires)s))
ON CONFLICT (app_id, key) DO UPDATE
SET is_json = true, version = greatest(kv.version + 1, EXCLUDED.version),
    value = CASE
        WHEN kv.expires_at <= to_timestamp(%(now)s) THEN EXCLUDED.value
        ELSE convert_to((encode(kv.value, 'escape')::bigint + %(by)s::bigint)::text, 'UTF8')
    END,
    expires_at = CASE WHEN kv.expires_at <= to_timestamp(%(now)s) THEN EXCLUDED.expires_at ELSE kv.expires_at END
WHERE kv.expires_at <= to_timestamp(%(now)s)
    OR CASE
        WHEN kv.is_json AND length(kv.value) <= 20 THEN encode(kv.value, 'escape') ~ '^-?[0-9]{1,19}$'
        ELSE false
    END
RETURNING encode(value, 'escape')::bigint

-- name: delete
DELETE FROM kv_entries
WHERE app_id = %(app_id)s AND key = %(key)s AND (%(if_version)s::bigint IS NULL OR version = %(if_version)s)
RETURNING expires_at IS NULL OR expires_at > to_timestamp(%(now)s)

-- name: delete_many
DELETE FROM kv_entries
WHERE app_id = %(app_id)s AND key = ANY(%(keys)s::bytea[])

-- name: lock
-- Keys that are not there get a row that has always been expired, so that they are locked, too.
INSERT INTO kv_entries AS kv (app_id, key, is_json, value, version, expires_at)
SELECT %(app_id)s, wanted.key, false, '', 0, '-infinity'
FROM unnest(%(keys)s::bytea[]) AS wanted (key)
ORDER BY wanted.key
ON CONFLICT (app_id, key) DO UPDATE SET key = kv.key
RETURNING key, CASE WHEN expires_at <= to_timestamp(%(now)s) THEN NULL ELSE version END

-- name: unlock
DELETE FROM kv_entries
WHERE app_id = %(app_id)s AND key = ANY(%(keys)s::bytea[]) AND expires_at = '-infinity'

-- name: delete_expired
DELETE FROM kv_entries
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM kv_entries WHERE expires_at < now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
))
