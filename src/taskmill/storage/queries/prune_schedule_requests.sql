-- Purpose: delete what SQL has asked for of schedules long ago and was refused. $1 double precision: days to keep it; $2 integer:
-- the most. What is still to be done of it, a pause, is done first.
-- Locks: schedule_request; skips what others have locked. Relies on schedule_request_refused. Returns the names.
WITH old AS MATERIALIZED (
    SELECT name FROM taskmill.schedule_request
    WHERE problem IS NOT NULL AND paused IS NULL AND asked_at < now() - make_interval(secs => $1 * 86400)
    ORDER BY asked_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM taskmill.schedule_request
WHERE name IN (SELECT name FROM old)
RETURNING name
