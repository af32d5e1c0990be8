-- name: become_runtime
SET ROLE picloud_runtime

-- name: see_what_others_committed
SET default_transaction_isolation = 'read committed'

-- name: set_statement_timeout
SELECT set_config('statement_timeout', %(timeout)s, false)

-- name: set_app
SELECT set_config('picloud.app_id', %(app_id)s, false), set_config('picloud.depth', %(causes)s, false)

-- name: become_owner
SELECT set_config('picloud.role', current_setting('role'), true), set_config('role', 'none', true)

-- name: become_runtime_again
SELECT set_config('role', current_setting('picloud.role'), true)

-- name: create_app
INSERT INTO apps (id, name) VALUES (%(app_id)s, %(name)s)

-- name: count_open_tables
SELECT count(*)
FROM pg_class AS c
WHERE c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
