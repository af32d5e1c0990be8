-- Triggers, and the way from an event to the run of a script. An event, its deliveries and their jobs are rows of the transaction
-- that caused it: whatever ends a process, either all of them are there or none.

CREATE TABLE triggers (
    app_id      uuid    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name        text    NOT NULL,
    kind        text    NOT NULL CHECK (kind IN ('kv', 'docs', 'cron', 'queue', 'topic', 'dead_letter')),
    source      text    NOT NULL, -- key pattern, collection, cron expression, queue or topic
    key_like    bytea, -- the key pattern as LIKE has it
    operations  text[]  NOT NULL,
    script_id   uuid    NOT NULL,
    options     jsonb   NOT NULL, -- retries, times, batch: what a delivery keeps of its trigger
    PRIMARY KEY (app_id, name),
    FOREIGN KEY (app_id, script_id) REFERENCES scripts (app_id, id) ON DELETE CASCADE
);
CREATE INDEX triggers_kind ON triggers (app_id, kind);
CREATE INDEX triggers_script ON triggers (app_id, script_id);
CREATE UNIQUE INDEX triggers_queue ON triggers (app_id, source) WHERE kind = 'queue';

ALTER TABLE events
    DROP CONSTRAINT events_kind_check,
    DROP CONSTRAINT events_name_check,
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN operation text,
    ADD COLUMN key bytea, -- of an entry, or the id of a document
    ADD COLUMN before bytea, -- the document before the change
    ADD COLUMN version bigint,
    ADD COLUMN depth integer NOT NULL DEFAULT 0, -- how many triggers led to it
    ADD COLUMN is_redriven boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT events_kind_check CHECK (kind IN ('kv', 'docs', 'cron', 'queue', 'topic', 'dead_letter')),
    ADD CONSTRAINT events_name_check CHECK (kind NOT IN ('queue', 'topic') OR name ~ '^[a-zA-Z_][a-zA-Z0-9_.-]{0,127}$'),
    ADD CONSTRAINT events_payload_check CHECK (kind NOT IN ('queue', 'topic') OR payload IS NOT NULL);

-- What one trigger still has to do with one event. It keeps what its trigger was like when the event happened.
CREATE TABLE deliveries (
    app_id      uuid        NOT NULL,
    event_id    uuid        NOT NULL,
    trigger     text        NOT NULL,
    script      text        NOT NULL,
    options     jsonb       NOT NULL,
    due_at      timestamptz NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0, -- that failed; faults of the platform are none
    failures    jsonb       NOT NULL DEFAULT '[]',
    taken_by    bigint, -- the job that has it in a batch
    redrives    uuid, -- the dead letter it was made of
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (app_id, event_id, trigger),
    FOREIGN KEY (app_id, event_id) REFERENCES events (app_id, id) ON DELETE CASCADE
);
CREATE INDEX deliveries_due ON deliveries (app_id, trigger, due_at, number);
SELECT picloud_grant('deliveries');

DROP TABLE dead_letters; -- nothing has written to it yet
CREATE TABLE dead_letters (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    event_id    uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('kv', 'docs', 'cron', 'queue', 'topic', 'dead_letter')),
    name        text        NOT NULL,
    operation   text,
    key         bytea,
    is_json     boolean     NOT NULL,
    payload     bytea,
    before      bytea,
    version     bigint,
    sent_at     timestamptz NOT NULL,
    depth       integer     NOT NULL,
    trigger     text        NOT NULL,
    script      text        NOT NULL, -- which could not take it
    options     jsonb       NOT NULL,
    code        text        NOT NULL,
    message     text        NOT NULL,
    attempts    integer     NOT NULL CHECK (attempts >= 0),
    failures    jsonb       NOT NULL,
    failed_at   timestamptz NOT NULL,
    state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redriven', 'discarded')),
    decided_at  timestamptz,
    decided_by  text,
    PRIMARY KEY (app_id, id)
);
CREATE INDEX dead_letters_open ON dead_letters (app_id, failed_at, id) WHERE state = 'open';
CREATE INDEX dead_letters_decided ON dead_letters (decided_at) WHERE state <> 'open';
SELECT picloud_grant('dead_letters');

-- The functions below work with their owner's rights, since runs may not write jobs; each takes the app from the row it is for.

CREATE FUNCTION picloud_is_importing() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('picloud.importing', true), '') = 'on'
$$;
COMMENT ON FUNCTION picloud_is_importing IS 'Whether this session brings in rows of another database, which have happened before.';

CREATE FUNCTION picloud_depth() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('picloud.depth', true), '')::integer, 0)
$$;
COMMENT ON FUNCTION picloud_depth IS 'How many triggers led to what this session does.';

CREATE FUNCTION picloud_keep_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.depth := greatest(NEW.depth, picloud_depth()); -- scripts send messages without it
    IF NEW.is_redriven OR NEW.kind = 'queue' OR picloud_is_importing() THEN
        RETURN NEW; -- messages of a queue wait for a trigger that may come
    END IF;
    PERFORM FROM triggers AS t WHERE t.app_id = NEW.app_id AND t.kind = NEW.kind AND (t.source = NEW.name OR NEW.kind <> 'topic');
    RETURN CASE WHEN FOUND THEN NEW END;
END
$$;
CREATE TRIGGER keep_event BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION picloud_keep_event();

CREATE FUNCTION picloud_fan_out(event events) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    depth_max CONSTANT integer := 16;
    -- The dead letter that tells of the limit may be told of.
    is_too_deep CONSTANT boolean := event.depth > depth_max + 2 * (event.kind = 'dead_letter')::integer;
    taker record;
BEGIN
    FOR taker IN
        SELECT t.name, s.name AS script, t.options, coalesce((t.options ->> 'wait_s')::float8, 0) AS wait_s
        FROM triggers AS t
        JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
        WHERE t.app_id = event.app_id AND t.kind = event.kind
            AND CASE event.kind
                WHEN 'kv' THEN event.key LIKE t.key_like AND event.operation = ANY (t.operations)
                WHEN 'docs' THEN t.source = event.name AND event.operation = ANY (t.operations)
                WHEN 'cron' THEN t.name = event.name
                WHEN 'dead_letter' THEN true
                ELSE t.source = event.name
            END
        ORDER BY t.name
    LOOP
        IF is_too_deep THEN
            INSERT INTO dead_letters (app_id, event_id, kind, name, operation, key, is_json, payload, before, version, sent_at,
                depth, trigger, script, options, code, message, attempts, failures, failed_at)
            VALUES (event.app_id, event.id, event.kind, event.name, event.operation, event.key, event.is_json, event.payload,
                event.before, event.version, event.sent_at, event.depth, taker.name, taker.script, taker.options, 'recursion_limit',
                format('More than %s triggers led to each other: does the script cause the events it runs for?', depth_max),
                0, '[]', clock_timestamp());
        ELSE
            INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at)
            VALUES (event.app_id, event.id, taker.name, taker.script, taker.options,
                event.due_at + make_interval(secs => taker.wait_s));
        END IF;
    END LOOP;
    IF FOUND AND is_too_deep THEN
        DELETE FROM events AS e WHERE e.app_id = event.app_id AND e.id = event.id; -- a message would be handed out again
    END IF;
END
$$;
COMMENT ON FUNCTION picloud_fan_out IS 'Make the deliveries of an event to the triggers there are now.';

CREATE FUNCTION picloud_event_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT NEW.is_redriven AND NOT picloud_is_importing() THEN
        PERFORM picloud_fan_out(NEW);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER event_added AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION picloud_event_added();

CREATE FUNCTION picloud_defer(delivery deliveries) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    event events;
    lock text;
BEGIN
    SELECT * INTO event FROM events WHERE app_id = delivery.app_id AND id = delivery.event_id;
    IF event.key IS NOT NULL THEN -- changes of one entry or document are taken one after the other
        lock := format('%s/%s/%s/%s', delivery.app_id, delivery.trigger, event.name, encode(sha256(event.key), 'hex'));
    ELSIF event.kind = 'cron' AND delivery.options ->> 'overlap' = 'queue' THEN
        lock := format('%s/%s', delivery.app_id, delivery.trigger);
    END IF;
    PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW('triggers', 'picloud.deliver', 0, lock, NULL,
        jsonb_build_object('app_id', delivery.app_id, 'event_id', delivery.event_id, 'trigger', delivery.trigger),
        CASE WHEN delivery.due_at > now() THEN delivery.due_at END)::procrastinate_job_to_defer_v1]);
END
$$;
COMMENT ON FUNCTION picloud_defer IS 'Give a delivery a job that makes it.';

CREATE FUNCTION picloud_delivery_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM picloud_defer(NEW);
    RETURN NULL;
END
$$;
CREATE TRIGGER delivery_added AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION picloud_delivery_added();

CREATE FUNCTION picloud_kv_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    entry kv_entries;
    operation text := CASE TG_OP WHEN 'DELETE' THEN 'delete' ELSE 'set' END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        entry := OLD;
        IF OLD.expires_at <= clock_timestamp() THEN
            RETURN NULL; -- it was gone already, or a lock of a key that was not there
        END IF;
    ELSE
        entry := NEW;
        IF NEW.expires_at = '-infinity' OR (TG_OP = 'UPDATE' AND NEW.version = OLD.version) THEN
            RETURN NULL; -- only locked
        END IF;
    END IF;
    PERFORM FROM triggers AS t
    JOIN apps AS a ON a.id = t.app_id -- which is gone when the entry goes with its app
    WHERE t.app_id = entry.app_id AND t.kind = 'kv' AND entry.key LIKE t.key_like AND operation = ANY (t.operations);
    IF FOUND THEN
        INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, version, depth, due_at, sent_at)
        VALUES (entry.app_id, gen_random_uuid(), 'kv', '', operation, entry.key, entry.is_json,
            CASE WHEN operation = 'set' THEN entry.value END, CASE WHEN operation = 'set' THEN entry.version END,
            picloud_depth(), clock_timestamp(), clock_timestamp());
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER kv_changed AFTER INSERT OR UPDATE OR DELETE ON kv_entries FOR EACH ROW EXECUTE FUNCTION picloud_kv_changed();

CREATE FUNCTION picloud_document_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    document documents;
    operation text := lower(TG_OP);
BEGIN
    IF TG_OP = 'DELETE' THEN
        document := OLD;
    ELSE
        document := NEW;
    END IF;
    PERFORM FROM triggers AS t
    JOIN apps AS a ON a.id = t.app_id -- which is gone when the document goes with its app
    WHERE t.app_id = document.app_id AND t.kind = 'docs' AND t.source = document.collection AND operation = ANY (t.operations);
    IF FOUND THEN
        INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, before, version, depth, due_at, sent_at)
        VALUES (document.app_id, gen_random_uuid(), 'docs', document.collection, operation, convert_to(document.id, 'UTF8'), true,
            CASE WHEN TG_OP <> 'DELETE' THEN convert_to(NEW.body, 'UTF8') END,
            CASE WHEN TG_OP <> 'INSERT' THEN convert_to(OLD.body, 'UTF8') END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.version END, picloud_depth(), clock_timestamp(), clock_timestamp());
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER document_changed AFTER INSERT OR UPDATE OR DELETE ON documents
    FOR EACH ROW EXECUTE FUNCTION picloud_document_changed();

CREATE FUNCTION picloud_dead_letter_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.kind <> 'dead_letter' AND NOT picloud_is_importing() THEN -- those that fail to take a dead letter start nothing more
        INSERT INTO events (app_id, id, kind, name, is_json, payload, depth, due_at, sent_at)
        VALUES (NEW.app_id, gen_random_uuid(), 'dead_letter', NEW.trigger, true,
            convert_to(jsonb_build_object('id', NEW.id, 'trigger', NEW.trigger, 'kind', NEW.kind, 'name', NEW.name, 'script',
                NEW.script, 'code', NEW.code, 'error', NEW.message, 'attempts', NEW.attempts)::text, 'UTF8'),
            NEW.depth + 1, clock_timestamp(), clock_timestamp());
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER dead_letter_added AFTER INSERT ON dead_letters FOR EACH ROW EXECUTE FUNCTION picloud_dead_letter_added();

CREATE FUNCTION picloud_redrive(app uuid, letter uuid, edited bytea, edited_is_json boolean, who text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    dead dead_letters;
    event uuid;
BEGIN
    IF current_setting('role') = 'picloud_runtime' AND app::text IS DISTINCT FROM current_setting('picloud.app_id', true) THEN
        RETURN NULL; -- runs see their own app only
    END IF;
    UPDATE dead_letters
    SET state = 'redriven', decided_at = clock_timestamp(), decided_by = who
    WHERE app_id = app AND id = letter AND state = 'open'
    RETURNING * INTO dead;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    event := CASE WHEN edited IS NULL THEN dead.event_id ELSE gen_random_uuid() END; -- another input is another event
    INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, before, version, depth, sent_at, due_at,
        is_redriven)
    VALUES (app, event, dead.kind, dead.name, dead.operation, dead.key, coalesce(edited_is_json, dead.is_json),
        coalesce(edited, dead.payload), dead.before, dead.version, picloud_depth(), dead.sent_at, clock_timestamp(), true)
    ON CONFLICT (app_id, id) DO UPDATE -- other triggers still have to do with it
    SET depth = greatest(events.depth, excluded.depth);
    INSERT INTO deliveries (app_id, event_id, trigger, script, options, due_at, redrives)
    SELECT app, event, dead.trigger, coalesce(s.name, dead.script), coalesce(t.options, dead.options), clock_timestamp(), letter
    FROM (VALUES (1)) AS one
    LEFT JOIN triggers AS t ON t.app_id = app AND t.name = dead.trigger AND t.kind = dead.kind
    LEFT JOIN scripts AS s ON s.app_id = t.app_id AND s.id = t.script_id
    ON CONFLICT (app_id, event_id, trigger) DO NOTHING;
    RETURN event;
END
$$;
COMMENT ON FUNCTION picloud_redrive IS
    'Let the trigger that could not take a dead letter take it again, as the trigger is now; return the event, null without one.';

-- Workers hear of new jobs only; one that waited for the lock of another would be found when they look again by themselves.
CREATE FUNCTION picloud_wake_workers() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_notify('procrastinate_any_queue_v1', json_build_object('type', 'job_inserted', 'job_id', j.id)::text)
    FROM procrastinate_jobs AS j
    WHERE j.lock = OLD.lock AND j.status = 'todo'
    ORDER BY j.id
    LIMIT 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER wake_workers AFTER DELETE ON procrastinate_jobs
    FOR EACH ROW WHEN (OLD.lock IS NOT NULL) EXECUTE FUNCTION picloud_wake_workers();
