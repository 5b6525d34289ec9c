-- Purpose: keep whom to call when tasks have ended. $1 uuid[] tasks, $2 text[] addresses, $3 text[] endpoints.
-- Runs in the transaction that creates the tasks. Locks: own new rows. Relies on the primary key: a run of the same
-- creation again changes nothing.
INSERT INTO taskmill.task_callback (task_id, url, lane)
SELECT task_id, url, endpoint FROM unnest($1::uuid[], $2::text[], $3::text[]) AS input (task_id, url, endpoint)
ON CONFLICT (task_id) DO NOTHING
