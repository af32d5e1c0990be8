-- name: own
-- Waits for another job that is just taking it: if that one dies, nobody else would.
-- A tick that took the place of runs is due when they have ended.
SELECT (d.options ->> 'batch')::integer, CASE WHEN w.waits THEN now() + interval '1 second' ELSE d.due_at END,
    d.due_at <= now() AND NOT w.waits, d.cancelled_at IS NOT NULL
FROM deliveries AS d, LATERAL (
    SELECT coalesce(d.options ->> 'overlap' = 'cancel', false) AND EXISTS (
        SELECT FROM deliveries AS c
        WHERE c.app_id = d.app_id AND c.trigger = d.trigger AND c.event_id <> d.event_id AND c.cancelled_at IS NOT NULL
    ) AS waits
) AS w
WHERE d.app_id = %(app_id)s AND d.event_id = %(event_id)s AND d.trigger = %(trigger)s
    AND (d.taken_by IS NULL OR d.taken_by = %(job_id)s)
FOR UPDATE OF d

-- name: take
-- The job's own delivery comes with others of its trigger: those it had before it was interrupted, or those that wait.
WITH own AS (
    SELECT script, options, attempts
    FROM deliveries
    WHERE app_id = %(app_id)s AND event_id = %(event_id)s AND trigger = %(trigger)s
), chosen AS (
    SELECT d.app_id, d.event_id, d.trigger, row_number() OVER (ORDER BY d.place, d.number) AS place,
        sum(d.size) OVER (ORDER BY d.place, d.number) AS size
    FROM (
        SELECT w.app_id, w.event_id, w.trigger, w.number, e.size,
            CASE WHEN w.event_id = %(event_id)s THEN 0 WHEN w.taken_by IS NULL THEN 2 ELSE 1 END AS place
        FROM deliveries AS w
        JOIN own ON own.script = w.script AND own.options = w.options
        JOIN LATERAL (
            SELECT length(payload) AS size, due_at FROM events AS e WHERE e.app_id = w.app_id AND e.id = w.event_id
        ) AS e ON true
        WHERE w.app_id = %(app_id)s AND w.trigger = %(trigger)s
            -- What has failed is taken alone: else one message would fail all those beside it again and again.
            AND (w.event_id = %(event_id)s OR %(batch)s > 1 AND own.attempts = 0 AND w.attempts = 0)
            AND (
                w.taken_by = %(job_id)s
                OR w.taken_by IS NULL AND (w.due_at <= now() OR w.attempts = 0 AND e.due_at <= now())
            )
        ORDER BY place, w.number
        LIMIT %(batch)s
        FOR UPDATE OF w SKIP LOCKED
    ) AS d
), taken AS (
    UPDATE deliveries AS d
    SET taken_by = %(job_id)s
    FROM chosen AS c
    WHERE d.app_id = c.app_id AND d.event_id = c.event_id AND d.trigger = c.trigger AND (c.place = 1 OR c.size <= 4194304)
    RETURNING d.app_id, d.event_id, d.trigger, d.script, d.options, d.attempts, d.redrives, c.place
)
SELECT a.id, a.name, a.revision, a.created_at, t.trigger, t.script, t.options, t.attempts, t.redrives, e.id, e.kind, e.name,
    e.operation, e.key, e.is_json, e.payload, e.before, e.version, extract(epoch FROM e.sent_at)::float8, e.depth
FROM taken AS t
JOIN events AS e ON e.app_id = t.app_id AND e.id = t.event_id
JOIN apps AS a ON a.id = t.app_id
ORDER BY t.place

-- name: settle
WITH done AS (
    DELETE FROM deliveries
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND event_id = ANY (%(event_ids)s::uuid[]) AND taken_by = %(job_id)s
    RETURNING event_id
)
DELETE FROM events AS e
USING done
WHERE e.app_id = %(app_id)s AND e.id = done.event_id
    AND NOT EXISTS (
        SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id AND d.trigger <> %(trigger)s
    )

-- name: count_failure
WITH failed AS (
    UPDATE deliveries AS d
    SET attempts = d.attempts + 1, failures = d.failures || %(failure)s::jsonb, due_at = coalesce(%(retry_at)s, d.due_at),
        taken_by = CASE WHEN %(retry_at)s::timestamptz IS NULL THEN d.taken_by END
    WHERE d.app_id = %(app_id)s AND d.trigger = %(trigger)s AND d.event_id = ANY (%(event_ids)s::uuid[])
        AND d.taken_by = %(job_id)s
    RETURNING d AS delivery
)
SELECT picloud_defer(delivery) FROM failed WHERE %(in_batch)s AND %(retry_at)s::timestamptz IS NOT NULL

-- name: bury
INSERT INTO dead_letters (app_id, event_id, kind, name, operation, key, is_json, payload, before, version, sent_at, depth,
    trigger, script, options, code, message, attempts, failures, failed_at, redrives)
SELECT d.app_id, d.event_id, e.kind, e.name, e.operation, e.key, e.is_json, e.payload, e.before, e.version, e.sent_at, e.depth,
    d.trigger, d.script, d.options, %(code)s, %(message)s, d.attempts, d.failures, %(failed_at)s,
    d.redrives
FROM deliveries AS d
JOIN events AS e ON e.app_id = d.app_id AND e.id = d.event_id
WHERE d.app_id = %(app_id)s AND d.trigger = %(trigger)s AND d.event_id = ANY (%(event_ids)s::uuid[]) AND d.taken_by = %(job_id)s

-- name: hold_app
-- A publish holds the app before it comes to its deliveries, and so does who buries one of them.
SELECT FROM apps WHERE id = %(app_id)s FOR KEY SHARE

-- name: cancelled
SELECT app_id, event_id, trigger FROM deliveries WHERE cancelled_at IS NOT NULL

-- name: end_cancelled
WITH ended AS (
    DELETE FROM deliveries
    WHERE app_id = %(app_id)s AND event_id = %(event_id)s AND trigger = %(trigger)s AND cancelled_at IS NOT NULL
        AND (taken_by IS NULL OR taken_by = %(job_id)s)
    RETURNING app_id, event_id, trigger, cancelled_at
), noted AS (
    UPDATE ticks AS t
    SET cancelled_at = e.cancelled_at
    FROM ended AS e
    WHERE t.app_id = e.app_id AND t.event_id = e.event_id AND t.trigger = e.trigger
), forgotten AS (
    DELETE FROM events AS v
    USING ended AS e
    WHERE v.app_id = e.app_id AND v.id = e.event_id
)
SELECT FROM ended

-- name: delete_settled
DELETE FROM events AS e
WHERE e.kind <> 'queue' AND e.sent_at < now() - interval '1 minute'
    AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id)
