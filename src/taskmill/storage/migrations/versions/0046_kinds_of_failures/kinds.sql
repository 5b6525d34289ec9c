-- The line of a message that says what happened, with # for numbers and ids: the first one, of a traceback the last.
-- Of markup it is what comes before it, its title, or its first text. Part of a key, so 200 characters of it are kept.
-- `domain/error_kinds.py` has the same rules. It is there already when the migration is repeated.
CREATE OR REPLACE FUNCTION taskmill.message_shape(message text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    content text := btrim(message, E' \t\r\n');
    line text;
    found text;
BEGIN
    IF starts_with(content, 'Traceback') THEN
        line := regexp_replace(right(content, 4000), '^.*[\r\n]', '');
    ELSE
        line := substring(left(content, 4000) from '^[^\r\n]*');
    END IF;
    IF strpos(line, '<') > 0 THEN
        IF line ~* '<(!doctype|html|head|body|\?xml)' THEN
            found := btrim(regexp_replace(line, '<(!doctype|html|head|body|\?xml).*', '', 'i'), E' \t:');
            IF found = '' THEN
                line := coalesce(nullif(taskmill.markup_title(left(content, 4000)), ''), 'HTML');
            ELSE
                line := found;
            END IF;
        ELSIF line ~ '^<[a-zA-Z]' AND right(content, 1) = '>' THEN
            line := coalesce(nullif(taskmill.markup_title(left(content, 4000)), ''), line);
        END IF;
    END IF;
    RETURN taskmill.without_numbers(line);
END $$;

-- # for numbers and ids. Regular expressions take 0.1 us a character, so 1,000 of them count.
CREATE OR REPLACE FUNCTION taskmill.without_numbers(line text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(
        regexp_replace(
            regexp_replace(
                regexp_replace(left(line, 1000), '\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\M', '#', 'g'),
                '[0-9]+', '#', 'g'),
            '#([.,:-]+#)+', '#', 'g'),
        200)
$$;

CREATE OR REPLACE FUNCTION taskmill.markup_title(markup text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        nullif(btrim(regexp_replace(substring(markup from '(?i)<title[^>]*>([^<]*)'), '[ \t\r\n]+', ' ', 'g'), ' '), ''),
        btrim(regexp_replace(regexp_replace(markup, '<[^>]*>', ' ', 'g'), '[ \t\r\n]+', ' ', 'g'), ' '))
$$;

-- What failures of one kind have in common: the fingerprint, else type and place, else type and message.
-- Whoever changes it must make the index task_error_kind anew. Who may call error_shape calls these: they compute
-- something of their arguments alone, and are open to all as that is.
CREATE OR REPLACE FUNCTION taskmill.error_kind(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN error ? 'fingerprint' THEN left(error ->> 'fingerprint', 200)
        WHEN error ? 'place' THEN left(coalesce(error ->> 'type', '?'), 100) || ' in ' || left(error ->> 'place', 200)
        -- Most messages have no markup: PostgreSQL inlines this, which takes half of the time of the function.
        WHEN strpos(coalesce(error ->> 'message', ''), '<') = 0
            AND NOT starts_with(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 'Traceback')
        THEN left(coalesce(error ->> 'type', '?'), 100) || ': ' || taskmill.without_numbers(split_part(
            replace(left(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 1000), E'\r', E'\n'), E'\n', 1))
        ELSE left(coalesce(error ->> 'type', '?'), 100) || ': '
            || taskmill.message_shape(coalesce(error ->> 'message', ''))
    END
$$;

-- Each kind that has failed in the last 40 days, and what operators decided about it. `id` is the beginning of the MD5
-- of `kind`; `message` is that of its first failure. Folds change last_at, so it is in no index.
CREATE TABLE IF NOT EXISTS taskmill.failure_kind (
    id text PRIMARY KEY,
    kind text NOT NULL,
    message text NOT NULL DEFAULT '',
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    task_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'open',
    state_at timestamptz,
    state_by text,
    CONSTRAINT failure_kind_state CHECK (state IN ('open', 'ignored', 'resolved'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE OR REPLACE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (queue, type, error, task_id)
    VALUES (NEW.queue, NEW.type, taskmill.error_kind(NEW.error), NEW.id);
    RETURN NULL;
END $$;
