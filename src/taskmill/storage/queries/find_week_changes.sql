-- Purpose: whether the next batches of the feed have changes of a week's tasks. $1 bigint: after this position, $2 and
-- $3 uuid: the first id in the week, and the first one after it; $4 integer: most batches. Reads only; relies on
-- change_batch_position. Returns how many batches were read, the last position, and whether one has such a change.
WITH part AS MATERIALIZED (
    SELECT position, task_ids
    FROM taskmill.change_batch
    WHERE position > $1
    ORDER BY position
    LIMIT $4
)
SELECT
    count(*) AS read,
    max(position) AS last,
    coalesce(bool_or(EXISTS (
        SELECT FROM unnest(task_ids) AS changed (id) WHERE id >= $2 AND id < $3
    )), false) AS is_changed
FROM part
