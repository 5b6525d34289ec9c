-- Purpose: the last lines of a task, newest first. $1 uuid task; $2 smallint: the least level; $3 integer: how
-- many at most; $4 and $5 integer: the first and the last claim that is wanted; $6 text: what a line has in its
-- message or its fields, in any case, empty for any. Reads only; relies on the primary key.
SELECT claim_no, seq, at, level, logger, message, fields
FROM taskmill.task_log
WHERE task_id = $1
    AND level >= $2::smallint
    AND claim_no >= $4::integer
    AND claim_no <= $5::integer
    AND ($6::text = '' OR strpos(lower(concat_ws(E'\n', message, fields::text)), lower($6::text)) > 0)
ORDER BY claim_no DESC, seq DESC
LIMIT $3::integer
