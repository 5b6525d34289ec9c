-- Purpose: the bounds of the feed: its first position, its last one, and how many changes that last batch has.
-- Reads only; relies on change_batch_position. All are null while it is empty.
SELECT
    (
        SELECT position FROM taskmill.change_batch
        WHERE position IS NOT NULL ORDER BY position LIMIT 1
    ) AS oldest,
    latest.position AS latest,
    cardinality(latest.task_ids) AS changes
FROM (SELECT) AS always
LEFT JOIN LATERAL (
    SELECT position, task_ids FROM taskmill.change_batch
    WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1
) AS latest ON true
