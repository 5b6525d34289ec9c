-- Purpose: hold a job for longer, and read it. $1 uuid id, $2 uuid holder, $3 double precision: for how many seconds.
-- Locks: its row. Relies on: the primary key. Returns the job; no row if it is over, or another process holds it.
UPDATE taskmill.job SET held_until = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND holder = $2 AND state = 'running'
RETURNING
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at
