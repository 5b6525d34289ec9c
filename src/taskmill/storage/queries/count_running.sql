-- Purpose: how many tasks run under each lease. $1 integer: most tasks to read; a sum of $1 means that there may
-- be more.
-- Reads only.
SELECT lease_id, count(*)::integer AS running
FROM (SELECT lease_id FROM taskmill.running LIMIT $1) AS part
GROUP BY lease_id
