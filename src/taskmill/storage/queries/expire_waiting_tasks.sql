-- Purpose: fail tasks that were not started by their `expires_at`. $1 integer limit.
-- Locks in order: dispatch (skips what others hold), task, event, count. Relies on dispatch_expiry.
-- Notifies.
WITH picked AS MATERIALIZED (
    SELECT ctid AS row_id FROM taskmill.dispatch
    WHERE expires_at <= now()
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM taskmill.dispatch
    WHERE ctid = ANY(ARRAY(SELECT row_id FROM picked))
    RETURNING task_id
),
expired AS (
    UPDATE taskmill.task
    SET final_status = 'failed',
        error = jsonb_build_object(
            'type', 'Expired', 'message', 'The task was not started before its expires_at.'),
        finished_at = now(),
        updated_at = now(),
        version = version + 1
    WHERE id = ANY(ARRAY(SELECT task_id FROM taken)) AND final_status IS NULL
    RETURNING id, version, run, attempt, losses, claim_no, run_at, queue, type, error
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, reason, error
    )
    SELECT id, version, 'expired', 'failed', run, attempt, losses, claim_no, run_at, 'expired', error
    FROM expired
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM expired HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT moved.queue, change.status, change.sign * moved.tasks, moved.week
    FROM (
        SELECT queue, taskmill.week_of(id) AS week, count(*) AS tasks FROM expired GROUP BY 1, 2
    ) AS moved
    CROSS JOIN (VALUES ('new', -1), ('failed', 1)) AS change (status, sign)
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)
    SELECT queue, type, 'expired', count(*) FROM expired GROUP BY queue, type
)
SELECT id, queue FROM expired
