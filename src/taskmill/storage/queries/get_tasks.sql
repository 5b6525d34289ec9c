-- Purpose: read tasks by id, in any order, with the progress of their latest claim. $1 uuid[]. Reads only; relies on
-- the primary keys. What a claim of an earlier run had reported is not shown: that run's start is forgotten.
SELECT
    t.id, t.number, t.name, t.description, t.type, t.payload, t.queue, t.priority, t.status, t.run, t.attempt,
    t.max_attempts, t.losses, t.max_losses, t.cancel_requested, t.run_at, t.created_at, t.started_at, t.finished_at,
    t.updated_at, t.result, t.error, t.labels, t.source, t.version, t.claim_no,
    p.share AS progress_share, p.message AS progress_message, p.at AS progress_at, p.serial AS progress_serial
FROM taskmill.task AS t
LEFT JOIN taskmill.task_progress AS p
    ON p.task_id = t.id AND p.claim_no = t.claim_no AND t.started_at IS NOT NULL
WHERE t.id = ANY($1::uuid[])
    -- Of one: AND t.id = ($1::uuid[])[1]
