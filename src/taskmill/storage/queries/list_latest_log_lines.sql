-- Purpose: the last lines of a task, newest first. $1 uuid task; $2 smallint: the least level; $3 integer: how
-- many at most. Reads only; relies on the primary key.
SELECT claim_no, seq, at, level, logger, message, fields
FROM taskmill.task_log
WHERE task_id = $1 AND level >= $2::smallint
ORDER BY claim_no DESC, seq DESC
LIMIT $3::integer
