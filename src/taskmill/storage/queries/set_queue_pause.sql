-- Purpose: pause ($2 true) or resume a queue; a repeat changes nothing. $1 text. Returns the queue when there is one.
-- What was released before it was resumed counts as not released, since the hints were forgotten: no task is looked at.
-- Notifies.
UPDATE taskmill.queue
SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END,
    resumed_at = CASE WHEN $2 OR paused_at IS NULL THEN resumed_at ELSE clock_timestamp() END
WHERE name = $1
RETURNING name, paused_at, created_at
