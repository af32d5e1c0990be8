-- Ticks that end the runs of those before them, ticks that somebody asked for again, and clocks that ran ahead.

ALTER TABLE deliveries
    ADD COLUMN cancelled_at timestamptz, -- a later tick takes its place; the row goes when its run has ended
    ADD COLUMN is_backfilled boolean NOT NULL DEFAULT false; -- somebody asked for its tick: none takes its place
CREATE INDEX deliveries_cancelled ON deliveries (app_id, trigger) WHERE cancelled_at IS NOT NULL;

ALTER TABLE ticks
    ADD COLUMN cancelled_at timestamptz, -- a later tick ended its run
    ADD COLUMN asked_by text; -- who had it run again
ALTER TABLE schedules
    ADD COLUMN ran_until timestamptz; -- ticks up to here may have run already, when the clock was ahead
CREATE INDEX schedules_accounted ON schedules (accounted_at);

CREATE INDEX ticks_ran ON ticks (app_id, trigger, first_at) WHERE outcome = 'ran';
CREATE INDEX ticks_event ON ticks (app_id, event_id) WHERE event_id IS NOT NULL;

-- A job that is to come back for a delivery which is gone or cancelled meanwhile would keep those behind it from running until then.
CREATE FUNCTION picloud_come_back_at_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM deliveries
    WHERE app_id = (NEW.args ->> 'app_id')::uuid AND event_id = (NEW.args ->> 'event_id')::uuid
        AND trigger = NEW.args ->> 'trigger' AND cancelled_at IS NULL
    -- Whoever deletes or cancels it afterwards sees this job waiting. Who has it now may want the job next: it is not waited for,
    -- and a job that comes too early is put off.
    FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
        NEW.scheduled_at := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER come_back_at_once BEFORE UPDATE ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.task_name = 'picloud.deliver' AND NEW.lock IS NOT NULL AND NEW.status = 'todo' AND OLD.status <> 'todo')
    EXECUTE FUNCTION picloud_come_back_at_once();
