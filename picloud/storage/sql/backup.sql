-- What a dump of one database leaves out, since roles belong to the server.

-- name: is_empty
SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)

-- name: make_runtime_role
-- As 0004_data.sql does.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'picloud_runtime') THEN
        CREATE ROLE picloud_runtime NOLOGIN;
    END IF;
    EXECUTE format('GRANT picloud_runtime TO %I', current_user);
EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END
$$

-- name: has_runtime_role
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'picloud_runtime')

-- name: open_tables
SELECT picloud_grant(oid::regclass)
FROM pg_class
WHERE relrowsecurity
