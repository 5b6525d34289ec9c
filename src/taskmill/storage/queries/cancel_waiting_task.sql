-- Purpose: cancel a task that waits. $1 uuid, $2 text reason.
-- Locks in order: dispatch (waits for a claim under way), task, event, count. Returns a row when it was cancelled.
WITH taken AS (
    DELETE FROM taskmill.dispatch WHERE task_id = $1 RETURNING task_id
),
cancelled AS (
    UPDATE taskmill.task
    SET status = 'cancelled',
        cancel_requested = true,
        finished_at = now(),
        updated_at = now(),
        version = version + 1
    WHERE id = ANY(ARRAY(SELECT task_id FROM taken)) AND status = 'new'
    RETURNING id, version, run, attempt, losses, claim_no, run_at, queue
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at, reason
    )
    SELECT id, version, 'cancelled', 'cancelled', run, attempt, losses, claim_no, run_at, $2
    FROM cancelled
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM cancelled HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, 'new', -1 FROM cancelled
    UNION ALL
    SELECT queue, 'cancelled', 1 FROM cancelled
)
SELECT id FROM cancelled
