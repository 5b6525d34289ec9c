-- Purpose: request that those of the tasks that run be cancelled; a repeat changes nothing. $1 uuid[].
-- The form for one has $2 integer[]: the versions that it may have, null for any.
-- Locks in order: running (in the order of ids), event. Relies on the primary key of running.
-- Its entry in the history has the claim's facts, too; from then on `running` is no entry of it (the view
-- task_history).
-- Returns the running tasks for which a cancel is now, or was already, requested.
-- Notifies.
WITH locked AS MATERIALIZED (
    SELECT task_id, cancel_requested_at IS NOT NULL AS was_requested FROM taskmill.running
    WHERE task_id = ANY($1)
        -- For one: AND ($2::integer[] IS NULL OR version = ANY($2))
    ORDER BY task_id
    FOR NO KEY UPDATE
),
requested AS (
    UPDATE taskmill.running
    SET cancel_requested_at = now(), version = version + 1
    WHERE task_id = ANY(ARRAY(SELECT task_id FROM locked WHERE NOT was_requested))
    RETURNING
        task_id, version, run, attempt, losses, claim_no, run_at, lease_id, started_at, claimed_by, claimed_reason
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id,
        claimed_at, claimed_by, claimed_reason
    )
    SELECT
        task_id, version, 'cancel_requested', 'in_progress', run, attempt, losses, claim_no, run_at, lease_id,
        started_at, claimed_by, claimed_reason
    FROM requested
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(task_id), array_agg(version) FROM requested HAVING count(*) > 0
)
SELECT task_id AS id FROM locked
