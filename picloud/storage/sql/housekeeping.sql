-- name: delete_expired_tokens
DELETE FROM tokens
WHERE expires_at < now() - %(kept)s
