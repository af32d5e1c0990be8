-- What scripts send: messages of queues and topics, kept until a trigger has taken them, and what could not be delivered.

CREATE TABLE events (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id          uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('queue', 'topic')),
    name        text        NOT NULL CHECK (name ~ '^[a-zA-Z_][a-zA-Z0-9_.-]{0,127}$'),
    is_json     boolean     NOT NULL,
    payload     bytea       NOT NULL,
    dedupe_key  bytea       CHECK (length(dedupe_key) BETWEEN 1 AND 256),
    due_at      timestamptz NOT NULL,
    sent_at     timestamptz NOT NULL,
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY, -- the order they were sent in; scripts do not see it
    PRIMARY KEY (app_id, id)
);
CREATE INDEX events_due ON events (app_id, kind, name, due_at, number);
CREATE UNIQUE INDEX events_dedupe ON events (app_id, kind, name, dedupe_key) WHERE dedupe_key IS NOT NULL;
SELECT picloud_grant('events');

CREATE TABLE dead_letters (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id          uuid        NOT NULL, -- that of the event
    kind        text        NOT NULL CHECK (kind IN ('queue', 'topic')),
    name        text        NOT NULL,
    is_json     boolean     NOT NULL,
    payload     bytea       NOT NULL,
    script      text        NOT NULL, -- which could not take it
    code        text        NOT NULL,
    message     text        NOT NULL,
    attempts    integer     NOT NULL CHECK (attempts > 0),
    sent_at     timestamptz NOT NULL,
    failed_at   timestamptz NOT NULL,
    PRIMARY KEY (app_id, id)
);
CREATE INDEX dead_letters_failed ON dead_letters (app_id, failed_at, id);
SELECT picloud_grant('dead_letters');
