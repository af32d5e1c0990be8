-- Versions come from the clock of the database, so that a document that was deleted and made again never has a version it had
-- before. `keep_document_keys` (a trigger) writes what the indexes need.

-- name: get
SELECT id, version, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), body
FROM documents
WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(id)s

-- name: insert
INSERT INTO documents (app_id, collection, id, version, created_at, updated_at, body, search)
VALUES (%(app_id)s, %(collection)s, %(id)s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    to_timestamp(%(now)s), to_timestamp(%(now)s), %(body)s, %(search)s::jsonb)
ON CONFLICT (app_id, collection, id) DO NOTHING
RETURNING version

-- name: replace
UPDATE documents
SET version = greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    updated_at = to_timestamp(%(now)s), body = %(body)s, search = %(search)s::jsonb
WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(id)s
    AND (%(if_version)s::bigint IS NULL OR version = %(if_version)s)
RETURNING id, version, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

-- name: lock
SELECT version, body
FROM documents
WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(id)s
FOR UPDATE

-- name: version
SELECT version
FROM documents
WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(id)s

-- name: delete
DELETE FROM documents
WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(id)s
    AND (%(if_version)s::bigint IS NULL OR version = %(if_version)s)
RETURNING version

-- name: indexes
SELECT path, id
FROM document_indexes
WHERE app_id = %(app_id)s AND collection = %(collection)s

-- name: lock_indexes
SELECT pg_advisory_xact_lock(picloud_document_lock(%(app_id)s, %(collection)s))

-- name: add_index
INSERT INTO document_indexes (app_id, collection, path, keys)
VALUES (%(app_id)s, %(collection)s, %(path)s, %(keys)s::text[])
ON CONFLICT (app_id, collection, path) DO NOTHING
RETURNING id

-- name: fill_index
-- Those locked are there until the end; others would break the foreign key.
INSERT INTO document_keys (app_id, collection, document_id, index_id, key)
SELECT %(app_id)s, %(collection)s, there.id, %(index_id)s,
    picloud_document_key(picloud_document_at(there.search, %(keys)s::text[]))
FROM (
    SELECT id, search
    FROM documents
    WHERE app_id = %(app_id)s AND collection = %(collection)s
    FOR KEY SHARE
) AS there

-- name: drop_index
DELETE FROM document_indexes
WHERE app_id = %(app_id)s AND collection = %(collection)s AND path = %(path)s
RETURNING id

-- name: empty_index
DELETE FROM document_keys
WHERE app_id = %(app_id)s AND index_id = %(index_id)s

-- name: by_index
-- From keys to documents and never the other way: without statistics the planner might read the index once for each document.
document_keys AS k CROSS JOIN LATERAL (
    SELECT app_id, collection, version, created_at, updated_at, body, search
    FROM documents
    WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = k.document_id
    OFFSET 0
) AS d

-- name: count
-- `alive` tells whether the index the statement uses is there in its snapshot.
SELECT
    (
        SELECT count(*)
        FROM document_indexes
        WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(index_id)s
    ) AS alive,
    count(*)
FROM {source}
WHERE d.app_id = %(app_id)s AND d.collection = %(collection)s AND {where}

-- name: find
-- A page ends where it has grown too large, but has one document at least; `available` counts those before that cut.
SELECT alive.count, page.id, page.version, to_char(page.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(page.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), page.body, page.available, page.keys
FROM (
    SELECT count(*)
    FROM document_indexes
    WHERE app_id = %(app_id)s AND collection = %(collection)s AND id = %(index_id)s
) AS alive
LEFT JOIN (
    SELECT id, version, created_at, updated_at, body, ARRAY[{keys}]::bytea[] AS keys, count(*) OVER () AS available,
        row_number() OVER within AS number, sum(octet_length(body)) OVER within AS size
    FROM (
        SELECT {id}, d.version, d.created_at, d.updated_at, d.body{sorted}
        FROM {source}
        WHERE d.app_id = %(app_id)s AND d.collection = %(collection)s AND {where}
        ORDER BY {order}
        LIMIT %(limit)s
    ) AS d
    WINDOW within AS (ORDER BY {order})
) AS page ON page.number = 1 OR page.size <= %(bytes_max)s
ORDER BY page.number
