-- Purpose: the next tasks by id, each with its rows in `dispatch` and `running`, and the state of its lease.
-- $1 uuid: after this id, $2 uuid: up to this one, $3 integer limit, $4 timestamptz: as of when, null for now.
-- The columns are in the order of `TaskRow`, then of `DispatchRow` and of `RunningRow`, both twice: as they should
-- be, and as they are (domain/history.py).
-- Reads only; relies on the primary keys of task, running, dispatch and lease; LIMIT has the second looked up.
WITH part AS MATERIALIZED (
    SELECT
        id, version, status, run, attempt, max_attempts, losses, max_losses, claim_no, run_at, lease_id,
        cancel_requested, started_at, finished_at, updated_at, error, queue, type, priority, expires_at
    FROM taskmill.current_task
    WHERE id > $1 AND id <= $2
    ORDER BY id
    LIMIT $3
)
SELECT
    t.id, t.version, t.status, t.run, t.attempt, t.max_attempts, t.losses, t.max_losses, t.claim_no,
    t.run_at, t.lease_id, t.cancel_requested, t.started_at, t.finished_at, t.updated_at, t.error,
    t.queue, t.type, t.priority, t.run_at, t.expires_at,
    d.queue, d.type, d.priority, d.run_at, d.expires_at,
    before.claim_no + 1, before.attempt + 1,
    before.version + CASE WHEN r.cancel_requested_at IS NULL THEN 1 ELSE 2 END, before.queue,
    r.claim_no, r.attempt, r.version, r.queue,
    l.id IS NOT NULL AS has_lease,
    CASE WHEN l.closed_at IS NOT NULL OR l.expires_at < coalesce($4::timestamptz, now()) THEN
        extract(epoch FROM coalesce($4::timestamptz, now()) - least(l.closed_at, l.expires_at))::double precision
    END AS lease_over_s
FROM part AS t
LEFT JOIN taskmill.dispatch AS d ON d.task_id = t.id
LEFT JOIN LATERAL (
    SELECT task_id, claim_no, attempt, version, queue, cancel_requested_at FROM taskmill.running
    WHERE task_id = t.id
    LIMIT 1
) AS r ON true
LEFT JOIN taskmill.task AS before ON before.id = r.task_id
LEFT JOIN taskmill.lease AS l ON l.id = t.lease_id
ORDER BY t.id
