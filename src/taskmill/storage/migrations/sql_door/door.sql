-- Everything that is wrong with a request, but for its payload's contract.
CREATE FUNCTION taskmill.request_violations(
    name text, description text, type text, written json, payload jsonb, queue text, priority integer,
    run_at timestamptz, delay_s double precision, max_attempts integer, max_losses integer, written_retry json,
    retry jsonb, timeout_s double precision, expires_at timestamptz, callback_url text, written_labels json,
    labels jsonb, idempotency_key text, limits taskmill.door_limit
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    slug constant text = '^[a-z0-9][a-z0-9._-]{0,62}$';
    slug_words constant text = '1 to 63 characters a-z, 0-9, ''.'', ''_'' or ''-'', the first a letter or a digit';
    time_words constant text = 'an RFC 3339 time with a time zone (such as 2030-01-31T09:00:00Z or '
        || U&'\2026' || '+03:00), of the years 2000 to 2100';
    earliest constant timestamptz = '2000-01-01 00:00:00+00';
    latest constant timestamptz = '2101-01-01 00:00:00+00';
    faults jsonb = '[]';
    wrong record;
    label_count bigint;
BEGIN
    FOR wrong IN SELECT w.place, w.expected, w.got FROM (VALUES
        (coalesce(length(name) NOT BETWEEN 1 AND 200, true), '/name', 'a string of 1 to 200 characters',
            coalesce(taskmill.described(to_jsonb(name)), 'nothing')),
        (length(description) > 10000, '/description', 'a string of at most 10,000 characters, or null',
            taskmill.described(to_jsonb(description))),
        (type COLLATE "C" !~ slug, '/type', slug_words, taskmill.described_text(type)),
        (jsonb_typeof(payload) NOT IN ('object', 'null'), '/payload', 'an object, or null',
            taskmill.described(payload)),
        (queue COLLATE "C" !~ slug, '/queue', slug_words, taskmill.described_text(queue)),
        (priority NOT BETWEEN 0 AND 9, '/priority', 'a whole number from 0 to 9 (the most urgent)',
            'the number ' || priority),
        (run_at < earliest OR run_at >= latest, '/run_at', time_words, taskmill.described_time(run_at)),
        (delay_s NOT BETWEEN 0 AND 31536000, '/delay_s',
            'a number of seconds from 0 to 31,536,000 (a year)', 'the number ' || delay_s),
        (max_attempts NOT BETWEEN 1 AND 1000, '/max_attempts', 'a whole number from 1 to 1,000',
            'the number ' || max_attempts),
        (max_losses NOT BETWEEN 0 AND 100, '/max_losses', 'a whole number from 0 to 100',
            'the number ' || max_losses)) AS w (is_wrong, place, expected, got)
        WHERE w.is_wrong
    LOOP
        faults = taskmill.add_violation(faults, wrong.place, wrong.expected, wrong.got);
    END LOOP;
    IF retry IS NOT NULL THEN
        faults = taskmill.add_violations(faults, taskmill.retry_violations(written_retry, retry));
    END IF;
    IF NOT (timeout_s > 0 AND timeout_s <= 604800) THEN
        faults = taskmill.add_violation(faults, '/timeout_s',
            'a number of seconds over 0, at most 604,800 (a week)', 'the number ' || timeout_s);
    END IF;
    IF expires_at < earliest OR expires_at >= latest THEN
        faults = taskmill.add_violation(faults, '/expires_at', time_words, taskmill.described_time(expires_at));
    END IF;
    IF callback_url IS NOT NULL AND taskmill.url_origin(callback_url) IS NULL THEN
        faults = taskmill.add_violation(
            faults, '/callback_url', taskmill.url_words(), taskmill.described(to_jsonb(callback_url)));
    END IF;
    IF labels IS NOT NULL THEN
        faults = taskmill.add_violations(faults, taskmill.label_violations(written_labels, labels));
    END IF;
    IF length(idempotency_key) NOT BETWEEN 1 AND 255 THEN
        faults = taskmill.add_violation(faults, '/idempotency_key',
            'a string of 1 to 255 characters, or null', taskmill.described(to_jsonb(idempotency_key)));
    END IF;
    IF delay_s IS NOT NULL AND run_at IS NOT NULL THEN
        faults = taskmill.add_violation(faults, '/delay_s', 'either run_at or delay_s', 'both');
    END IF;
    IF expires_at <= run_at THEN
        faults = taskmill.add_violation(
            faults, '/expires_at', 'a time after run_at', taskmill.described_time(expires_at));
    END IF;
    IF jsonb_typeof(labels) = 'object' THEN
        label_count = (SELECT count(*) FROM jsonb_object_keys(labels));
        IF label_count > limits.labels THEN
            faults = taskmill.add_violation(faults, '/labels', 'at most ' || limits.labels || ' labels',
                taskmill.counted(label_count, 'label'));
        END IF;
    END IF;
    IF coalesce(type, 'emulate') = 'emulate' AND jsonb_typeof(payload) = 'object' THEN
        faults = taskmill.add_violations(faults, taskmill.emulation_violations(payload));
    ELSIF type = 'http' AND jsonb_typeof(payload) = 'object' THEN
        faults = taskmill.add_violations(faults, taskmill.push_violations(written, payload));
    ELSIF type = 'http' AND coalesce(jsonb_typeof(payload), 'null') = 'null' THEN
        faults = taskmill.add_violation(
            faults, '/payload', 'an object that has at least a url', 'nothing');
    END IF;
    IF length(idempotency_key) NOT BETWEEN 1 AND limits.idempotency_key_chars
        OR idempotency_key ~ ('[\u0001-\u001F\u007F-\u00A0\u00AD\u2000-\u200F\u2028-\u202F'
            || '\u205F-\u206F\u3000\uFEFF]')
    THEN
        faults = taskmill.add_violation(faults, '/idempotency_key',
            '1 to ' || limits.idempotency_key_chars || ' printable characters', CASE
                WHEN length(idempotency_key) NOT BETWEEN 1 AND limits.idempotency_key_chars
                    THEN taskmill.described(to_jsonb(idempotency_key))
                ELSE 'unprintable characters' END);
    END IF;
    RETURN faults;
END $$;

-- The door: stores a task in the caller's transaction and returns its id. What is null is left out. It runs as its
-- owner: grant it to the roles that may create tasks (docs/reference/sql.md).
CREATE FUNCTION taskmill.create_task(
    name text, description text DEFAULT NULL, type text DEFAULT NULL, payload json DEFAULT NULL,
    queue text DEFAULT NULL, priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    delay_s double precision DEFAULT NULL, max_attempts integer DEFAULT NULL, max_losses integer DEFAULT NULL,
    retry json DEFAULT NULL, timeout_s double precision DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    callback_url text DEFAULT NULL, labels json DEFAULT NULL, idempotency_key text DEFAULT NULL,
    traceparent text DEFAULT NULL
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
    limits taskmill.door_limit;
    contract record;
    given jsonb;
    given_retry jsonb;
    given_labels jsonb;
    defaults jsonb = '{}';
    faults jsonb;
    misfits jsonb = '[]';
    used_type constant text = coalesce(type, 'emulate');
    used_queue text;
    task_id uuid;
    created_at timestamptz;
    request_hash bytea;
BEGIN
    SELECT l.* INTO STRICT limits FROM taskmill.door_limit AS l;
    given = taskmill.strict_json(payload, '/payload', limits.payload_bytes);
    IF json_typeof(retry) <> 'null' THEN
        given_retry = taskmill.strict_json(retry, '/retry', limits.payload_bytes);
    END IF;
    IF labels IS NOT NULL THEN
        given_labels = taskmill.strict_json(labels, '/labels', limits.payload_bytes);
    END IF;
    faults = taskmill.request_violations(
        name, description, type, payload, given, queue, priority, run_at, delay_s, max_attempts, max_losses,
        retry, given_retry, timeout_s, expires_at, callback_url, labels, given_labels, idempotency_key, limits);
    SELECT c.form, c.defaults::jsonb AS defaults INTO contract
    FROM taskmill.task_type AS t
    JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
    WHERE t.name = used_type;
    IF FOUND THEN
        defaults = contract.defaults;
        IF given IS NULL OR jsonb_typeof(given) IN ('object', 'null') THEN
            misfits = taskmill.contract_violations(contract.form, coalesce(nullif(given, 'null'), '{}'));
        END IF;
    END IF;
    IF faults <> '[]' THEN
        PERFORM taskmill.refuse_violations(taskmill.add_violations(faults, misfits));
    END IF;
    IF idempotency_key IS NOT NULL THEN
        request_hash = sha256(convert_to((
            SELECT jsonb_object_agg(g.name, g.value)
            FROM (VALUES
                ('name', to_jsonb(name)), ('description', to_jsonb(description)), ('type', to_jsonb(type)),
                ('payload', given), ('queue', to_jsonb(queue)), ('priority', to_jsonb(priority)),
                ('run_at', to_jsonb(run_at)), ('delay_s', to_jsonb(delay_s)),
                ('max_attempts', to_jsonb(max_attempts)), ('max_losses', to_jsonb(max_losses)),
                ('retry', given_retry), ('timeout_s', to_jsonb(timeout_s)), ('expires_at', to_jsonb(expires_at)),
                ('callback_url', to_jsonb(callback_url)), ('labels', given_labels)) AS g (name, value)
            WHERE g.value IS NOT NULL)::text, 'UTF8'));
    END IF;
    IF misfits <> '[]' THEN
        -- The key's task may be there, made while another contract held: then it is the answer.
        IF idempotency_key IS NOT NULL THEN
            task_id = taskmill.task_of_key(idempotency_key, request_hash);
            IF task_id IS NOT NULL THEN
                RETURN task_id;
            END IF;
        END IF;
        PERFORM taskmill.refuse_violations(misfits);
    END IF;
    used_queue = coalesce(queue, defaults ->> 'queue', 'default');
    PERFORM taskmill.ensure_queue(used_queue, limits.queues);
    task_id = taskmill.new_task_id();
    created_at = to_timestamp(0) + ('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint
        * interval '1 millisecond';
    PERFORM FROM taskmill.store_tasks(
        ARRAY[task_id], ARRAY[name], ARRAY[description], ARRAY[used_type],
        ARRAY[CASE WHEN json_typeof(payload) <> 'null' THEN payload::text END], ARRAY[used_queue],
        ARRAY[coalesce(priority, (defaults -> 'priority')::integer, 4)]::smallint[],
        ARRAY[coalesce(run_at, created_at + make_interval(secs => delay_s), created_at)], ARRAY[created_at],
        ARRAY[coalesce(max_attempts, (defaults -> 'max_attempts')::integer, 1)],
        ARRAY[coalesce(max_losses, (defaults -> 'max_losses')::integer, 3)],
        ARRAY[('{"base_s": 1.0, "factor": 2.0, "max_s": 3600.0, "jitter": 0.1}'
            || coalesce(given_retry, defaults -> 'retry'))::text],
        ARRAY[coalesce(timeout_s, (defaults -> 'timeout_s')::double precision)], ARRAY[expires_at],
        ARRAY[coalesce(given_labels, '{}')::text], ARRAY['sql'],
        ARRAY[substring(traceparent FROM '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$')],
        ARRAY[CASE WHEN idempotency_key IS NOT NULL THEN 'sql' END], ARRAY[idempotency_key], ARRAY[request_hash],
        ARRAY[created_at + limits.key_validity]);
    IF NOT FOUND THEN
        -- The key is taken: by its first request, or by one that never was of this transaction's snapshot.
        task_id = taskmill.task_of_key(idempotency_key, request_hash);
        IF task_id IS NULL THEN
            RAISE EXCEPTION 'the idempotency key ran out between two statements: try again'
                USING ERRCODE = 'serialization_failure';
        END IF;
    ELSIF callback_url IS NOT NULL THEN
        PERFORM taskmill.store_callbacks(
            ARRAY[task_id], ARRAY[callback_url], ARRAY['callback:' || taskmill.url_origin(callback_url)]);
    END IF;
    RETURN task_id;
END $$;
