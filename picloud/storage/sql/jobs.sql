-- name: register_worker
-- On the disk: a server that forgets it as it dies would give its number to another worker.
SELECT worker_id, set_config('synchronous_commit', 'on', true) FROM procrastinate_register_worker_v1()

-- name: end_job
-- A server that dies may forget a job, and give its number to another one.
WITH deleted AS (
    DELETE FROM procrastinate_jobs
    WHERE id = %(job_id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker_id)s AND %(delete)s
)
UPDATE procrastinate_jobs
SET status = %(status)s::procrastinate_job_status, attempts = attempts + 1, abort_requested = false
WHERE id = %(job_id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker_id)s AND NOT %(delete)s

-- name: retry_job
UPDATE procrastinate_jobs
SET status = 'todo', attempts = attempts + 1, scheduled_at = %(retry_at)s, abort_requested = false
WHERE id = %(job_id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker_id)s
RETURNING id
