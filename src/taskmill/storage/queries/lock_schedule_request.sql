-- Purpose: lock what SQL has asked for of a schedule, for whoever changes that now. $1 text: its name. What an open transaction asks
-- for comes later, and is left to it.
-- Locks: schedule_request, after schedule; skips what others have locked. Relies on the primary key.
SELECT id, name, body, queue, type, replaced_queue, paused, asked_by, asked_at, problem
FROM taskmill.schedule_request
WHERE name = $1
FOR UPDATE SKIP LOCKED
