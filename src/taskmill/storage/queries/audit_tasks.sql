-- Purpose: the next tasks by id, each with its row in `dispatch` and the state of its lease.
-- $1 uuid: after this id, $2 uuid: up to this one, $3 integer limit. The columns are in the order of `Standing`,
-- then of `Place`, twice (domain/history.py).
-- Reads only; relies on the primary keys of task, dispatch and lease.
WITH part AS MATERIALIZED (
    SELECT
        id, version, status, run, attempt, max_attempts, losses, max_losses, claim_no, run_at, lease_id,
        cancel_requested, started_at, finished_at, updated_at, error, queue, type, priority, expires_at
    FROM taskmill.task
    WHERE id > $1 AND id <= $2
    ORDER BY id
    LIMIT $3
)
SELECT
    t.id, t.version, t.status, t.run, t.attempt, t.max_attempts, t.losses, t.max_losses, t.claim_no,
    t.run_at, t.lease_id, t.cancel_requested, t.started_at, t.finished_at, t.updated_at, t.error,
    t.queue, t.type, t.priority, t.run_at, t.expires_at,
    d.queue, d.type, d.priority, d.run_at, d.expires_at,
    l.id IS NOT NULL AS has_lease,
    CASE WHEN l.closed_at IS NOT NULL OR l.expires_at < now() THEN
        extract(epoch FROM now() - least(l.closed_at, l.expires_at))::double precision
    END AS lease_over_s
FROM part AS t
LEFT JOIN taskmill.dispatch AS d ON d.task_id = t.id
LEFT JOIN taskmill.lease AS l ON l.id = t.lease_id
ORDER BY t.id
