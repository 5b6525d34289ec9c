-- Purpose: all queues, and whether they are paused. Reads only.
SELECT name, paused_at, created_at
FROM taskmill.queue
ORDER BY name
