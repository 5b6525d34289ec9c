-- Purpose: record why what SQL has asked for can't be done. $1 text name; $2 bigint: its id, if nothing else was asked for
-- since; $3 text: the problem, JSON; $4 boolean: whether that is of the pause, which is dropped. Locks: schedule_request. Relies
-- on the primary key.
UPDATE taskmill.schedule_request SET problem = $3::text::json, paused = CASE WHEN NOT $4 THEN paused END
WHERE name = $1 AND id = $2
RETURNING id
