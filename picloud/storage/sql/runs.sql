-- name: add
-- Nothing for an app that is gone meanwhile, nor for a run that is there: a connection may be lost after it has written.
INSERT INTO runs (app_id, id, kind, script, version, revision, trigger, subject, principal, request_id, events, redrives, status,
    code, message, http_status, started_at, duration_ms, alike, details, input, input_bytes)
SELECT a.id, %(id)s, %(kind)s, %(script)s, %(version)s, %(revision)s, %(trigger)s, %(subject)s, %(principal)s, %(request_id)s,
    %(events)s, %(redrives)s, %(status)s, %(code)s, %(message)s, %(http_status)s, %(started_at)s, %(duration_ms)s, %(alike)s,
    %(details)s, %(input)s, %(input_bytes)s
FROM apps AS a
WHERE a.id = %(app_id)s
FOR KEY SHARE
ON CONFLICT DO NOTHING

-- name: list
SELECT r.number, r.id, r.app_id, r.kind, r.script, r.version, r.revision, r.trigger, r.subject, r.principal, r.request_id, r.events,
    r.redrives, r.status, r.code, r.message, r.http_status, r.started_at, r.duration_ms, r.alike, r.details, NULL, r.input_bytes
FROM runs AS r
WHERE r.app_id = %(app_id)s
    AND (%(before)s::bigint IS NULL OR r.number < %(before)s)
    AND (%(script)s::text IS NULL OR r.script = %(script)s)
    AND (%(trigger)s::text IS NULL OR r.trigger = %(trigger)s)
    AND (%(name)s::text IS NULL OR r.script = %(name)s OR r.trigger = %(name)s)
    AND (%(statuses)s::text[] IS NULL OR r.status = ANY (%(statuses)s))
    AND (%(request_id)s::text IS NULL OR r.request_id = %(request_id)s)
    AND (%(event)s::uuid IS NULL OR %(event)s = ANY (r.events))
    AND (%(redrives)s::uuid IS NULL OR r.redrives = %(redrives)s)
ORDER BY r.number DESC
LIMIT %(limit)s

-- name: find
-- Ids that begin so, as text sorts them; two are enough to know that it is not one.
SELECT r.number, r.id, r.app_id, r.kind, r.script, r.version, r.revision, r.trigger, r.subject, r.principal, r.request_id, r.events,
    r.redrives, r.status, r.code, r.message, r.http_status, r.started_at, r.duration_ms, r.alike, r.details, r.input, r.input_bytes
FROM runs AS r
WHERE r.app_id = %(app_id)s AND r.id BETWEEN %(first)s AND %(last)s
LIMIT 2

-- name: source
SELECT source
FROM sources
WHERE app_id = %(app_id)s AND version = %(version)s

-- name: kept_days
SELECT runs_kept_days
FROM apps
WHERE id = %(app_id)s

-- name: keep_days
UPDATE apps
SET runs_kept_days = %(days)s
WHERE id = %(app_id)s

-- name: surplus
-- Of each app and status the newest run that is too many, so that what ends well never pushes out what failed.
SELECT a.id, s.status, n.number
FROM apps AS a
CROSS JOIN (VALUES ('succeeded'), ('failed'), ('refused'), ('interrupted'), ('fault')) AS s (status)
CROSS JOIN LATERAL (
    SELECT r.number
    FROM runs AS r
    WHERE r.app_id = a.id AND r.status = s.status
    ORDER BY r.number DESC
    OFFSET %(kept)s
    LIMIT 1
) AS n

-- name: delete_up_to
DELETE FROM runs
WHERE app_id = %s AND status = %s AND number <= %s

-- name: delete_old
DELETE FROM runs AS r
USING apps AS a
WHERE a.id = r.app_id
    AND r.started_at < now() - make_interval(days => CASE r.status
        WHEN 'succeeded' THEN coalesce(a.runs_kept_days, %(days)s)
        ELSE %(failed_days)s
    END)
