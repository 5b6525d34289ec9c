-- Stores a task in the caller's transaction and returns its id. It checks what lengths, ranges and types can say, one
-- thing after the other; whether a payload fits its type is checked by whoever hands the task out first. An argument that
-- is null counts as not given. It runs as its owner: grant it to the roles that may create tasks (docs/reference/sql.md).
-- Locks, in this order: the row of the idempotency key, the advisory lock of types, the advisory lock of queues.
CREATE FUNCTION taskmill.create_task(
    name text, description text DEFAULT NULL, type text DEFAULT NULL, payload json DEFAULT NULL,
    queue text DEFAULT NULL, priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    delay_s double precision DEFAULT NULL, max_attempts integer DEFAULT NULL, max_losses integer DEFAULT NULL,
    retry json DEFAULT NULL, timeout_s double precision DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    callback_url text DEFAULT NULL, labels json DEFAULT NULL, idempotency_key text DEFAULT NULL,
    traceparent text DEFAULT NULL, payload_secrets json DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET extra_float_digits = 1
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    slug constant text = '^[a-z0-9][a-z0-9._-]{0,62}$';
    slug_words constant text = '1 to 63 characters a-z, 0-9, ''.'', ''_'' or ''-'', the first a letter or a digit';
    secrets_words constant text = 'an array of at most 20 JSON pointers (/card/number) of at most 200 characters, or null';
    times constant tstzrange = '[2000-01-01 00:00:00+00, 2101-01-01 00:00:00+00)';
    shows constant text = '[^\u0001-\u0020\u007F-\u00A0\u00AD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF]';
    limits taskmill.request_limit;
    given jsonb;
    given_retry jsonb;
    given_labels jsonb;
    defaults jsonb;
    wrong record;
    used_type constant text = coalesce(type, 'emulate');
    used_queue text;
    made constant uuid = taskmill.new_task_id();
    created_at constant timestamptz = to_timestamp(0)
        + ('x' || left(replace(made::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond';
    due timestamptz;
    request_hash bytea;
    open_policy smallint;
BEGIN
    SELECT l.* INTO STRICT limits FROM taskmill.request_limit AS l;
    given = taskmill.bounded_object(payload, '/payload', limits.payload_bytes);
    given_retry = taskmill.bounded_object(retry, '/retry', limits.payload_bytes);
    given_labels = taskmill.bounded_object(labels, '/labels', limits.payload_bytes);
    FOR wrong IN SELECT w.pointer, w.expected FROM (VALUES
        (coalesce(length(name) BETWEEN 1 AND 200 AND name COLLATE "C" ~ shows, false), '/name',
            'a string of 1 to 200 characters, not only white space'),
        (length(description) <= 10000, '/description', 'a string of at most 10,000 characters, or null'),
        (type COLLATE "C" ~ slug, '/type', slug_words),
        (queue COLLATE "C" ~ slug, '/queue', slug_words),
        (CASE json_typeof(payload_secrets) WHEN 'array' THEN json_array_length(payload_secrets) <= 20 AND NOT EXISTS (
            SELECT FROM json_array_elements(payload_secrets) AS s (value)
            WHERE json_typeof(s.value) <> 'string' OR length(s.value #>> '{}') > 200
                OR (s.value #>> '{}') COLLATE "C" !~ '^(/([^~/]|~[01])*)*$'
            ) WHEN 'null' THEN true ELSE payload_secrets IS NULL END, '/payload_secrets', secrets_words),
        (priority BETWEEN 0 AND 9, '/priority', 'a whole number from 0 to 9 (the most urgent)'),
        (run_at <@ times, '/run_at', 'a time of the years 2000 to 2100'),
        (delay_s BETWEEN 0 AND 31536000, '/delay_s', 'a number of seconds from 0 to 31,536,000 (a year)'),
        (run_at IS NULL OR delay_s IS NULL, '/delay_s', 'either run_at or delay_s'),
        (max_attempts BETWEEN 1 AND 1000, '/max_attempts', 'a whole number from 1 to 1,000'),
        (max_losses BETWEEN 0 AND 100, '/max_losses', 'a whole number from 0 to 100'),
        (timeout_s > 0 AND timeout_s <= 604800, '/timeout_s', 'a number of seconds over 0, at most 604,800 (a week)'),
        (expires_at <@ times, '/expires_at', 'a time of the years 2000 to 2100'),
        (expires_at > run_at, '/expires_at', 'a time after run_at'),
        (callback_url IS NULL OR taskmill.url_origin(callback_url) IS NOT NULL, '/callback_url', taskmill.url_words()),
        (length(idempotency_key) BETWEEN 1 AND limits.idempotency_key_chars AND idempotency_key COLLATE "C" !~
            '[\u0001-\u001F\u007F-\u00A0\u00AD\u2000-\u200F\u2028-\u202F\u205F-\u206F\u3000\uFEFF]',
            '/idempotency_key', '1 to ' || limits.idempotency_key_chars || ' printable characters'),
        ((SELECT count(*) FROM jsonb_object_keys(given_labels)) <= limits.labels, '/labels',
            'at most ' || limits.labels || ' labels'),
        (NOT EXISTS (SELECT FROM jsonb_each(given_labels) AS l (key, value)
            WHERE length(l.key) NOT BETWEEN 1 AND 63 OR jsonb_typeof(l.value) <> 'string'
                OR length(l.value #>> '{}') > 255),
            '/labels', 'an object of texts: keys of 1 to 63 characters, values of at most 255'),
        (NOT EXISTS (SELECT FROM jsonb_each(given_retry) AS r (key, value)
            LEFT JOIN (VALUES ('base_s', 0, 86400), ('factor', 1, 100), ('max_s', 0, 604800), ('jitter', 0, 1))
                AS known (key, lowest, highest) USING (key)
            WHERE known.key IS NULL OR NOT CASE WHEN jsonb_typeof(r.value) = 'number'
                THEN r.value::numeric BETWEEN known.lowest AND known.highest ELSE false END),
            '/retry', 'base_s from 0 to 86,400, factor from 1 to 100, max_s from 0 to 604,800, jitter from 0 to 1')
        ) AS w (fits, pointer, expected)
        WHERE NOT w.fits
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
    IF idempotency_key IS NOT NULL THEN
        request_hash = sha256(convert_to((
            SELECT jsonb_object_agg(g.name, g.value)
            FROM (VALUES
                ('name', to_jsonb(name)), ('description', to_jsonb(description)), ('type', to_jsonb(type)),
                ('payload', given), ('payload_secrets', to_jsonb(payload_secrets)), ('queue', to_jsonb(queue)),
                ('priority', to_jsonb(priority)),
                ('run_at', to_jsonb(run_at)), ('delay_s', to_jsonb(delay_s)),
                ('max_attempts', to_jsonb(max_attempts)), ('max_losses', to_jsonb(max_losses)),
                ('retry', given_retry), ('timeout_s', to_jsonb(timeout_s)), ('expires_at', to_jsonb(expires_at)),
                ('callback_url', to_jsonb(callback_url)), ('labels', given_labels)) AS g (name, value)
            WHERE g.value IS NOT NULL)::text, 'UTF8'));
        INSERT INTO taskmill.idempotency AS held (scope, key, task_id, request_hash, expires_at)
        VALUES ('sql', idempotency_key, made, request_hash, created_at + limits.key_validity)
        ON CONFLICT (scope, key) DO UPDATE SET task_id = excluded.task_id, request_hash = excluded.request_hash,
            expires_at = excluded.expires_at WHERE held.expires_at <= now();
        IF NOT FOUND THEN
            RETURN taskmill.task_of_key(idempotency_key, request_hash);
        END IF;
    END IF;
    SELECT c.defaults::jsonb INTO defaults FROM taskmill.task_type AS t
    JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version WHERE t.name = used_type;
    IF NOT FOUND AND used_type NOT IN ('emulate', 'http') THEN
        open_policy = nullif((max_attempts IS NULL)::integer + 2 * (max_losses IS NULL)::integer
            + 4 * (given_retry IS NULL)::integer + 8 * (timeout_s IS NULL)::integer, 0);
    END IF;
    used_queue = coalesce(queue, defaults ->> 'queue', 'default');
    due = coalesce(run_at, created_at + make_interval(secs => delay_s), created_at);
    PERFORM taskmill.ensure_type(used_type, limits.unserved_types);
    PERFORM taskmill.ensure_queue(used_queue, limits.queues);
    PERFORM taskmill.notify_if_idle();
    INSERT INTO taskmill.task (id, name, description, type, payload, queue, priority, run_at, created_at,
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent, open_policy, payload_secrets)
    VALUES (made, name, description, used_type, CASE WHEN given IS NOT NULL THEN payload END, used_queue,
        coalesce(priority, (defaults ->> 'priority')::integer, 4), due, created_at,
        coalesce(max_attempts, (defaults ->> 'max_attempts')::integer, 1),
        coalesce(max_losses, (defaults ->> 'max_losses')::integer, 3),
        '{"base_s": 1.0, "factor": 2.0, "max_s": 3600.0, "jitter": 0.1}' || coalesce(given_retry, defaults -> 'retry'),
        coalesce(timeout_s, (defaults ->> 'timeout_s')::double precision), expires_at, coalesce(given_labels, '{}'), 'sql',
        substring(traceparent FROM '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$'), open_policy,
        CASE WHEN payload_secrets -> 0 IS NOT NULL THEN payload_secrets END);
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT t.id, t.queue, t.type, t.priority, t.run_at, t.expires_at FROM taskmill.task AS t WHERE t.id = made;
    INSERT INTO taskmill.task_event (task_id, version, event, status, run, attempt, losses, claim_no, run_at)
    VALUES (made, 1, 'created', 'new', 1, 0, 0, 0, due);
    INSERT INTO taskmill.change_batch (task_ids, versions) VALUES (ARRAY[made], ARRAY[1]);
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    VALUES (used_queue, 'new', 1, taskmill.week_of(made));
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks) VALUES (used_queue, used_type, 'created', 1);
    IF callback_url IS NOT NULL THEN
        INSERT INTO taskmill.task_callback (task_id, url, endpoint)
        VALUES (made, callback_url, 'callback:' || taskmill.url_origin(callback_url));
    END IF;
    RETURN made;
END $$;

-- Both are there for a moment, in this transaction: who may execute the old one may execute the new one.
REVOKE ALL ON FUNCTION taskmill.create_task(
    text, text, text, json, text, integer, timestamptz, double precision, integer, integer, json, double precision, timestamptz, text, json, text, text, json
) FROM PUBLIC;

DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT
            CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS role,
            CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
        FROM pg_proc AS p
        CROSS JOIN aclexplode(p.proacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE p.pronamespace = 'taskmill'::regnamespace AND p.proname = 'create_task'
            AND NOT 'payload_secrets' = ANY(p.proargnames) AND a.grantee <> p.proowner
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION taskmill.create_task('
            'text, text, text, json, text, integer, timestamptz, double precision, integer, integer, json, double precision, timestamptz, text, json, text, text, json'
            ') TO ' || granted.role || granted.option;
    END LOOP;
END $$;

-- Its callers name their arguments, and get the new one.
-- squawk-ignore ban-drop-function
DROP FUNCTION taskmill.create_task(
    text, text, text, json, text, integer, timestamptz, double precision, integer, integer, json, double precision, timestamptz, text, json, text, text
);
