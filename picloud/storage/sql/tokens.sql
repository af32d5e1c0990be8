-- name: create_token
INSERT INTO tokens (app_id, name, hash, scopes, expires_at)
VALUES (%(app_id)s, %(name)s, %(hash)s, %(scopes)s, %(expires_at)s)
RETURNING id, name, app_id, scopes, created_at, expires_at

-- name: replace_token
INSERT INTO tokens (name, hash, scopes)
VALUES (%(name)s, %(hash)s, %(scopes)s)
ON CONFLICT (coalesce(app_id, '00000000-0000-0000-0000-000000000000'), name)
DO UPDATE SET hash = excluded.hash, scopes = excluded.scopes, created_at = now(), expires_at = NULL
RETURNING id, name, app_id, scopes, created_at, expires_at

-- name: list_tokens
SELECT id, name, app_id, scopes, created_at, expires_at
FROM tokens
WHERE %(app_id)s::uuid IS NULL OR app_id = %(app_id)s
ORDER BY app_id NULLS FIRST, name

-- name: find_token
SELECT id, name, app_id, scopes, created_at, expires_at
FROM tokens
WHERE hash = %(hash)s AND (expires_at IS NULL OR expires_at > now())

-- name: revoke_token
DELETE FROM tokens
WHERE id = %(id)s
RETURNING id
