-- Purpose: note that a place has everything up to a cursor, and keep the turn. $1 text place, $2 uuid who,
-- $3 double precision seconds, $4 bigint and $5 integer: the cursor.
-- Locks: the place's row. Returns a row if the turn is still held: whoever lost it changes nothing.
UPDATE taskmill.feed_delivery
SET position = $4, ordinal = $5, expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE place = $1 AND holder = $2
RETURNING position
