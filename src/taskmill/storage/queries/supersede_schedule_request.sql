-- Purpose: drop what SQL has asked for of a schedule, as somebody has changed that since. $1 text name; $2 boolean: whether to
-- put it was asked for, $3 boolean: whether to pause it. What an open transaction asks for comes later, and stays.
-- Locks: schedule_request, after schedule; skips what others have locked. Relies on the primary key. Returns what is gone.
WITH held AS MATERIALIZED (
    SELECT name FROM taskmill.schedule_request WHERE name = $1 FOR UPDATE SKIP LOCKED
),
rest AS (
    UPDATE taskmill.schedule_request
    SET body = CASE WHEN NOT $2 THEN body END,
        queue = CASE WHEN NOT $2 THEN queue END,
        type = CASE WHEN NOT $2 THEN type END,
        problem = CASE WHEN NOT $2 THEN problem END,
        paused = CASE WHEN NOT $3 THEN paused END
    WHERE name IN (SELECT name FROM held)
        AND ((NOT $2 AND body IS NOT NULL) OR (NOT $3 AND paused IS NOT NULL))
)
DELETE FROM taskmill.schedule_request
WHERE name IN (SELECT name FROM held)
    AND NOT ((NOT $2 AND body IS NOT NULL) OR (NOT $3 AND paused IS NOT NULL))
RETURNING name
