-- Purpose: ask that a running task be cancelled; asking again changes nothing. $1 uuid.
-- Locks: task, event. Returns a row when the task runs and is now, or was already, asked to stop.
WITH running AS MATERIALIZED (
    SELECT id, cancel_requested AS asked_before FROM taskmill.task
    WHERE id = $1 AND status = 'in_progress'
    FOR NO KEY UPDATE
),
asked AS (
    UPDATE taskmill.task
    SET cancel_requested = true, updated_at = now(), version = version + 1
    WHERE id = ANY(ARRAY(SELECT id FROM running WHERE NOT asked_before))
    RETURNING id, version, run, attempt, losses, claim_no, run_at, lease_id
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, happening, status, run, attempt, losses, claim_no, run_at, lease_id
    )
    SELECT
        id, version, 'cancel_requested', 'in_progress', run, attempt, losses, claim_no, run_at, lease_id
    FROM asked
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM asked HAVING count(*) > 0
)
SELECT id FROM running
