-- Purpose: a worker takes the tasks that hints told it of, as far as they still wait and it may run them.
-- $1 uuid lease, $2 text worker, $3 uuid[] task ids, $4 text[] types and $5 text[] queues that it serves (null: all).
-- Locks in order: lease (shared), dispatch (in the order of ids; waits, since a row that is just being marked as
-- released is no reason to forget its hint), task, event, count.
-- Relies on: the primary keys of dispatch and task. IS TRUE keeps the planner from dispatch_lane, which it would
-- take on an empty table, and keep: that one has another order, and is as long as the backlog. Whether a row is marked
-- as released is not asked: hints may be late, doubled, or made up, and what they name is claimed by the same rules as
-- everything.
-- Rings.
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
        version = version + 1
    WHERE id = ANY(ARRAY(SELECT task_id FROM taken)) AND (status = 'new') IS TRUE
        -- Of one: AND id = ($3::uuid[])[1]
    RETURNING
        id, claim_no, name, type, queue, payload, priority, run, attempt, max_attempts, losses,
        max_losses, timeout_s, retry, created_at, labels, traceparent, version, run_at,
        date_part('epoch', updated_at - greatest(run_at, created_at)) AS waited_s
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at, lease_id, worker
    )
    SELECT
        id, version, 'claimed', 'in_progress', run, attempt, losses, claim_no, run_at, $1, $2
    FROM claimed
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM claimed HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT moved.queue, change.status, change.sign * moved.tasks
    FROM (SELECT queue, count(*) AS tasks FROM claimed GROUP BY queue) AS moved
    CROSS JOIN (VALUES ('new', -1), ('in_progress', 1)) AS change (status, sign)
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, happening, bucket, tasks, seconds)
    SELECT queue, type, 'claimed', taskmill.duration_bucket(waited_s), count(*), sum(greatest(waited_s, 0))
    FROM claimed GROUP BY 1, 2, 4
)
SELECT
    id, claim_no, name, type, queue, payload, priority, run, attempt, max_attempts, losses,
    max_losses, timeout_s, retry, created_at, labels, traceparent, run_at, waited_s
FROM claimed
