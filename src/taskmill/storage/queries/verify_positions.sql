-- Purpose: holes in the next positions of the feed. $1 bigint: from this position, $2 integer limit, $3
-- timestamptz: from when on the feed is complete. `last` is the last position that was read, null when there is
-- none.
-- Reads only; relies on change_batch_position.
WITH part AS MATERIALIZED (
    SELECT position, at
    FROM taskmill.change_batch
    WHERE position >= $1
    ORDER BY position
    LIMIT $2
),
paired AS (
    SELECT position, at, lag(position) OVER (ORDER BY position) AS before FROM part
)
SELECT seen.last, hole.before, hole.position
FROM (SELECT max(position) AS last FROM part) AS seen
LEFT JOIN (
    SELECT before, position FROM paired WHERE position > before + 1 AND at >= $3
) AS hole ON true
ORDER BY hole.position
