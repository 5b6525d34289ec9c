-- Purpose: delete workers' leases that were closed a day ago and hold no task any more. $1 integer limit.
DELETE FROM taskmill.lease
WHERE id IN (
    SELECT l.id FROM taskmill.lease AS l
    WHERE NOT l.remote
        AND l.closed_at < now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM taskmill.running AS r WHERE r.lease_id = l.id)
    LIMIT $1
)
RETURNING 1
