-- Purpose: all queues, oldest first, and whether they are paused. Reads only; queues are few.
SELECT name, paused_at IS NOT NULL AS is_paused FROM taskmill.queue ORDER BY created_at, name
