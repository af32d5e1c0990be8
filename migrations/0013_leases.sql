-- Leases of deliveries: a token for each take, the job that makes a delivery, and when others may take it into their batch.
-- A delivery and its job end in one transaction, done by whoever has the token.

ALTER TABLE deliveries
    ADD COLUMN lease uuid, -- of the last take; whoever has another one has lost the delivery
    ADD COLUMN job bigint, -- which makes it, unless the one of `taken_by` has it in a batch
    ADD COLUMN ready_at timestamptz; -- from when a batch may have it; infinity: it is taken alone
UPDATE deliveries AS d
SET ready_at = CASE WHEN d.attempts = 0 THEN e.due_at ELSE 'infinity' END
FROM events AS e
WHERE e.app_id = d.app_id AND e.id = d.event_id;
UPDATE deliveries AS d
SET job = j.id
FROM procrastinate_jobs AS j
WHERE j.task_name = 'picloud.deliver' AND j.status IN ('todo', 'doing')
    AND j.args = jsonb_build_object('app_id', d.app_id, 'event_id', d.event_id, 'trigger', d.trigger);
ALTER TABLE deliveries ALTER COLUMN ready_at SET NOT NULL;
DROP INDEX deliveries_due;
CREATE INDEX deliveries_ready ON deliveries (app_id, trigger, ready_at, number);

DROP TRIGGER delivery_added ON deliveries;
DROP FUNCTION picloud_delivery_added();
DROP FUNCTION picloud_defer(deliveries);

CREATE FUNCTION picloud_defer(delivery deliveries) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    event record;
    lock text;
    job bigint;
BEGIN
    SELECT e.kind, e.name, e.key INTO event FROM events AS e WHERE e.app_id = delivery.app_id AND e.id = delivery.event_id;
    IF event.key IS NOT NULL THEN -- changes of one entry or document are taken one after the other
        lock := format('%s/%s/%s/%s', delivery.app_id, delivery.trigger, event.name, encode(sha256(event.key), 'hex'));
    ELSIF event.kind = 'cron' AND delivery.options ->> 'overlap' <> 'allow' THEN -- and so are ticks
        lock := format('%s/%s', delivery.app_id, delivery.trigger);
    END IF;
    INSERT INTO procrastinate_jobs (id, queue_name, task_name, lock, args, scheduled_at)
    VALUES (coalesce(delivery.job, nextval('procrastinate_jobs_id_seq')), 'triggers', 'picloud.deliver', lock,
        jsonb_build_object('app_id', delivery.app_id, 'event_id', delivery.event_id, 'trigger', delivery.trigger),
        CASE WHEN delivery.due_at > now() THEN delivery.due_at END)
    RETURNING id INTO job;
    RETURN job;
END
$$;
COMMENT ON FUNCTION picloud_defer IS
    'Make the job of a delivery and return its number: the one it had, which keeps its place among those of its key, or a new one.';

CREATE FUNCTION picloud_add_delivery() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.ready_at := CASE WHEN NEW.attempts = 0
        THEN (SELECT e.due_at FROM events AS e WHERE e.app_id = NEW.app_id AND e.id = NEW.event_id) ELSE 'infinity' END;
    NEW.job := NULL;
    NEW.job := picloud_defer(NEW);
    RETURN NEW;
END
$$;
CREATE TRIGGER add_delivery BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION picloud_add_delivery();

CREATE FUNCTION picloud_settle(app uuid, taker text, taken uuid[], token uuid) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    settled uuid[];
BEGIN
    -- The event first, as a redrive has it: what comes after sees the delivery that a redrive has added.
    PERFORM FROM events AS e WHERE e.app_id = app AND e.id = ANY (taken) ORDER BY e.id FOR UPDATE;
    WITH gone AS (
        DELETE FROM deliveries AS d
        WHERE d.app_id = app AND d.event_id = ANY (taken) AND d.trigger = taker AND d.lease = token
        RETURNING d.event_id, d.job, d.taken_by
    ), ended AS (
        DELETE FROM procrastinate_jobs AS j USING gone AS g WHERE j.id = ANY (ARRAY[g.job, g.taken_by])
    )
    SELECT array_agg(g.event_id) INTO settled FROM gone AS g;
    DELETE FROM events AS e
    WHERE e.app_id = app AND e.id = ANY (settled)
        AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id);
    RETURN coalesce(cardinality(settled), 0);
END
$$;
COMMENT ON FUNCTION picloud_settle IS
    'Forget deliveries under one lease, with their jobs and the events nobody waits for any more; return how many there were.';

CREATE FUNCTION picloud_count_failure(
    app uuid, taker text, taken uuid, token uuid, failure jsonb, again_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    delivery deliveries;
BEGIN
    SELECT * INTO delivery
    FROM deliveries AS d
    WHERE d.app_id = app AND d.event_id = taken AND d.trigger = taker AND d.lease = token AND d.cancelled_at IS NULL
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF again_at IS NOT NULL THEN
        delivery.due_at := again_at;
        IF (delivery.options ->> 'batch')::integer > 1 THEN -- it goes on alone
            DELETE FROM procrastinate_jobs WHERE id = ANY (ARRAY[delivery.job, delivery.taken_by]);
            delivery.job := NULL;
            delivery.job := picloud_defer(delivery);
        ELSE
            delivery.job := delivery.taken_by;
            UPDATE procrastinate_jobs
            SET status = 'todo', scheduled_at = again_at, abort_requested = false
            WHERE id = delivery.job;
        END IF;
        delivery.taken_by := NULL;
        delivery.lease := NULL;
    END IF;
    UPDATE deliveries AS d
    SET attempts = d.attempts + 1, failures = d.failures || failure, ready_at = 'infinity',
        due_at = delivery.due_at, job = delivery.job, taken_by = delivery.taken_by, lease = delivery.lease
    WHERE d.app_id = app AND d.event_id = taken AND d.trigger = taker;
    RETURN true;
END
$$;
COMMENT ON FUNCTION picloud_count_failure IS
    'Count a failed attempt under a lease and, with a time, let the job come again then; return false when it is lost or cancelled.';

CREATE FUNCTION picloud_delete_settled() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    event record;
    deleted bigint := 0;
BEGIN
    FOR event IN
        SELECT e.app_id, e.id
        FROM events AS e
        WHERE e.kind <> 'queue' AND e.sent_at < now() - interval '1 minute'
            AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id)
    LOOP
        PERFORM FROM events AS e WHERE e.app_id = event.app_id AND e.id = event.id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND; -- somebody redrives it
        DELETE FROM events AS e
        WHERE e.app_id = event.app_id AND e.id = event.id
            AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.app_id = e.app_id AND d.event_id = e.id);
        deleted := deleted + FOUND::integer;
    END LOOP;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION picloud_delete_settled IS 'Delete events nobody waits for any more, return how many.';

CREATE FUNCTION picloud_is_alive(job bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM procrastinate_jobs AS j WHERE j.id = job AND j.status IN ('todo', 'doing'))
$$;
COMMENT ON FUNCTION picloud_is_alive IS 'Whether a job waits or is being done.';

CREATE FUNCTION picloud_revive() RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    lost record;
    delivery deliveries;
BEGIN
    FOR lost IN
        SELECT d.app_id, d.event_id, d.trigger
        FROM deliveries AS d
        WHERE NOT EXISTS (
            SELECT FROM procrastinate_jobs AS j WHERE j.id = coalesce(d.taken_by, d.job) AND j.status IN ('todo', 'doing')
        )
        ORDER BY d.number
        LIMIT 1000
    LOOP
        SELECT * INTO delivery -- as it is by now
        FROM deliveries AS d
        WHERE d.app_id = lost.app_id AND d.event_id = lost.event_id AND d.trigger = lost.trigger
        FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND OR picloud_is_alive(coalesce(delivery.taken_by, delivery.job));
        IF picloud_is_alive(delivery.job) IS NOT TRUE THEN
            DELETE FROM procrastinate_jobs WHERE id = delivery.job;
            delivery.job := picloud_defer(delivery);
        END IF;
        UPDATE deliveries AS d
        SET job = delivery.job, lease = NULL,
            taken_by = CASE WHEN d.taken_by = delivery.job THEN d.taken_by END -- it finds the others of its batch by this
        WHERE d.app_id = delivery.app_id AND d.event_id = delivery.event_id AND d.trigger = delivery.trigger;
        RETURN NEXT delivery.job;
    END LOOP;
END
$$;
COMMENT ON FUNCTION picloud_revive IS
    'Give deliveries whose job is gone or has ended without them a job again, some at a time; return the jobs.';

CREATE OR REPLACE FUNCTION picloud_redrive(app uuid, letter uuid, edited bytea, edited_is_json boolean, who text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    depth_max CONSTANT integer := 16; -- as in `picloud_fan_out`
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
    IF picloud_depth() > depth_max THEN
        INSERT INTO dead_letters (app_id, event_id, kind, name, operation, key, is_json, payload, before, version, sent_at,
            depth, trigger, script, options, code, message, attempts, failures, failed_at, redrives)
        VALUES (app, dead.redriven_as, dead.kind, dead.name, dead.operation, dead.key, coalesce(edited_is_json, dead.is_json),
            coalesce(edited, dead.payload), dead.before, dead.version, dead.sent_at, picloud_depth(), dead.trigger, dead.script,
            dead.options, 'recursion_limit',
            format('More than %s triggers led to each other: do scripts redrive what they cannot take?', depth_max),
            0, '[]', clock_timestamp(), letter);
        RETURN dead.redriven_as;
    END IF;
    INSERT INTO events (app_id, id, kind, name, operation, key, is_json, payload, before, version, depth, sent_at, due_at,
        is_redriven)
    VALUES (app, dead.redriven_as, dead.kind, dead.name, dead.operation, dead.key, coalesce(edited_is_json, dead.is_json),
        coalesce(edited, dead.payload), dead.before, dead.version, picloud_depth(), dead.sent_at, clock_timestamp(), true)
    ON CONFLICT (app_id, id) DO UPDATE -- other triggers still have to do with it; locks it against `picloud_settle`
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
