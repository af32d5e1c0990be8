-- Apps, their scripts, import graph, routes and releases; access tokens.
-- Every tenant table has app_id as the first column of its keys, so a cross-app reference cannot be written down.

CREATE TABLE apps (
    id          uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    name        text        NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    revision    bigint      NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Content-addressed and immutable: a row is never updated, and lives as long as its app.
CREATE TABLE sources (
    app_id  uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    version text NOT NULL CHECK (version ~ '^[0-9a-f]{64}$'),
    source  text NOT NULL,
    PRIMARY KEY (app_id, version)
);

CREATE TABLE scripts (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    name        text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('endpoint', 'module')),
    version     text        NOT NULL,
    imports     text[]      NOT NULL DEFAULT '{}', -- every literal require, resolved or not
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, id),
    UNIQUE (app_id, name),
    FOREIGN KEY (app_id, version) REFERENCES sources (app_id, version),
    CHECK (kind <> 'module' OR name ~ '^[a-zA-Z_][a-zA-Z0-9_]{0,63}$')
);
CREATE INDEX scripts_kind ON scripts (app_id, kind);

-- The resolved edges of the import graph; a name nobody has yet stays in scripts.imports only.
CREATE TABLE script_imports (
    app_id      uuid        NOT NULL,
    importer_id uuid        NOT NULL,
    imported_id uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, importer_id, imported_id),
    FOREIGN KEY (app_id, importer_id) REFERENCES scripts (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, imported_id) REFERENCES scripts (app_id, id) ON DELETE CASCADE
);
CREATE INDEX script_imports_imported ON script_imports (app_id, imported_id);

CREATE TABLE routes (
    app_id      uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    method      text NOT NULL CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD')),
    shape       text NOT NULL, -- the pattern without parameter names: two routes of one shape are ambiguous
    pattern     text NOT NULL,
    script_id   uuid NOT NULL,
    auth        text NOT NULL CHECK (auth IN ('public', 'token')),
    PRIMARY KEY (app_id, method, shape),
    FOREIGN KEY (app_id, script_id) REFERENCES scripts (app_id, id) ON DELETE CASCADE
);
CREATE INDEX routes_script ON routes (app_id, script_id);

CREATE TABLE releases (
    app_id      uuid        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    number      bigint      NOT NULL CHECK (number > 0),
    manifest    jsonb       NOT NULL, -- names, kinds and versions; the texts are in sources
    author      text        NOT NULL,
    message     text        NOT NULL,
    notebook    text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, number)
);

CREATE TABLE tokens (
    id          uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    app_id      uuid        REFERENCES apps (id) ON DELETE CASCADE, -- null: the whole instance
    name        text        NOT NULL,
    hash        bytea       NOT NULL UNIQUE,
    scopes      text[]      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE UNIQUE INDEX tokens_name ON tokens (coalesce(app_id, '00000000-0000-0000-0000-000000000000'), name);
