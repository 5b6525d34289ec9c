-- Purpose: release the cursor lease, so that another process can deliver the feed to a follower at once. $1
-- text follower, $2 uuid holder. Locks: the row of the follower.
UPDATE taskmill.feed_delivery
SET holder = NULL, expires_at = NULL
WHERE follower = $1 AND holder = $2
