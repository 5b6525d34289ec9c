-- Purpose: lines of a task beyond a place, oldest first. $1 uuid task; $2 integer claim and $3 integer line of the
-- place; $4 integer: the last claim that is wanted; $5 smallint: the least level; $6 integer: how many at most.
-- Reads only; relies on the primary key.
SELECT claim_no, seq, at, level, logger, message, fields
FROM taskmill.task_log
WHERE task_id = $1
    AND (claim_no, seq) > ($2::integer, $3::integer)
    AND claim_no <= $4::integer
    AND level >= $5::smallint
ORDER BY claim_no, seq
LIMIT $6::integer
