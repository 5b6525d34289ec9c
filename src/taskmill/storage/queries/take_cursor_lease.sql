-- Purpose: take or renew the cursor lease: the right to deliver the feed to a follower. $1 text follower, $2 uuid
-- holder, $3 double precision for how many seconds, $4 bigint and $5 integer: the cursor to begin with when
-- nothing was ever delivered to it.
-- Locks: the row of the follower. Returns the cursor to go on from; no row while another process holds the lease.
INSERT INTO taskmill.feed_delivery AS held (follower, position, ordinal, holder, expires_at)
VALUES ($1, $4, $5, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (follower) DO UPDATE
    SET holder = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
    WHERE held.holder IS NULL OR held.holder = $2 OR held.expires_at < clock_timestamp()
RETURNING position, ordinal
