-- Purpose: a page of jobs, newest first. $1 uuid: only those before it (the largest UUID for all), $2 integer: how many
-- at most, $3 text: only of this API key (null: of all). `found` counts all on the page. Locks: none.
-- Relies on: the primary key; jobs are few.
SELECT
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at, count(*) OVER () AS found
FROM (
    SELECT
        id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state,
        problem, after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at,
        stop_requested_by, ended_at
    FROM taskmill.job
    WHERE id < $1 AND ($3::text IS NULL OR key_id = $3)
    ORDER BY id DESC
    LIMIT $2
) AS part
ORDER BY id DESC
