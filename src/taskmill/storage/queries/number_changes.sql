-- Purpose: give committed change batches their dense positions. Only one runner at a time does so: the
-- advisory lock is held to the end of the transaction. $1 integer: most batches numbered at once.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('taskmill.change_batch')) AS mine
),
fresh AS MATERIALIZED (
    SELECT b.id, row_number() OVER (ORDER BY b.id) AS place
    FROM (
        SELECT id FROM taskmill.change_batch
        WHERE position IS NULL AND (SELECT mine FROM turn)
        ORDER BY id
        LIMIT $1
    ) AS b
),
latest AS MATERIALIZED (
    SELECT coalesce(
        (SELECT position FROM taskmill.change_batch
         WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1), 0) AS position
    FROM turn
)
UPDATE taskmill.change_batch AS b
SET position = latest.position + fresh.place
FROM fresh, latest
WHERE b.id = fresh.id
RETURNING b.position
