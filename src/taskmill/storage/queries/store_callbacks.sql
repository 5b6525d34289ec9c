-- Purpose: store callbacks of new tasks. $1 uuid[] tasks, $2 text[] addresses, $3 text[] endpoints.
-- Runs in the transaction that creates the tasks. Locks: own new rows. Relies on the primary key: repeating the
-- same creation changes nothing.
INSERT INTO taskmill.task_callback (task_id, url, endpoint)
SELECT task_id, url, endpoint FROM unnest($1::uuid[], $2::text[], $3::text[]) AS input (task_id, url, endpoint)
ON CONFLICT (task_id) DO NOTHING
