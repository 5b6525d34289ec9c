-- Purpose: delete rows of one step of the roll-up. $1 integer: the step in s, $2 double precision: age in days, $3
-- integer limit. Rows that are not yet part of a longer step stay, unless there is none ($4 boolean).
-- Relies on task_minute_at.
DELETE FROM taskmill.task_minute
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.task_minute
    WHERE step_s = $1 AND at < now() - make_interval(secs => $2 * 86400) AND (carried OR $4)
    ORDER BY at
    LIMIT $3
))
RETURNING 1
