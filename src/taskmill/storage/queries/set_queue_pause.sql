-- Purpose: pause ($2 true) or resume a queue; a repeat changes nothing. $1 text. Returns the queue when it exists.
-- Notifies.
UPDATE taskmill.queue
SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END,
    resumed_at = CASE WHEN $2 OR paused_at IS NULL THEN resumed_at ELSE clock_timestamp() END
WHERE name = $1
RETURNING name, paused_at, created_at, keep
