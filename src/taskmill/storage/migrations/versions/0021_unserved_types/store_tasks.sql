DROP FUNCTION taskmill.store_tasks;

-- The same as `queries/create_tasks.sql`, which has `open_policy` now: bits for what the task was not given.
CREATE FUNCTION taskmill.store_tasks(
    uuid[], text[], text[], text[], text[], text[], smallint[],
    timestamptz[], timestamptz[], integer[], integer[], text[],
    double precision[], timestamptz[], text[], text[], text[],
    text[], text[], bytea[], timestamptz[], smallint[]
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
        $18::text[], $19::text[], $20::bytea[], $21::timestamptz[], $22::smallint[]
    ) AS input (
        id, name, description, type, payload, queue, priority,
        run_at, created_at, max_attempts, max_losses, retry,
        timeout_s, expires_at, labels, source, traceparent,
        scope, key, request_hash, key_expires_at, open_policy
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
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent, open_policy
    )
    SELECT
        id, name, description, type, payload::json, queue, priority, 'new', run_at, created_at,
        max_attempts, max_losses, retry::jsonb, timeout_s, expires_at, labels::jsonb, source,
        traceparent, open_policy
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
SELECT id, number, updated_at
FROM created;
END $$;

REVOKE ALL ON FUNCTION taskmill.store_tasks FROM PUBLIC;
