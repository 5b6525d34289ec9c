-- Purpose: delete leases of workers that pull over HTTP soon after they were closed: there is one for each claim.
-- $1 integer limit. Relies on running's primary key: such a lease names all its tasks.
DELETE FROM taskmill.lease
WHERE id IN (
    SELECT l.id FROM taskmill.lease AS l
    WHERE l.remote
        AND l.closed_at < now() - interval '10 minutes'
        AND NOT EXISTS (
            SELECT FROM taskmill.running AS r WHERE r.task_id = ANY(l.task_ids) AND r.lease_id = l.id
        )
    LIMIT $1
)
RETURNING 1
