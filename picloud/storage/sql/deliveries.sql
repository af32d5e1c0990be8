-- name: take
-- Waits for another job that is just taking it: if that one dies, nobody else would. Does not wait for the disk: a take that
-- a server forgets as it dies counts for nothing, and the job takes it again.
-- A job that was taken over from its worker is another's. A tick that took the place of runs is due when they have ended.
UPDATE deliveries AS d
SET taken_by = %(job_id)s, lease = %(token)s
FROM deliveries AS before, events AS e, apps AS a
WHERE d.app_id = %(app_id)s AND d.event_id = %(event_id)s AND d.trigger = %(trigger)s
    AND coalesce(d.taken_by, d.job) = %(job_id)s AND EXISTS (
        SELECT FROM procrastinate_jobs AS j
        WHERE j.id = %(job_id)s AND j.worker_id IS NOT DISTINCT FROM %(worker_id)s
    )
    AND (d.cancelled_at IS NOT NULL OR d.due_at <= now() AND NOT (
        coalesce(d.options ->> 'overlap' = 'cancel', false) AND EXISTS (
            SELECT FROM deliveries AS c
            WHERE c.app_id = d.app_id AND c.trigger = d.trigger AND c.event_id <> d.event_id AND c.cancelled_at IS NOT NULL
        )
    ))
    AND before.app_id = d.app_id AND before.event_id = d.event_id AND before.trigger = d.trigger
    AND e.app_id = d.app_id AND e.id = d.event_id AND a.id = d.app_id
RETURNING set_config('synchronous_commit', 'off', true), d.cancelled_at IS NOT NULL, before.taken_by IS NOT NULL, a.id, a.name,
    a.revision, a.created_at, d.trigger, d.script, d.options, d.attempts, d.redrives, e.id, e.kind, e.name, e.operation, e.key,
    e.is_json, e.payload, e.before, e.version, extract(epoch FROM e.sent_at)::float8, e.depth

-- name: take_more
-- Those the job had before it was interrupted, or the oldest that wait, after the order of an index.
WITH own AS (
    SELECT d.script, d.options, length(e.payload) AS size
    FROM deliveries AS d
    JOIN events AS e ON e.app_id = d.app_id AND e.id = d.event_id
    WHERE d.app_id = %(app_id)s AND d.event_id = %(event_id)s AND d.trigger = %(trigger)s
), held AS (
    SELECT d.event_id, d.number
    FROM deliveries AS d
    WHERE d.app_id = %(app_id)s AND d.trigger = %(trigger)s AND d.taken_by = %(job_id)s AND d.event_id <> %(event_id)s
    LIMIT CASE WHEN %(again)s THEN %(more)s ELSE 0 END
    FOR UPDATE
), waiting AS (
    SELECT d.event_id, d.ready_at, d.number
    FROM deliveries AS d
    WHERE d.app_id = %(app_id)s AND d.trigger = %(trigger)s AND d.ready_at <= now() AND d.taken_by IS NULL
        AND d.script = (SELECT script FROM own) AND d.options = (SELECT options FROM own)
    ORDER BY d.ready_at, d.number
    LIMIT CASE WHEN %(again)s THEN 0 ELSE %(more)s END
    FOR UPDATE SKIP LOCKED
), sized AS (
    SELECT w.event_id, w.number, (SELECT size FROM own) + sum(length(e.payload)) OVER (ORDER BY w.number) AS size
    FROM (SELECT event_id, number FROM held UNION ALL SELECT event_id, number FROM waiting) AS w
    JOIN events AS e ON e.app_id = %(app_id)s AND e.id = w.event_id
), taken AS (
    UPDATE deliveries AS d
    SET taken_by = %(job_id)s, lease = %(token)s
    FROM sized AS s
    WHERE d.app_id = %(app_id)s AND d.event_id = s.event_id AND d.trigger = %(trigger)s AND s.size <= 4194304
    RETURNING d.app_id, d.event_id, d.trigger, d.script, d.options, d.attempts, d.redrives, s.number
)
SELECT a.id, a.name, a.revision, a.created_at, t.trigger, t.script, t.options, t.attempts, t.redrives, e.id, e.kind, e.name,
    e.operation, e.key, e.is_json, e.payload, e.before, e.version, extract(epoch FROM e.sent_at)::float8, e.depth
FROM taken AS t
JOIN events AS e ON e.app_id = t.app_id AND e.id = t.event_id
JOIN apps AS a ON a.id = t.app_id
ORDER BY t.number

-- name: leave
-- A job whose delivery is not due comes again then; others had it, or have it, and the job is of no more use. Whoever has lost
-- the job to another worker leaves it alone.
WITH own AS (
    SELECT CASE WHEN due_at > now() THEN due_at ELSE now() + interval '1 second' END AS due_at
    FROM deliveries
    WHERE app_id = %(app_id)s AND event_id = %(event_id)s AND trigger = %(trigger)s
        AND coalesce(taken_by, job) = %(job_id)s
), again AS (
    UPDATE procrastinate_jobs AS j
    SET status = 'todo', scheduled_at = own.due_at, abort_requested = false
    FROM own
    WHERE j.id = %(job_id)s AND j.worker_id IS NOT DISTINCT FROM %(worker_id)s
)
DELETE FROM procrastinate_jobs
WHERE id = %(job_id)s AND worker_id IS NOT DISTINCT FROM %(worker_id)s AND NOT EXISTS (SELECT FROM own)

-- name: settle
SELECT picloud_settle(%(app_id)s, %(trigger)s, %(event_ids)s::uuid[], %(token)s)

-- name: end_job
-- Deliveries that went with their app leave the job behind.
DELETE FROM procrastinate_jobs
WHERE id = %(job_id)s AND NOT EXISTS (
    SELECT FROM deliveries
    WHERE app_id = %(app_id)s AND event_id = ANY (%(event_ids)s::uuid[]) AND trigger = %(trigger)s
        AND %(job_id)s IN (job, taken_by)
)

-- name: count_failure
SELECT picloud_count_failure(%(app_id)s, %(trigger)s, %(event_id)s, %(token)s, %(failure)s::jsonb, %(retry_at)s)

-- name: bury
INSERT INTO dead_letters (app_id, event_id, kind, name, operation, key, is_json, payload, before, version, sent_at, depth,
    trigger, script, options, code, message, attempts, failures, failed_at, redrives)
SELECT d.app_id, d.event_id, e.kind, e.name, e.operation, e.key, e.is_json, e.payload, e.before, e.version, e.sent_at, e.depth,
    d.trigger, d.script, d.options, %(code)s, %(message)s, d.attempts, d.failures, %(failed_at)s,
    d.redrives
FROM deliveries AS d
JOIN events AS e ON e.app_id = d.app_id AND e.id = d.event_id
WHERE d.app_id = %(app_id)s AND d.trigger = %(trigger)s AND d.event_id = %(event_id)s AND d.lease = %(token)s

-- name: cancelled
SELECT app_id, event_id, trigger FROM deliveries WHERE cancelled_at IS NOT NULL

-- name: end_cancelled
WITH ended AS (
    DELETE FROM deliveries
    WHERE app_id = %(app_id)s AND event_id = %(event_id)s AND trigger = %(trigger)s AND cancelled_at IS NOT NULL
        AND lease = %(token)s
    RETURNING app_id, event_id, trigger, cancelled_at, job, taken_by
), noted AS (
    UPDATE ticks AS t
    SET cancelled_at = e.cancelled_at
    FROM ended AS e
    WHERE t.app_id = e.app_id AND t.event_id = e.event_id AND t.trigger = e.trigger
), forgotten AS (
    DELETE FROM events AS v
    USING ended AS e
    WHERE v.app_id = e.app_id AND v.id = e.event_id
), done AS (
    DELETE FROM procrastinate_jobs AS j USING ended AS e WHERE j.id = ANY (ARRAY[e.job, e.taken_by])
)
SELECT FROM ended

-- name: delete_settled
SELECT picloud_delete_settled()

-- name: revive
SELECT picloud_revive()
