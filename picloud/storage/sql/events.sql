-- name: send
INSERT INTO events (app_id, id, kind, name, is_json, payload, dedupe_key, due_at, sent_at)
SELECT %(app_id)s, message.id, %(kind)s, %(name)s, message.is_json, message.payload, %(dedupe_key)s,
    to_timestamp(%(due)s), to_timestamp(%(now)s)
FROM unnest(%(ids)s::uuid[], %(are_json)s::boolean[], %(payloads)s::bytea[])
    WITH ORDINALITY AS message (id, is_json, payload, place)
ORDER BY message.place
ON CONFLICT (app_id, kind, name, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
RETURNING id

-- name: count
SELECT count(*)
FROM events
WHERE app_id = %(app_id)s AND kind = %(kind)s AND name = %(name)s

-- name: list_dead
SELECT id, kind, name, is_json, payload, script, code, message, attempts,
    extract(epoch FROM sent_at)::float8, (extract(epoch FROM failed_at) * 1000000)::bigint
FROM dead_letters
WHERE app_id = %(app_id)s AND state = 'open'
    AND (
        %(before_us)s::bigint IS NULL
        OR (failed_at, id) < ('epoch'::timestamptz + %(before_us)s * interval '1 microsecond', %(before_id)s::uuid)
    )
ORDER BY failed_at DESC, id DESC
LIMIT %(limit)s

-- name: get_dead
SELECT id, kind, name, is_json, payload, script, code, message, attempts,
    extract(epoch FROM sent_at)::float8, (extract(epoch FROM failed_at) * 1000000)::bigint
FROM dead_letters
WHERE app_id = %(app_id)s AND id = %(id)s AND state = 'open'

-- name: redrive
SELECT picloud_redrive(%(app_id)s, %(id)s, %(edited)s, %(edited_is_json)s, %(by)s)

-- name: discard
UPDATE dead_letters
SET state = 'discarded', decided_at = clock_timestamp(), decided_by = %(by)s
WHERE app_id = %(app_id)s AND id = %(id)s AND state = 'open'
RETURNING id
