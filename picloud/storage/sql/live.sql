-- What is live now: the scripts, import graph and routes of an app.

-- name: lock_app
SELECT id, name, revision, created_at
FROM apps
WHERE name = %(name)s
FOR UPDATE

-- name: raise_revision
UPDATE apps SET revision = revision + 1
WHERE id = %(app_id)s

-- name: revision
SELECT revision FROM apps WHERE id = %(app_id)s FOR SHARE

-- name: list_scripts
SELECT s.name, s.kind, c.source, s.imports
FROM scripts AS s
JOIN sources AS c ON c.app_id = s.app_id AND c.version = s.version
WHERE s.app_id = %(app_id)s
ORDER BY s.name COLLATE "C"

-- name: list_routes
SELECT r.method, r.pattern, s.name, r.auth, r.timing
FROM routes AS r
JOIN scripts AS s ON s.app_id = r.app_id AND s.id = r.script_id
WHERE r.app_id = %(app_id)s
ORDER BY r.method, r.pattern COLLATE "C"

-- name: put_source
INSERT INTO sources (app_id, version, source)
VALUES (%(app_id)s, %(version)s, %(source)s)
ON CONFLICT DO NOTHING

-- name: put_script
INSERT INTO scripts (app_id, name, kind, version, imports)
VALUES (%(app_id)s, %(name)s, %(kind)s, %(version)s, %(imports)s)
ON CONFLICT (app_id, name)
DO UPDATE SET kind = excluded.kind, version = excluded.version, imports = excluded.imports, updated_at = now()

-- name: delete_scripts
DELETE FROM scripts
WHERE app_id = %(app_id)s AND name = ANY (%(names)s)

-- name: link_imports
-- The whole graph of the app anew from what its scripts say: names nobody has yet stay unlinked until somebody has them.
WITH wanted AS (
    SELECT importer.app_id, importer.id AS importer_id, imported.id AS imported_id
    FROM scripts AS importer
    CROSS JOIN unnest(importer.imports) AS required (module)
    JOIN scripts AS imported ON imported.app_id = importer.app_id AND imported.name = required.module AND imported.kind = 'module'
    WHERE importer.app_id = %(app_id)s
), dropped AS (
    DELETE FROM script_imports AS edge
    WHERE edge.app_id = %(app_id)s
      AND NOT EXISTS (
        SELECT FROM wanted AS w WHERE w.importer_id = edge.importer_id AND w.imported_id = edge.imported_id
      )
)
INSERT INTO script_imports (app_id, importer_id, imported_id)
SELECT app_id, importer_id, imported_id FROM wanted
ON CONFLICT DO NOTHING

-- name: delete_routes
DELETE FROM routes
WHERE app_id = %(app_id)s

-- name: put_route
INSERT INTO routes (app_id, method, shape, pattern, script_id, auth, timing)
SELECT app_id, %(method)s, %(shape)s, %(pattern)s, id, %(auth)s, %(timing)s
FROM scripts
WHERE app_id = %(app_id)s AND name = %(script)s AND kind = 'endpoint'
