-- Purpose: the workers of the last day: from when to when each was alive, and its slots, the last to end first.
-- $1 integer: the most; $2 text: only workers that serve this queue, null for all; $3 text[]: only those that serve
-- one of these queues, null for all.
-- Those that pull over HTTP are left out: their leases are claims.
-- Reads only; relies on lease_open and lease_worker_closed.
SELECT
    worker, version, slots, types, started_at,
    coalesce(closed_at, CASE WHEN expires_at < clock_timestamp() THEN expires_at END) AS ended_at,
    coalesce(close_reason = 'expired', expires_at < clock_timestamp()) AS is_lost
FROM (
    SELECT worker, version, slots, types, started_at, closed_at, close_reason, expires_at, queues
    FROM taskmill.lease
    WHERE closed_at IS NULL AND NOT remote
    UNION ALL
    SELECT worker, version, slots, types, started_at, closed_at, close_reason, expires_at, queues
    FROM taskmill.lease
    WHERE NOT remote AND closed_at > now() - interval '1 day'
) AS known
WHERE ($2::text IS NULL OR cardinality(queues) = 0 OR $2 = ANY(queues))
    AND ($3::text[] IS NULL OR cardinality(queues) = 0 OR queues && $3::text[])
ORDER BY ended_at DESC NULLS FIRST
LIMIT $1
