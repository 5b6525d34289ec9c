-- Purpose: whether the feed was ever delivered to a follower. $1 text follower. Reads only; relies on the primary
-- key.
SELECT EXISTS (SELECT FROM taskmill.feed_delivery WHERE follower = $1)
