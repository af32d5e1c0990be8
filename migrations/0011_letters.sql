-- Dead letters say what they led to and what they came of, and are looked through whatever was decided over them.

ALTER TABLE dead_letters
    ADD COLUMN redriven_as uuid, -- the event its trigger got again
    ADD COLUMN redrives uuid; -- the letter whose redrive failed again
CREATE INDEX dead_letters_failed ON dead_letters (app_id, failed_at, id);

CREATE OR REPLACE FUNCTION picloud_redrive(app uuid, letter uuid, edited bytea, edited_is_json boolean, who text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    dead dead_letters;
BEGIN
    IF current_setting('role') = 'picloud_runtime' AND app::text IS DISTINCT FROM current_setting('picloud.app_id', true) THEN
        RETURN NULL; -- runs see their own app only
    END IF;
    UPDATE dead_letters
    SET state = 'redriven', decided_at = clock_timestamp(), decided_by = who,
        redriven_as = CASE WHEN edited IS NULL THEN event_id ELSE gen_random_uuid() END -- another input is another event
    WHERE app_id = app AND id = letter AND state = 'open'
    RETURNING * INTO dead;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, before, version, depth, sent_at, due_at,
        is_redriven)
    VALUES (app, dead.redriven_as, dead.kind, dead.name, dead.operation, dead.key, coalesce(edited_is_json, dead.is_json),
        coalesce(edited, dead.payload), dead.before, dead.version, picloud_depth(), dead.sent_at, clock_timestamp(), true)
    ON CONFLICT (app_id, id) DO UPDATE -- other triggers still have to do with it
    SET depth = greatest(events.depth, excluded.depth);
    INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at, redrives)
    SELECT app, dead.redriven_as, dead.trigger, coalesce(s.name, dead.script), coalesce(t.options, dead.options),
        clock_timestamp(), letter
    FROM (VALUES (1)) AS one
    LEFT JOIN triggers AS t ON t.app_id = app AND t.name = dead.trigger AND t.kind = dead.kind
    LEFT JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
    ON CONFLICT (app_id, event_id, trigger) DO NOTHING;
    RETURN dead.redriven_as;
END
$$;
