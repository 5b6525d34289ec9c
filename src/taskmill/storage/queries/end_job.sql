-- Purpose: end a job. $1 uuid id, $2 uuid holder, $3 text state, $4 text problem.
-- Locks: its row. Relies on: the primary key. Returns the job; no row if it is over, or another process holds it.
UPDATE taskmill.job
SET state = $3, problem = $4, ended_at = clock_timestamp(), updated_at = clock_timestamp(), holder = NULL,
    held_until = NULL
WHERE id = $1 AND holder = $2 AND state = 'running'
RETURNING
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at
