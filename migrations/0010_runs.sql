-- What ran: one row for a run, or for many that were alike.

CREATE TABLE runs (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id          uuid        NOT NULL,
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind        text        NOT NULL CHECK (kind IN ('endpoint', 'kv', 'docs', 'cron', 'queue', 'topic', 'dead_letter')),
    script      text        NOT NULL,
    version     text        NOT NULL, -- of the script
    revision    bigint      NOT NULL, -- of the app
    trigger     text,
    subject     text        NOT NULL, -- the request or the event, in short
    principal   text, -- who made the request
    request_id  text,
    events      uuid[]      NOT NULL,
    redrives    uuid, -- the dead letter that was delivered again
    status      text        NOT NULL CHECK (status IN ('succeeded', 'failed', 'refused', 'interrupted', 'fault')),
    code        text,
    message     text,
    http_status integer,
    started_at  timestamptz NOT NULL,
    duration_ms float8      NOT NULL,
    alike       bigint      NOT NULL CHECK (alike > 0), -- how many runs it stands for
    details     jsonb       NOT NULL, -- place of the error, traceback, log, limits used
    input       bytea, -- null: it was too large to keep, or the row stands for many
    input_bytes bigint      NOT NULL,
    PRIMARY KEY (app_id, id),
    CHECK ((kind = 'endpoint') = (trigger IS NULL)),
    CHECK ((status = 'succeeded') = (message IS NULL))
);
CREATE INDEX runs_number ON runs (app_id, number);
CREATE INDEX runs_status ON runs (app_id, status, number);
CREATE INDEX runs_redrives ON runs (app_id, redrives) WHERE redrives IS NOT NULL;

ALTER TABLE apps
    ADD COLUMN runs_kept_days integer CHECK (runs_kept_days >= 0); -- of runs that ended well; null: as the settings say
