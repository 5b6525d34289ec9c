-- Purpose: record that a follower has everything up to a cursor, and renew the cursor lease. $1 text follower, $2
-- uuid holder, $3 double precision seconds, $4 bigint and $5 integer: the cursor.
-- Locks: the row of the follower. Returns a row if the cursor lease is still held; otherwise nothing changes.
UPDATE taskmill.feed_delivery
SET position = $4, ordinal = $5, expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE follower = $1 AND holder = $2
RETURNING position
