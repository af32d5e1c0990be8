-- What was published although tests failed, and why; and releases that cannot be changed afterwards.
ALTER TABLE releases
    ADD COLUMN forced_reason text,
    ADD COLUMN forced_failures jsonb, -- the tests that failed: name, message, script and line
    ADD CHECK ((forced_reason IS NULL) = (forced_failures IS NULL));

-- A release goes only with its app: the cascade comes here when the app's row is gone already.
CREATE FUNCTION refuse_change_of_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM apps WHERE id = OLD.app_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'a release never changes: publish another one' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER releases_never_change BEFORE UPDATE OR DELETE ON releases
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_release();
CREATE TRIGGER releases_are_kept BEFORE TRUNCATE ON releases
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_release();
