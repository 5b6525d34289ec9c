-- Purpose: become, or stay, the one that delivers the feed to a place. $1 text place, $2 uuid who, $3 double precision
-- for how many seconds, $4 bigint and $5 integer: the cursor to begin with when nobody has ever delivered there.
-- Locks: the place's row. Returns the cursor to go on from; no row while somebody else has the turn.
INSERT INTO taskmill.feed_delivery AS held (place, position, ordinal, holder, expires_at)
VALUES ($1, $4, $5, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (place) DO UPDATE
    SET holder = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
    WHERE held.holder IS NULL OR held.holder = $2 OR held.expires_at < clock_timestamp()
RETURNING position, ordinal
