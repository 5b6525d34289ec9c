-- Purpose: request that those of the tasks that run be cancelled; a repeat changes nothing. $1 uuid[].
-- The form for one has $2 integer[]: the versions that it may have, null for any.
-- Locks in order: task (in the order of ids), event. Relies on task's primary key.
-- Returns the running tasks for which a cancel is now, or was already, requested.
-- Notifies.
WITH running AS MATERIALIZED (
    SELECT id, cancel_requested AS was_requested FROM taskmill.task
    WHERE id = ANY($1) AND (status = 'in_progress') IS TRUE
        -- For one: AND ($2::integer[] IS NULL OR version = ANY($2))
    ORDER BY id
    FOR NO KEY UPDATE
),
requested AS (
    UPDATE taskmill.task
    SET cancel_requested = true, updated_at = now(), version = version + 1
    WHERE id = ANY(ARRAY(SELECT id FROM running WHERE NOT was_requested))
    RETURNING id, version, run, attempt, losses, claim_no, run_at, lease_id
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id
    )
    SELECT
        id, version, 'cancel_requested', 'in_progress', run, attempt, losses, claim_no, run_at, lease_id
    FROM requested
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM requested HAVING count(*) > 0
)
SELECT id FROM running
