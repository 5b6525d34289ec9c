-- Purpose: a worker ends. $1 uuid, $2 text reason.
-- Locks: the lease, FOR UPDATE: only that waits for claims in flight, which hold it FOR KEY SHARE.
UPDATE taskmill.lease
SET closed_at = clock_timestamp(), close_reason = $2, running = 0
WHERE id IN (SELECT id FROM taskmill.lease WHERE id = $1 AND closed_at IS NULL FOR UPDATE)
RETURNING id
