-- Purpose: the facts for `explain`: a task, its rows in `dispatch` and `running`, its queue, its lease, and the newest
-- entry of its history. $1 uuid.
-- Reads only; relies on the primary keys of task, dispatch, running, queue, lease and task_event. It names the tables
-- in the order in which dropping a week locks them, so it does not read the view `current_task`.
SELECT
    now() AS now,
    t.id,
    CASE
        WHEN t.final_status IS NOT NULL THEN t.final_status
        WHEN r.task_id IS NULL THEN 'new'
        ELSE 'in_progress'
    END AS status,
    t.queue, t.type, t.priority, t.run, coalesce(r.attempt, t.attempt) AS attempt, t.max_attempts, t.losses,
    t.max_losses, coalesce(r.claim_no, t.claim_no) AS claim_no,
    t.cancel_requested OR r.cancel_requested_at IS NOT NULL AS cancel_requested, t.run_at, t.expires_at,
    coalesce(r.started_at, t.started_at) AS started_at, t.finished_at, t.timeout_s, t.error, r.lease_id,
    d.task_id IS NOT NULL AS is_enqueued, t.source = 'schedule' AS is_of_schedule,
    q.paused_at AS queue_paused_at,
    l.worker, l.renewed_at, l.expires_at AS lease_expires_at, l.closed_at, l.close_reason,
    e.at AS last_at, e.event AS last_event, e.reason AS last_reason
FROM taskmill.task AS t
LEFT JOIN taskmill.dispatch AS d ON d.task_id = $1
LEFT JOIN taskmill.running AS r ON r.task_id = $1 AND t.final_status IS NULL
LEFT JOIN taskmill.queue AS q ON q.name = t.queue
LEFT JOIN taskmill.lease AS l ON l.id = r.lease_id
LEFT JOIN LATERAL (
    SELECT at, event, reason FROM taskmill.task_history
    WHERE task_id = $1 AND version = coalesce(r.version, t.version) AND row_version = coalesce(r.version, t.version)
    LIMIT 1
) AS e ON true
WHERE t.id = $1
