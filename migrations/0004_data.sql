-- What scripts store. The second wall between apps: runs work under a role that owns nothing and sees the rows of the app
-- its session is set to. Where the database's user may not make roles, app_id in every statement is the only wall.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'picloud_runtime') THEN
        CREATE ROLE picloud_runtime NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
    WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server is migrated at this moment
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT picloud_runtime TO %I', current_user);
EXCEPTION
    WHEN insufficient_privilege OR undefined_object THEN NULL;
END
$$;

CREATE FUNCTION picloud_grant(tenant_table regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'picloud_runtime') THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO picloud_runtime', tenant_table);
        EXECUTE format('DROP POLICY IF EXISTS own_app ON %s', tenant_table);
        EXECUTE format('CREATE POLICY own_app ON %s TO picloud_runtime USING (app_id = (SELECT '
            'current_setting(''picloud.app_id'', true)::uuid))', tenant_table);
    END IF;
END
$$;
COMMENT ON FUNCTION picloud_grant IS 'Open a tenant table to runs: to each the rows of its own app.';

CREATE TABLE kv_entries (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key         bytea       NOT NULL CHECK (length(key) BETWEEN 1 AND 1024),
    is_json     boolean     NOT NULL, -- else a string of any bytes
    value       bytea       NOT NULL,
    version     bigint      NOT NULL, -- grows with every change, also past a deletion
    expires_at  timestamptz,
    PRIMARY KEY (app_id, key)
);
CREATE INDEX kv_entries_expired ON kv_entries (expires_at) WHERE expires_at IS NOT NULL;
SELECT picloud_grant('kv_entries');
