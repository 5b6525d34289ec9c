-- Purpose: ask a job to stop after its current step; a repeat changes nothing. $1 uuid id, $2 text who asks.
-- Locks: its row. Relies on: the primary key. Returns the job; no row if it is over, or not there.
UPDATE taskmill.job
SET stop_requested_at = coalesce(stop_requested_at, clock_timestamp()),
    stop_requested_by = CASE WHEN stop_requested_at IS NULL THEN $2 ELSE stop_requested_by END
WHERE id = $1 AND state = 'running'
RETURNING
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at
