-- Purpose: the changes after a cursor, in order, as (task, version) pairs. $1 bigint and $2 bigint: position and
-- ordinal of the cursor; $3 integer: most rows. Batches without (further) changes give a row without a task: the
-- batch of the cursor itself is always there, unless it was pruned.
-- Reads only; relies on change_batch_position. Batches come in the order of their positions, their changes in the
-- order of the lists: the loop over them is pulled row by row, so that a long list beyond the limit is never
-- unpacked.
SELECT batch.position, pair.ordinal, pair.task_id, pair.version
FROM (
    SELECT position, task_ids, versions FROM taskmill.change_batch
    WHERE position >= $1
    ORDER BY position
    LIMIT $3
) AS batch
LEFT JOIN LATERAL unnest(batch.task_ids, batch.versions) WITH ORDINALITY AS pair (
    task_id, version, ordinal
) ON batch.position > $1 OR pair.ordinal > $2
LIMIT $3
