-- Purpose: the changes before a cursor, the latest first, as (task, version) pairs. $1 bigint and $2 bigint: position and
-- ordinal of the cursor; $3 integer: most rows.
-- Reads only; relies on change_batch_position. The loop over the batches is pulled row by row, so that no more of them
-- are unpacked than are needed.
SELECT batch.position, pair.ordinal, pair.task_id, pair.version
FROM (
    SELECT position, task_ids, versions FROM taskmill.change_batch
    WHERE position <= $1
    ORDER BY position DESC
    LIMIT $3
) AS batch
CROSS JOIN LATERAL (
    SELECT unpacked.task_id, unpacked.version, unpacked.ordinal
    FROM unnest(batch.task_ids, batch.versions) WITH ORDINALITY AS unpacked (task_id, version, ordinal)
    WHERE batch.position < $1 OR unpacked.ordinal < $2
    ORDER BY unpacked.ordinal DESC
) AS pair
LIMIT $3
