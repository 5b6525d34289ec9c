-- Purpose: how many messages were refused lately and not sent again since. $1 uuid: the lowest id to read, $2
-- integer: most to count. Reads only. Relies on the primary key.
SELECT count(*)::integer AS refused
FROM (SELECT FROM taskmill.rejection WHERE id >= $1 AND task_id IS NULL LIMIT $2) AS counted
