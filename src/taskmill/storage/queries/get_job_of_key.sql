-- Purpose: the job that the first request with an idempotency key has started. $1 text: id of the API key that sent it
-- (null: none), $2 text idempotency key. Locks: none. Relies on: job_idempotency.
SELECT
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at, request_hash
FROM taskmill.job
WHERE idempotency_key = $2 AND (key_id = $1 OR (key_id IS NULL AND $1::text IS NULL))
