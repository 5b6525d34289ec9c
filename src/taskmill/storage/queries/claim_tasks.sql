-- Purpose: a worker takes up to $3 due tasks from its buckets, in the order of the buckets given.
-- $1 uuid lease, $2 text worker, $3 integer limit; buckets: $4 text[] queues, $5 text[] types, $6 smallint[]
-- priorities, and where to start in each: $7 timestamptz[] run_at, $8 uuid[] task ids.
-- Locks in order: lease (shared), dispatch (skips what others hold), running and task (no rows of others), count.
-- Its entry in the history is the row of running, until the task's next change has it (the view task_history).
-- While its task waits, a row of task changes only with its row of dispatch, which is replaced then (reschedule_task), so
-- it need not be locked.
-- Relies on: dispatch_bucket, the primary keys of task and running, nested loops in the order of the buckets: rows
-- are locked one by one as they are pulled, so no more than $3 are. Because of the lease's lock, a claim and the
-- closing of its lease wait for each other: a closed lease claims nothing.
-- Whether a task runs already is checked, too: a row of dispatch that should not be there must not stop others.
-- A task that was created without a policy takes it from its type at its first claim; then its open_policy is 0.
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
claimed AS MATERIALIZED (
    SELECT
        t.id, t.claim_no + 1 AS claim_no, t.name, t.type, t.queue, t.payload, t.priority, t.run,
        t.attempt + 1 AS attempt,
        coalesce(CASE WHEN t.open_policy & 1 > 0 THEN p.max_attempts END, t.max_attempts) AS max_attempts,
        t.losses,
        coalesce(CASE WHEN t.open_policy & 2 > 0 THEN p.max_losses END, t.max_losses) AS max_losses,
        coalesce(CASE WHEN t.open_policy & 8 > 0 THEN p.timeout_s END, t.timeout_s) AS timeout_s,
        coalesce(CASE WHEN t.open_policy & 4 > 0 THEN p.retry END, t.retry) AS retry,
        t.created_at, t.labels, t.traceparent, t.version + 1 AS version, t.run_at,
        p.type IS NOT NULL AS takes_policy,
        t.source = 'sql' AND t.run = 1 AND t.attempt = 0 AS is_unchecked,
        date_part('epoch', now() - greatest(t.run_at, t.created_at)) AS waited_s
    FROM taskmill.task AS t
    LEFT JOIN LATERAL (
        SELECT type, max_attempts, max_losses, retry, timeout_s FROM taskmill.type_policy
        WHERE type = t.type AND t.open_policy > 0 AND t.claim_no = 0
        LIMIT 1
    ) AS p ON true
    LEFT JOIN LATERAL (SELECT task_id FROM taskmill.running WHERE task_id = t.id LIMIT 1) AS r ON true
    WHERE t.id = ANY(ARRAY(SELECT task_id FROM taken)) AND t.final_status IS NULL AND r.task_id IS NULL
),
moved AS (
    INSERT INTO taskmill.running (
        task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by, claimed_reason
    )
    SELECT
        id, $1, claim_no, attempt, version, queue, run, losses, run_at, $2,
        CASE WHEN takes_policy THEN 'type_policy' END
    FROM claimed
),
with_policy AS (
    UPDATE taskmill.task AS t
    SET (max_attempts, max_losses, timeout_s, retry, open_policy)
        = (c.max_attempts, c.max_losses, c.timeout_s, c.retry, 0)
    FROM claimed AS c
    WHERE t.id = c.id AND c.takes_policy
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
