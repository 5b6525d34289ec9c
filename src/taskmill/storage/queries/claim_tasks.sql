-- Purpose: a worker takes up to $3 due tasks from its buckets, in the order of the buckets given.
-- $1 uuid lease, $2 text worker, $3 integer limit; buckets: $4 text[] queues, $5 text[] types, $6 smallint[]
-- priorities, and where to start in each: $7 timestamptz[] run_at, $8 uuid[] task ids.
-- Locks in order: lease (shared), dispatch (skips what others hold), task, event, count.
-- Relies on: dispatch_bucket, task's primary key, nested loops in the order of the buckets: rows are locked one by
-- one as they are pulled, so no more than $3 are. Because of the lease's lock, a claim and the closing of its
-- lease wait for each other: a closed lease claims nothing.
-- A task that was created without a policy takes it from its type at its first claim; then its open_policy is 0.
-- Null: the policy was given, or there was none to take.
-- A task of create_task is unchecked until it has spent an attempt, as that function does not check payloads. A
-- claim that was lost or handed back has spent none.
-- Notifies.
WITH held AS MATERIALIZED (
    SELECT id FROM taskmill.lease
    WHERE id = $1 AND closed_at IS NULL AND expires_at > clock_timestamp()
    FOR KEY SHARE
),
picked AS MATERIALIZED (
    SELECT waiting.row_id
    FROM unnest(
        $4::text[], $5::text[], $6::smallint[], $7::timestamptz[], $8::uuid[]
    ) AS bucket (queue, type, priority, from_run_at, from_task_id)
    CROSS JOIN LATERAL (
        SELECT d.ctid AS row_id
        FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue
            AND d.type = bucket.type
            AND d.priority = bucket.priority
            AND (d.run_at, d.task_id) >= (bucket.from_run_at, bucket.from_task_id)
            AND d.run_at <= now()
            AND (d.expires_at IS NULL OR d.expires_at > now())
        ORDER BY d.run_at, d.task_id
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    ) AS waiting
    WHERE EXISTS (SELECT FROM held)
        AND NOT EXISTS (
            SELECT FROM taskmill.queue WHERE name = bucket.queue AND paused_at IS NOT NULL
        )
    LIMIT $3
),
taken AS (
    DELETE FROM taskmill.dispatch
    WHERE ctid = ANY(ARRAY(SELECT row_id FROM picked))
    RETURNING task_id
),
claimed AS (
    UPDATE taskmill.task
    SET status = 'in_progress',
        attempt = attempt + 1,
        claim_no = claim_no + 1,
        lease_id = $1,
        started_at = now(),
        updated_at = now(),
        version = version + 1,
        max_attempts = CASE WHEN claim_no = 0 AND open_policy & 1 > 0 THEN coalesce((
            SELECT p.max_attempts FROM taskmill.type_policy AS p WHERE p.type = task.type
        ), max_attempts) ELSE max_attempts END,
        max_losses = CASE WHEN claim_no = 0 AND open_policy & 2 > 0 THEN coalesce((
            SELECT p.max_losses FROM taskmill.type_policy AS p WHERE p.type = task.type
        ), max_losses) ELSE max_losses END,
        retry = CASE WHEN claim_no = 0 AND open_policy & 4 > 0 THEN (
            SELECT p.retry FROM taskmill.type_policy AS p WHERE p.type = task.type
        ) ELSE retry END,
        timeout_s = CASE WHEN claim_no = 0 AND open_policy & 8 > 0 THEN (
            SELECT p.timeout_s FROM taskmill.type_policy AS p WHERE p.type = task.type
        ) ELSE timeout_s END,
        open_policy = CASE WHEN open_policy > 0 THEN (
            SELECT 0 FROM taskmill.type_policy AS p WHERE p.type = task.type AND task.claim_no = 0
        ) ELSE open_policy END
    WHERE id = ANY(ARRAY(SELECT task_id FROM taken)) AND (status = 'new') IS TRUE
    RETURNING
        id, claim_no, name, type, queue, payload, priority, run, attempt, max_attempts, losses,
        max_losses, timeout_s, retry, created_at, labels, traceparent, version, run_at, open_policy,
        source = 'sql' AND run = 1 AND attempt = 1 AS is_unchecked,
        date_part('epoch', updated_at - greatest(run_at, created_at)) AS waited_s
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason
    )
    SELECT
        id, version, 'claimed', 'in_progress', run, attempt, losses, claim_no, run_at, $1, $2,
        CASE WHEN claim_no = 1 AND open_policy = 0 THEN 'type_policy' END
    FROM claimed
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM claimed HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT moved.queue, change.status, change.sign * moved.tasks, moved.week
    FROM (
        SELECT queue, taskmill.week_of(id) AS week, count(*) AS tasks FROM claimed GROUP BY 1, 2
    ) AS moved
    CROSS JOIN (VALUES ('new', -1), ('in_progress', 1)) AS change (status, sign)
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
    SELECT queue, type, 'claimed', taskmill.duration_bucket(waited_s), count(*), sum(greatest(waited_s, 0))
    FROM claimed GROUP BY 1, 2, 4
)
SELECT
    id, claim_no, name, type, queue, payload, priority, run, attempt, max_attempts, losses,
    max_losses, timeout_s, retry, created_at, labels, traceparent, run_at, waited_s, is_unchecked
FROM claimed
