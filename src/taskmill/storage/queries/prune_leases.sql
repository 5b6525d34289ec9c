-- Purpose: delete workers' leases that were closed a day ago and hold no task any more. $1 integer limit.
-- Reads what runs once, however many leases there are, and only if there is one: no index is by lease.
DELETE FROM taskmill.lease
WHERE id IN (
    SELECT id FROM taskmill.lease
    WHERE NOT remote
        AND closed_at < now() - interval '1 day'
        AND id <> ALL(ARRAY(SELECT DISTINCT lease_id FROM taskmill.running))
    LIMIT $1
)
RETURNING 1
