-- Purpose: take jobs that no process goes on with: new ones, and those of processes that ended. $1 uuid holder, $2
-- double precision: for how many seconds they are held, $3 integer: how many at most.
-- Locks: rows of jobs (SKIP LOCKED). Relies on: job_open. Returns their ids.
UPDATE taskmill.job SET holder = $1, held_until = clock_timestamp() + make_interval(secs => $2)
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.job
    WHERE state = 'running' AND (held_until IS NULL OR held_until < clock_timestamp())
    ORDER BY id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
))
RETURNING id
