-- Purpose: lines of a task after a position, oldest first; they end with the one that reaches $7 bytes. `found`
-- counts all, without that limit. $1 uuid task; $2 integer claim and $3 integer line of the position; $4 integer:
-- the last claim that is wanted; $5 smallint: the least level; $6 integer: how many at most; $7 bigint; $8 text: what
-- a line has in its message or its fields, in any case, empty for any. Reads only; relies on the primary key.
SELECT claim_no, seq, at, level, logger, message, fields, found
FROM (
    SELECT
        claim_no, seq, at, level, logger, message, fields, count(*) OVER () AS found,
        sum(bytes) OVER (ORDER BY claim_no, seq) - bytes AS bytes_before
    FROM (
        SELECT
            claim_no, seq, at, level, logger, message, fields,
            octet_length(message) + coalesce(octet_length(fields::text), 0) AS bytes
        FROM taskmill.task_log
        WHERE task_id = $1
            AND (claim_no, seq) > ($2::integer, $3::integer)
            AND claim_no <= $4::integer
            AND level >= $5::smallint
            AND ($8::text = '' OR strpos(lower(concat_ws(E'\n', message, fields::text)), lower($8::text)) > 0)
        ORDER BY claim_no, seq
        LIMIT $6::integer
    ) AS part
) AS sized
WHERE bytes_before < $7
ORDER BY claim_no, seq
