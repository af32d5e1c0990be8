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
