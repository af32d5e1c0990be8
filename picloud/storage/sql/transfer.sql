-- What an app owns, table by table, as it is exported and imported.

-- name: begin_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: begin_import
SET LOCAL picloud.importing = 'on'

-- name: in_utc
SET LOCAL timezone = 'UTC'

-- name: read
SELECT {columns}
FROM {table}
WHERE app_id = %(app_id)s
ORDER BY {order}

-- name: write
COPY {table} ({columns}) FROM STDIN

-- name: release_numbers
SELECT number
FROM releases
WHERE app_id = %(app_id)s
ORDER BY number

-- name: manifest
SELECT manifest
FROM releases
WHERE app_id = %(app_id)s AND number = %(number)s

-- name: count_sources
SELECT count(*)
FROM sources
WHERE app_id = %(app_id)s

-- name: most_indexes
SELECT coalesce(max(indexes), 0)
FROM (SELECT count(*) AS indexes FROM document_indexes WHERE app_id = %(app_id)s GROUP BY collection) AS counted

-- name: finish_app
UPDATE apps
SET revision = %(revision)s, created_at = %(created_at)s
WHERE id = %(app_id)s
