-- A UUIDv7 as the program makes them: milliseconds, 12 bits that go on below them, 62 random ones.
CREATE FUNCTION taskmill.new_task_id() RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    microseconds constant bigint = floor(extract(epoch FROM clock_timestamp()) * 1000000);
    random constant text = right(replace(gen_random_uuid()::text, '-', ''), 16);
BEGIN
    RETURN (lpad(to_hex(microseconds / 1000), 12, '0') || '7'
        || lpad(to_hex(microseconds % 1000 * 4096 / 1000), 3, '0') || random)::uuid;
END $$;

-- The same as `queries/create_tasks.sql`.
CREATE FUNCTION taskmill.store_tasks(
    uuid[], text[], text[], text[], text[], text[], smallint[],
    timestamptz[], timestamptz[], integer[], integer[], text[],
    double precision[], timestamptz[], text[], text[], text[],
    text[], text[], bytea[], timestamptz[]
) RETURNS TABLE (made_id uuid, made_number bigint, made_at timestamptz) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::integer[], $12::text[],
        $13::double precision[], $14::timestamptz[], $15::text[], $16::text[], $17::text[],
        $18::text[], $19::text[], $20::bytea[], $21::timestamptz[]
    ) AS input (
        id, name, description, type, payload, queue, priority,
        run_at, created_at, max_attempts, max_losses, retry,
        timeout_s, expires_at, labels, source, traceparent,
        scope, key, request_hash, key_expires_at
    )
),
keyed AS (
    INSERT INTO taskmill.idempotency AS held (scope, key, task_id, request_hash, expires_at)
    SELECT scope, key, id, request_hash, key_expires_at FROM input WHERE key IS NOT NULL
    ON CONFLICT (scope, key) DO UPDATE
        SET task_id = excluded.task_id,
            request_hash = excluded.request_hash,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= now() OR held.task_id = excluded.task_id
    RETURNING task_id
),
created AS (
    INSERT INTO taskmill.task (
        id, name, description, type, payload, queue, priority, status, run_at, created_at,
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent
    )
    SELECT
        id, name, description, type, payload::json, queue, priority, 'new', run_at, created_at,
        max_attempts, max_losses, retry::jsonb, timeout_s, expires_at, labels::jsonb, source,
        traceparent
    FROM input
    WHERE key IS NULL OR id IN (SELECT task_id FROM keyed)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, number, queue, type, priority, run_at, expires_at, updated_at
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT id, queue, type, priority, run_at, expires_at FROM created
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at
    )
    SELECT id, 1, 'created', 'new', 1, 0, 0, 0, run_at FROM created
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(1) FROM created HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, 'new', count(*) FROM created GROUP BY queue
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, happening, tasks)
    SELECT queue, type, 'created', count(*) FROM created GROUP BY queue, type
)
SELECT id, number, updated_at FROM created;
END $$;

-- Stores the addresses to call when tasks have ended. The same as `queries/store_callbacks.sql`.
CREATE FUNCTION taskmill.store_callbacks(uuid[], text[], text[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
INSERT INTO taskmill.task_callback (task_id, url, lane)
SELECT task_id, url, lane FROM unnest($1::uuid[], $2::text[], $3::text[]) AS input (task_id, url, lane)
ON CONFLICT (task_id) DO NOTHING;
END $$;

-- Makes a queue on its first use. Nobody else can make one until the transaction ends.
CREATE FUNCTION taskmill.ensure_queue(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.queue'));
    INSERT INTO taskmill.queue (name)
    SELECT wanted WHERE (SELECT count(*) FROM taskmill.queue) < most
    ON CONFLICT (name) DO NOTHING;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted) THEN
        PERFORM taskmill.refuse('queue-limit-reached', 422, 'No more queues may be made',
            'there are ' || most || ' queues already, and no more may be made',
            jsonb_build_object('limit', most));
    END IF;
END $$;

-- The task that a key of this function stands for, null if there is none. It waits for other transactions that use
-- the key.
CREATE FUNCTION taskmill.task_of_key(wanted text, wanted_hash bytea) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    held record;
BEGIN
    BEGIN
        INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)
        VALUES ('sql', wanted, '00000000-0000-0000-0000-000000000000', '', now())
        ON CONFLICT (scope, key) DO NOTHING;
        RAISE EXCEPTION USING ERRCODE = 'TM001';
    EXCEPTION WHEN SQLSTATE 'TM001' THEN
        NULL;
    END;
    SELECT i.task_id, i.request_hash INTO held
    FROM taskmill.idempotency AS i
    WHERE i.scope = 'sql' AND i.key = wanted AND i.expires_at > now();
    IF FOUND AND held.request_hash <> wanted_hash THEN
        PERFORM taskmill.refuse(
            'idempotency-conflict', 422, 'The idempotency key was used for another request',
            'the idempotency key ' || quote_literal(wanted) || ' was used for a request with another body', '{}');
    END IF;
    RETURN held.task_id;
END $$;
