-- Purpose: a job. $1 uuid id. Locks: none. Relies on: the primary key.
SELECT
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at
FROM taskmill.job WHERE id = $1
