-- Purpose: a worker takes the tasks that hints name, if they still wait and it may run them.
-- $1 uuid lease, $2 text worker, $3 uuid[] task ids, $4 text[] types and $5 text[] queues that it serves (null:
-- all).
-- Locks in order: lease (shared), dispatch (in the order of ids; waits, as a row that is just being marked as
-- released must not lose its hint), task, event, count.
-- Relies on: the primary keys of dispatch and task. IS TRUE keeps the planner from dispatch_bucket, which it would
-- choose on an empty table and stay with: that index has another order, and is as long as the backlog. The mark of
-- a release is not checked: hints may be late, doubled or forged, and claims follow the same rules as always.
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
taken AS (
    DELETE FROM taskmill.dispatch
    WHERE task_id = ANY($3)
        AND EXISTS (SELECT FROM held)
        AND (run_at <= now()) IS TRUE
        AND (expires_at IS NULL OR expires_at > now())
        AND ($4::text[] IS NULL OR type = ANY($4))
        AND ($5::text[] IS NULL OR queue = ANY($5))
        AND queue <> ALL(ARRAY(SELECT name FROM taskmill.queue WHERE paused_at IS NOT NULL))
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
        -- For one: AND id = ($3::uuid[])[1]
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
