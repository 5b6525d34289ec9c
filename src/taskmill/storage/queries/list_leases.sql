-- Purpose: workers that live, and those that ended in the last hour, newest first, with what they run now; behind them
-- the open leases of those that pull over HTTP, of which there is one for each claim.
-- $1 integer limit, $2 uuid only this one (null: all).
-- Reads only; relies on task_status_id: its cost grows with the running tasks, as a round of
-- rescue does. What a lease's row says of them is as old as its last renewal.
WITH busy AS MATERIALIZED (
    SELECT lease_id, count(*)::integer AS running
    FROM taskmill.task
    WHERE status = 'in_progress'
    GROUP BY lease_id
)
SELECT
    l.id, l.worker, l.queues, l.types, l.slots, coalesce(busy.running, 0) AS running, l.started_at,
    l.renewed_at, l.expires_at, l.closed_at, l.close_reason, l.asked_to, l.remote, l.version,
    l.expires_at < clock_timestamp() AS expired
FROM taskmill.lease AS l
LEFT JOIN busy ON busy.lease_id = l.id
WHERE (l.closed_at IS NULL OR (l.closed_at > now() - interval '1 hour' AND NOT l.remote))
    AND ($2::uuid IS NULL OR l.id = $2)
ORDER BY l.remote, l.id DESC
LIMIT $1
