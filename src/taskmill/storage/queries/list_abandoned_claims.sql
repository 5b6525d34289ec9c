-- Purpose: what runs under a lease that is closed or not there, by lease. $1 integer: most leases.
-- Reads all of `running`, as a round of rescue does; relies on the primary key of `lease`.
SELECT
    r.lease_id,
    l.worker,
    count(*)::integer AS tasks,
    extract(epoch FROM clock_timestamp() - l.closed_at)::double precision AS closed_s
FROM taskmill.running AS r LEFT JOIN taskmill.lease AS l ON l.id = r.lease_id
WHERE l.id IS NULL OR l.closed_at IS NOT NULL
GROUP BY r.lease_id, l.worker, l.closed_at
ORDER BY closed_s DESC NULLS FIRST, r.lease_id
LIMIT $1
