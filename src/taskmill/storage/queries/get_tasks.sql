-- Purpose: read tasks by id, in any order, with the progress of their latest claim. $1 uuid[]. Reads only; relies
-- on the primary keys. Progress from an earlier run is not shown: the start of a new run is null.
-- `LIMIT 1` has progress looked up for each task: a join would read all of it for each, if the table was analysed
-- while it was empty. The same goes for the callback, which few tasks have.
SELECT
    t.id, t.number, t.name, t.description, t.type, t.payload, t.queue, t.priority, t.status, t.run, t.attempt,
    t.max_attempts, t.losses, t.max_losses, t.cancel_requested, t.run_at, t.created_at, t.started_at, t.finished_at,
    t.updated_at, t.result, t.error, t.labels, t.source, t.version, t.claim_no,
    t.retry, t.timeout_s, t.expires_at, t.payload_secrets,
    (SELECT url FROM taskmill.task_callback WHERE task_id = t.id) AS callback_url,
    p.share AS progress_share, p.message AS progress_message, p.at AS progress_at, p.serial AS progress_serial
FROM taskmill.current_task AS t
LEFT JOIN LATERAL (
    SELECT share, message, at, serial FROM taskmill.task_progress
    WHERE task_id = t.id AND claim_no = t.claim_no AND t.started_at IS NOT NULL
    LIMIT 1
) AS p ON true
WHERE t.id = ANY($1::uuid[])
    -- For one: AND t.id = ($1::uuid[])[1]
