-- Purpose: set how long a queue keeps its ended tasks. $1 text, $2 interval: null for as long as the settings say.
-- Returns the queue when it exists.
UPDATE taskmill.queue
SET keep = $2
WHERE name = $1
RETURNING name, paused_at, created_at, keep
