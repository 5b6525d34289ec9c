-- Purpose: how many tasks run under each lease. $1 integer: most tasks to look at; so many in all mean that there are
-- more. Reads only; relies on task_status_id.
SELECT lease_id, count(*)::integer AS running
FROM (SELECT lease_id FROM taskmill.task WHERE status = 'in_progress' LIMIT $1) AS looked_at
GROUP BY lease_id
