-- Schedules of cron triggers, and what became of each of their ticks.

CREATE TABLE schedules (
    app_id       uuid        NOT NULL,
    trigger      text        NOT NULL,
    since        timestamptz NOT NULL, -- when the trigger became what it is
    accounted_at timestamptz NOT NULL, -- ticks up to here are in `ticks`
    next_at      timestamptz, -- the first tick after; null: there is none
    PRIMARY KEY (app_id, trigger),
    FOREIGN KEY (app_id, trigger) REFERENCES triggers (app_id, name) ON DELETE CASCADE
);
CREATE INDEX schedules_next ON schedules (next_at);

CREATE TABLE ticks (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    trigger     text        NOT NULL,
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    since       timestamptz NOT NULL, -- that of the schedule
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    count       bigint      NOT NULL CHECK (count > 0), -- of the ticks from the first to the last
    outcome     text        NOT NULL CHECK (outcome IN ('ran', 'overlap', 'superseded', 'too_late', 'too_many')),
    late_ms     bigint, -- of a tick that ran
    event_id    uuid,
    PRIMARY KEY (app_id, trigger, number),
    CHECK ((outcome = 'ran') = (late_ms IS NOT NULL AND event_id IS NOT NULL)),
    CHECK (outcome <> 'ran' OR count = 1)
);
