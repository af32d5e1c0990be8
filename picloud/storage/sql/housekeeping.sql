-- name: delete_expired_tokens
DELETE FROM tokens
WHERE expires_at < now() - %(kept)s

-- name: delete_old_ticks
DELETE FROM ticks
WHERE last_at < now() - %(kept)s

-- name: delete_decided_letters
DELETE FROM dead_letters
WHERE state <> 'open' AND decided_at < now() - %(kept)s
