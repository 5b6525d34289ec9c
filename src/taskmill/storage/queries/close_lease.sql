-- Purpose: a worker ends. $1 uuid, $2 text reason. Locks: the lease, waiting for claims under way.
UPDATE taskmill.lease
SET closed_at = clock_timestamp(), close_reason = $2, running = 0
WHERE id = $1 AND closed_at IS NULL
RETURNING id
