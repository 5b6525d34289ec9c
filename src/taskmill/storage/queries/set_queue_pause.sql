-- Purpose: pause ($2 true) or resume a queue; a repeat changes nothing. $1 text. Returns a row when it exists.
-- Rings.
UPDATE taskmill.queue
SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END
WHERE name = $1
RETURNING name
