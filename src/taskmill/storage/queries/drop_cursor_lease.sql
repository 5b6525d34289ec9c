-- Purpose: let another one deliver the feed to a place at once. $1 text place, $2 uuid who. Locks: the place's row.
UPDATE taskmill.feed_delivery
SET holder = NULL, expires_at = NULL
WHERE place = $1 AND holder = $2
