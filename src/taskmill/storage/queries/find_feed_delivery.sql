-- Purpose: whether another process holds the cursor lease of a follower. $1 text follower, $2 uuid this process. Reads
-- only; relies on the primary key. No row when nothing was ever delivered to the follower.
SELECT coalesce(holder <> $2 AND expires_at >= clock_timestamp(), false) AS is_held
FROM taskmill.feed_delivery
WHERE follower = $1
