-- Purpose: workers that live, and those that ended in the last hour, newest first. $1 integer limit.
SELECT
    id, worker, queues, types, slots, running, started_at, renewed_at, expires_at, closed_at,
    close_reason, expires_at < clock_timestamp() AS expired
FROM taskmill.lease
WHERE closed_at IS NULL OR closed_at > now() - interval '1 hour'
ORDER BY id DESC
LIMIT $1
