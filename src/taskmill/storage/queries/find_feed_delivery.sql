-- Purpose: whether the feed was ever delivered to a destination. $1 text place. Reads only; relies on the primary
-- key.
SELECT EXISTS (SELECT FROM taskmill.feed_delivery WHERE place = $1)
