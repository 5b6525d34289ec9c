-- JSON pointers into the payload, as an array: what readers see masked. Null for most tasks.
ALTER TABLE taskmill.task ADD COLUMN payload_secrets json;

-- Each task as it is now: while an attempt runs, `running` has what that changed. LIMIT has this looked up for each
-- task: a join would read all of `running` for each, if that was analysed while it was empty. It is not looked up
-- for tasks that have ended.
CREATE OR REPLACE VIEW taskmill.current_task AS
SELECT
    t.id, t.number, t.name, t.description, t.type, t.payload, t.queue, t.priority,
    CASE
        WHEN t.final_status IS NOT NULL THEN t.final_status
        WHEN r.claim_no IS NULL THEN 'new'
        ELSE 'in_progress'
    END AS status,
    t.run, coalesce(r.attempt, t.attempt) AS attempt, t.max_attempts, t.losses, t.max_losses,
    t.cancel_requested OR r.cancel_requested_at IS NOT NULL AS cancel_requested,
    t.run_at, t.created_at, coalesce(r.started_at, t.started_at) AS started_at, t.finished_at,
    coalesce(r.cancel_requested_at, r.started_at, t.updated_at) AS updated_at,
    t.expires_at, t.timeout_s, t.retry, t.result, t.error, t.labels, t.source, t.traceparent,
    coalesce(r.version, t.version) AS version, coalesce(r.claim_no, t.claim_no) AS claim_no, r.lease_id,
    t.open_policy, t.payload_secrets
FROM taskmill.task AS t
LEFT JOIN LATERAL (
    SELECT lease_id, claim_no, attempt, version, started_at, cancel_requested_at
    FROM taskmill.running
    WHERE task_id = CASE WHEN t.final_status IS NULL THEN t.id END
    LIMIT 1
) AS r ON true;
