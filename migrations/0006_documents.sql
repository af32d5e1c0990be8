-- Collections of JSON documents, and the indexes scripts declare on them: rows, since DDL would lock the table for all apps.

CREATE TABLE documents (
    app_id      uuid             NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    collection  text COLLATE "C" NOT NULL CHECK (collection ~ '^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$'),
    id          text COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 256),
    version     bigint           NOT NULL, -- grows with every change, also past a deletion
    created_at  timestamptz      NOT NULL,
    updated_at  timestamptz      NOT NULL,
    body        text             NOT NULL, -- JSON as it was given: what is read
    search      jsonb            NOT NULL, -- the same with one text for each number and without NUL: what is searched
    PRIMARY KEY (app_id, collection, id)
);
SELECT picloud_grant('documents');

CREATE TABLE document_indexes (
    app_id      uuid             NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    collection  text COLLATE "C" NOT NULL CHECK (collection ~ '^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$'),
    path        text COLLATE "C" NOT NULL, -- its keys with dots between them, escaped as a script may write it
    keys        text[]           NOT NULL, -- as `search` has them
    id          bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (app_id, collection, path)
);
SELECT picloud_grant('document_indexes');

-- What each document has at each declared path, also when it has nothing there.
CREATE TABLE document_keys (
    app_id      uuid             NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    document_id text COLLATE "C" NOT NULL,
    index_id    bigint           NOT NULL,
    key         bytea            NOT NULL,
    PRIMARY KEY (app_id, collection, document_id, index_id),
    FOREIGN KEY (app_id, collection, document_id) REFERENCES documents (app_id, collection, id) ON DELETE CASCADE
);
CREATE INDEX document_keys_order ON document_keys (app_id, index_id, key, document_id);
SELECT picloud_grant('document_keys');

CREATE FUNCTION picloud_document_at(value jsonb, keys text[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    step text;
BEGIN
    FOREACH step IN ARRAY keys LOOP
        value := value -> step;
    END LOOP;
    RETURN value;
END
$$;
COMMENT ON FUNCTION picloud_document_at IS 'What a document has at a path; elements of arrays have none.';

-- Numbers are integers of 64 bits and floats. Their order is that of the nearest float, then of the distance to it; from 2^53
-- to 2^64 floats are made numeric in two halves, since the cast keeps 15 digits only.
CREATE FUNCTION picloud_document_key(value jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    number  numeric;
    nearest float8;
    high    float8;
    bits    bigint;
    rest    smallint := 0;
BEGIN
    IF value IS NULL THEN
        RETURN '\x00';
    END IF;
    CASE jsonb_typeof(value)
        WHEN 'null' THEN
            RETURN '\x01';
        WHEN 'boolean' THEN
            RETURN CASE WHEN value::boolean THEN '\x03'::bytea ELSE '\x02'::bytea END;
        WHEN 'string' THEN
            RETURN '\x05'::bytea || substr(convert_to(left(value #>> '{}', 511), 'UTF8'), 1, 511);
        WHEN 'array' THEN
            RETURN '\x06';
        WHEN 'object' THEN
            RETURN '\x07';
        ELSE
            number := value::numeric;
            nearest := number::float8;
            IF abs(number) BETWEEN 9007199254740992 AND 18446744073709551615 THEN
                high := floor(nearest / 2048);
                rest := number - (high::bigint::numeric * 2048 + (nearest - high * 2048)::bigint);
            END IF;
            bits := ('x' || encode(float8send(nearest), 'hex'))::bit(64)::bigint;
            bits := CASE WHEN bits < 0 THEN ~bits ELSE bits # (-9223372036854775808)::bigint END;
            RETURN '\x04'::bytea || int8send(bits) || int2send((rest + 2048)::smallint);
    END CASE;
END
$$;
COMMENT ON FUNCTION picloud_document_key IS
    'Bytes in the order of values: nothing, null, false, true, numbers, strings by their first 511 bytes, arrays, objects. '
    'Operators of bytea, unlike those of numeric and jsonb, may use an index in front of a row security policy.';

-- Few locks per app: a transaction that writes to many collections must not fill the server's table of locks.
CREATE FUNCTION picloud_document_lock(app_id uuid, collection text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (hashtextextended(app_id::text, 0) & -8) | (hashtextextended(collection, 0) & 7)
$$;
COMMENT ON FUNCTION picloud_document_lock IS
    'The advisory lock that writers of documents share and a change of the indexes has alone: no document misses an index.';

CREATE FUNCTION picloud_keep_document_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(picloud_document_lock(NEW.app_id, NEW.collection));
    INSERT INTO document_keys AS kept (app_id, collection, document_id, index_id, key)
    SELECT NEW.app_id, NEW.collection, NEW.id, declared.id,
        picloud_document_key(picloud_document_at(NEW.search, declared.keys))
    FROM document_indexes AS declared
    WHERE declared.app_id = NEW.app_id AND declared.collection = NEW.collection
    ON CONFLICT (app_id, collection, document_id, index_id) DO UPDATE
    SET key = EXCLUDED.key
    WHERE kept.key <> EXCLUDED.key;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_document_keys AFTER INSERT OR UPDATE OF search ON documents
    FOR EACH ROW EXECUTE FUNCTION picloud_keep_document_keys();
