-- Purpose: release the cursor lease, so that another process can deliver the feed to a destination at once. $1
-- text place, $2 uuid holder. Locks: the row of the place.
UPDATE taskmill.feed_delivery
SET holder = NULL, expires_at = NULL
WHERE place = $1 AND holder = $2
