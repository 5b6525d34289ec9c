-- Purpose: record why what SQL has asked for can't be done. $1 text name; $2 bigint: its id, if nothing else was asked for
-- since; $3 text: the problem, JSON; $4 boolean: whether that is of the pause, which is dropped. What an open transaction
-- replaces is left to it.
-- Locks: schedule_request; skips what others have locked. Relies on the primary key.
WITH held AS MATERIALIZED (
    SELECT name FROM taskmill.schedule_request WHERE name = $1 AND id = $2 FOR UPDATE SKIP LOCKED
)
UPDATE taskmill.schedule_request SET problem = $3::text::json, paused = CASE WHEN NOT $4 THEN paused END
WHERE name IN (SELECT name FROM held)
RETURNING id
