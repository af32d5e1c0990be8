-- name: create_app
INSERT INTO apps (name) VALUES (%(name)s)
ON CONFLICT DO NOTHING
RETURNING id, name, revision, created_at

-- name: get_app
SELECT id, name, revision, created_at
FROM apps
WHERE name = %(name)s

-- name: list_apps
SELECT id, name, revision, created_at
FROM apps
ORDER BY name

-- name: delete_app
DELETE FROM apps
WHERE name = %(name)s
RETURNING id

-- name: hold_app
-- A publish holds the app before it comes to its deliveries and schedules, and so does whoever locks one of them.
SELECT FROM apps WHERE id = %(app_id)s FOR KEY SHARE
