-- Purpose: delete failures by queue of one length of step. $1 integer: the step in s, $2 double precision: age in days,
-- $3 integer limit. Relies on queue_failure_at.
DELETE FROM taskmill.queue_failure
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.queue_failure
    WHERE step_s = $1 AND at < now() - make_interval(secs => $2 * 86400)
    ORDER BY at
    LIMIT $3
))
RETURNING 1
