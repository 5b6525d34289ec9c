-- Purpose: a worker renews its lease. That revives a lease that ran out, but none that was closed.
-- $1 uuid, $2 double precision time to live in seconds, $3 integer tasks running.
-- Locks: the lease. Touches no indexed column, so the update stays on its page (HOT).
-- Returns a row when the lease is still open.
UPDATE taskmill.lease
SET renewed_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => $2),
    running = $3
WHERE id = $1 AND closed_at IS NULL
RETURNING id, request, stop_when_empty
