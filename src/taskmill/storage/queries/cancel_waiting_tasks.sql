-- Purpose: cancel those of the tasks that wait. $1 uuid[], $2 text reason.
-- Locks in order: dispatch (in the order of ids; waits for a claim in flight), task, event, count.
-- Relies on: the primary keys of dispatch and task. Returns the tasks that were cancelled.
-- The form for one has $3 integer[]: the versions that it may have, null for any. The version of a waiting task
-- changes only with its row of dispatch, which is replaced then (reschedule_task).
-- Notifies.
WITH taken AS (
    DELETE FROM taskmill.dispatch WHERE task_id = ANY($1)
        -- For one: AND ($3::integer[] IS NULL OR (SELECT version FROM taskmill.task WHERE id = task_id) = ANY($3))
    RETURNING task_id
),
cancelled AS (
    UPDATE taskmill.task
    SET final_status = 'cancelled',
        cancel_requested = true,
        finished_at = now(),
        updated_at = now(),
        version = version + 1
    WHERE id = ANY(ARRAY(SELECT task_id FROM taken)) AND final_status IS NULL
    RETURNING id, version, run, attempt, losses, claim_no, run_at, queue, type
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, reason
    )
    SELECT id, version, 'cancelled', 'cancelled', run, attempt, losses, claim_no, run_at, $2
    FROM cancelled
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM cancelled HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT moved.queue, change.status, change.sign * moved.tasks, moved.week
    FROM (
        SELECT queue, taskmill.week_of(id) AS week, count(*) AS tasks FROM cancelled GROUP BY 1, 2
    ) AS moved
    CROSS JOIN (VALUES ('new', -1), ('cancelled', 1)) AS change (status, sign)
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)
    SELECT queue, type, 'cancelled', count(*) FROM cancelled GROUP BY queue, type
)
SELECT id FROM cancelled
