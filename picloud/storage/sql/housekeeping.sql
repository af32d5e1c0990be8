-- name: delete_expired_tokens
DELETE FROM tokens
WHERE expires_at < now() - %(kept)s

-- name: delete_old_ticks
DELETE FROM ticks
WHERE last_at < now() - %(kept)s
