-- Purpose: take what SQL has asked for of a schedule, to do it in the same transaction. $1 text name; $2 bigint: its id, if
-- nothing else was asked for since. $3 boolean: whether what was refused stays, and only the pause is taken.
-- Locks: schedule_request, after schedule; what others have locked is left to them. Relies on the primary key.
WITH held AS MATERIALIZED (
    SELECT name FROM taskmill.schedule_request WHERE name = $1 AND id = $2 FOR UPDATE SKIP LOCKED
),
rest AS (
    UPDATE taskmill.schedule_request SET paused = NULL
    WHERE name IN (SELECT name FROM held) AND $3 AND body IS NOT NULL
    RETURNING name
),
taken AS (
    DELETE FROM taskmill.schedule_request
    WHERE name IN (SELECT name FROM held) AND NOT ($3 AND body IS NOT NULL)
    RETURNING name
)
SELECT name FROM rest
UNION ALL
SELECT name FROM taken
