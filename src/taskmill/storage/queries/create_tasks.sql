-- Purpose: create a batch of tasks with their keys, history, rows in `dispatch` and counters, atomically.
-- $1..$23: arrays, one element a task (see storage/tasks.py), or empty for nulls only; rows with a key come sorted
-- by it. The scope of a key is that of $22, or the task's source.
-- Locks in order: idempotency (sorted keys), dispatch, task, event, count.
-- Relies on: the primary keys of idempotency and task. Running it again with the same ids changes nothing.
-- The form for one notifies by itself, and names the bucket if the task is due: NOTIFY holds a cluster-wide lock
-- until the commit is on disk. That costs a lone task less than a second statement, but would slow down many at once.
-- The form with owners has $sorted_ids, $owners and $bytes as well: for each id, in this order, the name of an API key
-- with a quota of what waits, and the bytes of the task's texts, or nulls. Each row takes what is in its id's place.
-- Returns: id and number of each task that this run created. A row that is missing has a key that is taken, or was
-- created by an earlier run whose result was lost.
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::integer[], $12::text[],
        $13::double precision[], $14::timestamptz[], $15::text[], $16::text[], $17::text[],
        $18::text[], $19::bytea[], $20::timestamptz[], $21::smallint[],
        $22::text[], $23::text[]
    ) AS input (
        id, name, description, type, payload, queue, priority,
        run_at, created_at, max_attempts, max_losses, retry,
        timeout_s, expires_at, labels, source, traceparent,
        key, request_hash, key_expires_at, open_policy,
        key_scope, payload_secrets
    )
),
keyed AS (
    INSERT INTO taskmill.idempotency AS held (scope, key, task_id, request_hash, expires_at)
    SELECT coalesce(key_scope, source), key, id, request_hash, key_expires_at FROM input WHERE key IS NOT NULL
    ON CONFLICT (scope, key) DO UPDATE
        SET task_id = excluded.task_id,
            request_hash = excluded.request_hash,
            expires_at = excluded.expires_at
        WHERE held.expires_at <= now() OR held.task_id = excluded.task_id
    RETURNING task_id
),
created AS (
    INSERT INTO taskmill.task (
        id, name, description, type, payload, queue, priority, run_at, created_at,
        max_attempts, max_losses, retry, timeout_s, expires_at, labels, source, traceparent, open_policy,
        payload_secrets
    )
    SELECT
        id, name, description, type, payload::json, queue, priority, run_at, created_at,
        max_attempts, max_losses, retry::jsonb, timeout_s, expires_at, labels::jsonb, source,
        traceparent, open_policy, payload_secrets::json
    FROM input
    WHERE key IS NULL OR id IN (SELECT task_id FROM keyed)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, number, queue, type, priority, run_at, expires_at, updated_at
),
waiting AS (
    INSERT INTO taskmill.dispatch (
        task_id, queue, type, priority, run_at, expires_at
        -- For owned: , owner, bytes
    )
    SELECT
        id, queue, type, priority, run_at, expires_at
        -- For owned: , ($owners::text[])[width_bucket(id, $sorted_ids::uuid[])]
        -- For owned: , ($bytes::integer[])[width_bucket(id, $sorted_ids::uuid[])]
    FROM created
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at
    )
    SELECT id, 1, 'created', 'new', 1, 0, 0, 0, run_at FROM created
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(1) FROM created HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT queue, 'new', count(*), taskmill.week_of(id) FROM created GROUP BY 1, 4
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)
    SELECT queue, type, 'created', count(*) FROM created GROUP BY queue, type
)
SELECT id, number, updated_at
-- For one: , pg_notify('taskmill_dispatch', CASE WHEN run_at <= now() THEN
    -- For one: json_build_array(queue, type, priority, extract(epoch FROM run_at))::text END)
FROM created
