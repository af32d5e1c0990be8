-- name: next_number
SELECT coalesce(max(number), 0) + 1 FROM releases WHERE app_id = %(app_id)s

-- name: add_release
INSERT INTO releases (app_id, number, manifest, author, message, notebook, forced_reason, forced_failures)
VALUES (
    %(app_id)s, %(number)s, %(manifest)s, %(author)s, %(message)s, %(notebook)s, %(forced_reason)s, %(forced_failures)s
)
RETURNING created_at

-- name: list_releases
SELECT number, author, message, notebook, created_at, forced_reason, forced_failures
FROM releases
WHERE app_id = %(app_id)s
ORDER BY number DESC

-- name: get_release
SELECT number, author, message, notebook, created_at, forced_reason, forced_failures, manifest
FROM releases
WHERE app_id = %(app_id)s AND number = coalesce(%(number)s, (SELECT max(number) FROM releases WHERE app_id = %(app_id)s))

-- name: get_sources
SELECT version, source
FROM sources
WHERE app_id = %(app_id)s AND version = ANY (%(versions)s)
