-- Purpose: delete refused messages past their retention. $1 uuid: the first id to retain, $2 integer limit.
-- Relies on the primary key: ids rise with time.
DELETE FROM taskmill.rejection
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.rejection
    WHERE id < $1
    ORDER BY id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
