-- Purpose: rescue, first step: close the leases that ran out. Commit it before the second step searches for tasks.
-- Locks: leases, skipping those that are just being renewed or claimed with: their workers live.
UPDATE taskmill.lease
SET closed_at = clock_timestamp(), close_reason = 'expired', running = 0
WHERE id IN (
    SELECT id FROM taskmill.lease
    WHERE closed_at IS NULL AND expires_at < clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
RETURNING id, worker, expires_at
