-- Purpose: what SQL has asked for of some schedules. $1 text[]: their names. Relies on the primary key.
SELECT id, name, body, queue, type, replaced_queue, paused, asked_by, asked_at, problem
FROM taskmill.schedule_request
WHERE name = ANY($1)
