-- Purpose: the facts for `explain`: a task, its row in `dispatch`, its queue, its lease, and the newest entry of
-- its history. $1 uuid.
-- Reads only; relies on the primary keys of task, dispatch, queue, lease and task_event.
SELECT
    now() AS now,
    t.id, t.status, t.queue, t.type, t.priority, t.run, t.attempt, t.max_attempts, t.losses, t.max_losses,
    t.claim_no, t.cancel_requested, t.run_at, t.expires_at, t.started_at, t.finished_at, t.timeout_s, t.error,
    t.lease_id,
    d.task_id IS NOT NULL AS is_enqueued,
    q.paused_at AS queue_paused_at,
    l.worker, l.renewed_at, l.expires_at AS lease_expires_at, l.closed_at, l.close_reason,
    e.at AS last_at, e.event AS last_event, e.reason AS last_reason
FROM taskmill.task AS t
LEFT JOIN taskmill.dispatch AS d ON d.task_id = $1
LEFT JOIN taskmill.queue AS q ON q.name = t.queue
LEFT JOIN taskmill.lease AS l ON l.id = t.lease_id
LEFT JOIN taskmill.task_event AS e ON e.task_id = $1 AND e.version = t.version
WHERE t.id = $1
