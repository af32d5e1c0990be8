-- name: matching
app_id = %(app_id)s
    AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s::uuid[]))
    AND (%(state)s::text IS NULL OR state = %(state)s::text)
    AND (%(trigger)s::text IS NULL OR trigger = %(trigger)s::text)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
    AND (%(code)s::text IS NULL OR code = %(code)s::text)
    AND (%(text)s::text IS NULL OR strpos(lower(message), lower(%(text)s::text)) > 0)
    AND (%(failed_after)s::timestamptz IS NULL OR failed_at >= %(failed_after)s::timestamptz)
    AND (%(failed_before)s::timestamptz IS NULL OR failed_at < %(failed_before)s::timestamptz)

-- name: page
-- Newest first. Of inputs, a page has `bytes_max` in all, but for its first letter.
SELECT id, event_id, trigger, kind, name, operation, key, version, script, code, message, attempts, sent_at, failed_at, state,
    decided_at, decided_by, redriven_as, redrives, is_json, CASE WHEN %(with_input)s THEN payload END,
    CASE WHEN %(whole)s THEN before END, CASE WHEN %(whole)s THEN failures ELSE '[]' END, found
FROM (
    SELECT *, count(*) OVER () AS found, row_number() OVER newest AS place, sum(length(payload)) OVER newest AS size
    FROM (
        SELECT *
        FROM dead_letters
        WHERE {matching}
            AND (
                %(after_at)s::timestamptz IS NULL
                OR (failed_at, id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)
            )
        ORDER BY failed_at DESC, id DESC
        LIMIT %(limit)s
    ) AS letters
    WINDOW newest AS (ORDER BY failed_at DESC, id DESC)
) AS measured
WHERE NOT %(with_input)s OR place = 1 OR coalesce(size, 0) <= %(bytes_max)s
ORDER BY failed_at DESC, id DESC

-- name: begin_with
SELECT id
FROM dead_letters
WHERE app_id = %(app_id)s AND id BETWEEN %(lowest)s AND %(highest)s
ORDER BY id
LIMIT 2

-- name: lock_app
-- Those who decide over many letters take turns: their letters may be of the same events, and wait for each other.
SELECT FROM apps WHERE id = %(app_id)s FOR NO KEY UPDATE

-- name: choose
SELECT id
FROM dead_letters
WHERE {matching}
ORDER BY failed_at, id
LIMIT %(limit)s
FOR UPDATE

-- name: redrive
SELECT id, picloud_redrive(%(app_id)s, id, %(edited)s, %(edited_is_json)s, %(by)s)
FROM unnest(%(ids)s::uuid[]) AS letters (id)

-- name: discard
UPDATE dead_letters
SET state = 'discarded', decided_at = clock_timestamp(), decided_by = %(by)s
WHERE app_id = %(app_id)s AND id = ANY (%(ids)s::uuid[]) AND state = 'open'
RETURNING id
