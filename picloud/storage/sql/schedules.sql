-- name: start
INSERT INTO schedules (app_id, trigger, since, accounted_at, next_at, ran_until)
SELECT %(app_id)s, %(trigger)s, %(moment)s, %(moment)s, %(next_at)s, max(first_at)
FROM ticks
WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND outcome = 'ran' AND first_at > %(moment)s

-- name: clock
SELECT clock_timestamp()

-- name: due
SELECT app_id, trigger
FROM schedules AS s
WHERE next_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
    OR s.accounted_at > coalesce(%(now)s::timestamptz, clock_timestamp()) + %(back_max)s::interval
ORDER BY next_at
LIMIT 1000

-- name: next_s
SELECT extract(epoch FROM min(next_at) - clock_timestamp())::float8 FROM schedules

-- name: take
-- With the app, since the transaction that deletes or publishes one takes it first, too.
SELECT s.since, s.accounted_at, s.ran_until, t.source, t.options, coalesce(%(now)s::timestamptz, clock_timestamp())
FROM schedules AS s
JOIN apps AS a ON a.id = s.app_id
JOIN triggers AS t ON t.app_id = s.app_id AND t.name = s.trigger
WHERE s.app_id = %(app_id)s AND s.trigger = %(trigger)s
    AND (
        s.next_at <= coalesce(%(now)s::timestamptz, clock_timestamp())
        OR s.accounted_at > coalesce(%(now)s::timestamptz, clock_timestamp()) + %(back_max)s::interval
    )
FOR NO KEY UPDATE OF s SKIP LOCKED
FOR KEY SHARE OF a SKIP LOCKED

-- name: take_all
SELECT s.trigger, s.since, s.accounted_at, s.ran_until, t.source, t.options
FROM schedules AS s
JOIN triggers AS t ON t.app_id = s.app_id AND t.name = s.trigger
WHERE s.app_id = %(app_id)s AND s.trigger = ANY (%(triggers)s::text[])
ORDER BY s.trigger
FOR UPDATE OF s

-- name: count_running
SELECT count(*) FROM (
    SELECT FROM deliveries WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND NOT is_backfilled LIMIT %(limit)s
) AS running

-- name: hold_runs
-- A run that fails now would be neither among those that wait nor among those that go on.
SELECT FROM deliveries
WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND redrives IS NULL AND NOT is_backfilled
ORDER BY number
FOR UPDATE

-- name: drop_waiting
-- What somebody asked for, by a redrive or a backfill, keeps its place.
WITH dropped AS (
    DELETE FROM deliveries
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND taken_by IS NULL AND redrives IS NULL AND NOT is_backfilled
    RETURNING event_id, job
), noted AS (
    UPDATE ticks AS t
    SET cancelled_at = %(now)s
    FROM dropped AS d
    WHERE t.app_id = %(app_id)s AND t.event_id = d.event_id AND t.trigger = %(trigger)s
), forgotten AS (
    DELETE FROM events AS e
    USING dropped AS d
    WHERE e.app_id = %(app_id)s AND e.id = d.event_id
)
SELECT job FROM dropped

-- name: drop_jobs
-- A statement after that one, to see the jobs as they are when nobody works on the deliveries any more.
DELETE FROM procrastinate_jobs
WHERE status = 'todo' AND id = ANY (%(jobs)s::bigint[])

-- name: cancel_running
-- A job that waits, after a fault of the platform, comes at once, to end with its delivery.
WITH cancelled AS (
    UPDATE deliveries
    SET cancelled_at = %(now)s
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND taken_by IS NOT NULL AND cancelled_at IS NULL
        AND redrives IS NULL AND NOT is_backfilled
    RETURNING taken_by
)
UPDATE procrastinate_jobs AS j
SET scheduled_at = NULL
FROM cancelled AS c
WHERE j.id = c.taken_by AND j.status = 'todo'

-- name: add_events
-- The database makes their deliveries and jobs, but for those of a backfill, which are made below.
INSERT INTO events (app_id, id, kind, name, is_json, payload, due_at, sent_at, is_redriven)
SELECT %(app_id)s, id, 'cron', %(trigger)s, true, payload, %(now)s, %(now)s, %(asked_by)s::text IS NOT NULL
FROM unnest(%(ids)s::uuid[], %(payloads)s::bytea[]) WITH ORDINALITY AS tick (id, payload, place)
ORDER BY place

-- name: add_backfilled
INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at, is_backfilled)
SELECT t.app_id, tick.id, t.name, s.name, t.options, %(now)s, true
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS tick (id, place)
JOIN triggers AS t ON t.app_id = %(app_id)s AND t.name = %(trigger)s
JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
ORDER BY place

-- name: count_backfilled
SELECT count(*) FROM deliveries WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND is_backfilled

-- name: take_one
-- After the app, which a publish takes first, too.
SELECT s.since, s.accounted_at, s.ran_until, t.source, t.options, coalesce(%(now)s::timestamptz, clock_timestamp())
FROM schedules AS s
JOIN triggers AS t ON t.app_id = s.app_id AND t.name = s.trigger
WHERE s.app_id = %(app_id)s AND s.trigger = %(trigger)s
FOR NO KEY UPDATE OF s

-- name: kind
SELECT kind FROM triggers WHERE app_id = %(app_id)s AND name = %(trigger)s

-- name: ran
SELECT first_at
FROM ticks
WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND outcome = 'ran' AND cancelled_at IS NULL
    AND first_at BETWEEN %(start)s AND %(end)s

-- name: add_runs
INSERT INTO ticks (app_id, trigger, since, first_at, last_at, count, outcome, late_ms, event_id, asked_by)
SELECT %(app_id)s, %(trigger)s, %(since)s, at, at, 1, %(outcome)s, late_ms, id, %(asked_by)s
FROM unnest(%(ats)s::timestamptz[], %(late_ms)s::bigint[], %(ids)s::uuid[]) WITH ORDINALITY AS tick (at, late_ms, id, place)
ORDER BY place

-- name: add_passed
-- Makes the entry before longer when the same became of its ticks.
WITH latest AS (
    SELECT number, outcome, since, last_at
    FROM ticks
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s
    ORDER BY number DESC
    LIMIT 1
), longer AS (
    UPDATE ticks AS t
    SET last_at = %(last)s, count = t.count + %(count)s
    FROM latest AS l
    WHERE t.app_id = %(app_id)s AND t.trigger = %(trigger)s AND t.number = l.number
        AND l.outcome = %(outcome)s AND l.since = %(since)s
        -- After a clock was set back the entry before may be later, or what lies between may have run.
        AND l.last_at < %(first)s AND (%(ran_until)s::timestamptz IS NULL OR %(ran_until)s < %(first)s)
    RETURNING t.number
)
INSERT INTO ticks (app_id, trigger, since, first_at, last_at, count, outcome)
SELECT %(app_id)s, %(trigger)s, %(since)s, %(first)s, %(last)s, %(count)s, %(outcome)s
WHERE NOT EXISTS (SELECT FROM longer)

-- name: advance
UPDATE schedules
SET accounted_at = %(until)s, next_at = %(next_at)s
WHERE app_id = %(app_id)s AND trigger = %(trigger)s

-- name: set_back
UPDATE schedules
SET accounted_at = %(now)s, next_at = %(next_at)s, ran_until = greatest(ran_until, (
    SELECT max(first_at)
    FROM ticks
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND outcome = 'ran' AND first_at > %(now)s
))
WHERE app_id = %(app_id)s AND trigger = %(trigger)s

-- name: hasten
-- What got its time from the clock that was ahead.
WITH hastened AS (
    UPDATE deliveries
    SET due_at = greatest(%(now)s, due_at - (%(accounted)s - %(now)s))
    WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND taken_by IS NULL AND due_at >= %(accounted)s
    RETURNING job, due_at
)
UPDATE procrastinate_jobs AS j
SET scheduled_at = h.due_at
FROM hastened AS h
WHERE j.id = h.job AND j.status = 'todo'

-- name: ran_at
SELECT first_at
FROM ticks
WHERE app_id = %(app_id)s AND trigger = %(trigger)s AND outcome = 'ran' AND first_at = ANY (%(ats)s::timestamptz[])

-- name: list_ticks
SELECT first_at, last_at, count, outcome, late_ms, event_id, cancelled_at, asked_by
FROM ticks
WHERE app_id = %(app_id)s AND trigger = %(trigger)s
ORDER BY number DESC
LIMIT %(limit)s
