-- Stores a task in the caller's transaction and returns its id. An argument that is null counts as not given. It
-- runs as its owner: grant it to the roles that may create tasks (docs/reference/sql.md).
CREATE OR REPLACE FUNCTION taskmill.create_task(
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
    PERFORM taskmill.ensure_type(used_type, limits.unserved_types);
    PERFORM taskmill.ensure_queue(used_queue, limits.queues);
    task_id = taskmill.new_task_id();
    created_at = to_timestamp(0) + ('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint
        * interval '1 millisecond';
    PERFORM taskmill.ring_if_quiet();
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
        ARRAY[created_at + limits.key_validity],
        ARRAY[CASE WHEN contract.form IS NULL AND used_type NOT IN ('emulate', 'http') THEN nullif(
            (max_attempts IS NULL)::integer + 2 * (max_losses IS NULL)::integer
            + 4 * (given_retry IS NULL)::integer + 8 * (timeout_s IS NULL)::integer, 0) END]::smallint[]);
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
